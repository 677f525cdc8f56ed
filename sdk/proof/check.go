package proof

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Report is what an export proves.
type Report struct {
	ExecutionID string `json:"executionId"`
	Number      int64  `json:"number"`
	Name        string `json:"name"`
	// Authorities are the SHA-256 of the public keys of the CAs in the export, or the one
	// that was asked for.
	Authorities []string `json:"authorities"`
	// Pinned: the CA is the one that the caller named.
	Pinned   bool      `json:"pinned"`
	Attempts []Attempt `json:"attempts"`
}

// Proven reports whether every attempt is.
func (r *Report) Proven() bool {
	for i := range r.Attempts {
		if r.Attempts[i].Verdict != Proven {
			return false
		}
	}
	return true
}

// Verdict is how it stands with one attempt.
type Verdict string

// The verdicts.
const (
	// Proven: its log is whole, and what its runner signed.
	Proven Verdict = "proven"
	// Unsigned: its chunks agree with each other, but nothing signed covers them: it has
	// not ended, its runner never told how, or some of its output is still to come.
	Unsigned Verdict = "unsigned"
	// Bad: the log is not what the runner wrote, or not all of it.
	Bad Verdict = "bad"
)

// Attempt is what an export proves of one attempt.
type Attempt struct {
	ID       string  `json:"id"`
	RunnerID string  `json:"runnerId"`
	Verdict  Verdict `json:"verdict"`
	Chunks   uint64  `json:"chunks"`
	Lines    int64   `json:"lines"`
	// Why it is not proven.
	Why string `json:"why,omitempty"`
	// First is the first chunk that is bad, if one can be named.
	First *Chunk `json:"firstBadChunk,omitempty"`
}

// Chunk is a piece of an attempt's log: its lines are said to be From up to To.
type Chunk struct {
	Seq  uint64 `json:"seq"`
	From int64  `json:"fromLine"`
	To   int64  `json:"toLine"`
}

// maxFrames bounds a chunk's frames, in bytes.
const maxFrames = 256 << 10

// checker verifies one export.
type checker struct {
	in     *reader
	zstd   *zstd.Decoder
	head   *head
	roots  *x509.CertPool
	report Report
	chunks int64
	// Of the attempt in work: its record, and the chain so far.
	now  *attempt
	hash sum
	// shown: its verdict is known, whatever else comes.
	shown bool
}

// Check reads an export and tells what it proves. pin, unless empty, is the SHA-256 of the
// public key of the CA that must have certified the runners; without it they are under the
// CA that the export itself names, which proves nothing to who does not know it. An error
// tells that the export cannot be read, or is not whole.
func Check(in io.Reader, pin string) (*Report, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4*maxFrames))
	if err != nil {
		return nil, fmt.Errorf("making a decoder: %w", err)
	}
	defer d.Close()
	c := &checker{in: newReader(in), zstd: d}
	if err := c.begin(pin); err != nil {
		return nil, err
	}
	for {
		rec, err := c.in.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the export has no end: it was cut off; make it again")
		case err != nil:
			return nil, err
		case rec.End != nil:
			return c.end(rec.End)
		case rec.Attempt != nil:
			c.settle()
			c.attempt(rec.Attempt)
		case rec.Chunk != nil && c.now != nil:
			c.chunk(rec.Chunk)
		default:
			return nil, c.in.wrong("it is no record that may stand there")
		}
	}
}

// begin reads the first record.
func (c *checker) begin(pin string) error {
	rec, err := c.in.next()
	if errors.Is(err, io.EOF) {
		return errors.New("the export is empty")
	}
	if err != nil {
		return err
	}
	if rec.Export == nil || rec.Export.Format != format {
		return c.in.wrong("it does not begin an export in the form %s; a newer fairlead may read it", format)
	}
	c.head = rec.Export
	c.report = Report{ExecutionID: c.head.ExecutionID, Number: c.head.Number, Name: c.head.Name, Pinned: pin != ""}
	c.roots = x509.NewCertPool()
	for _, text := range c.head.Authorities {
		cert, err := certificate(text)
		if err != nil {
			return c.in.wrong("reading a CA: %v", err)
		}
		if key := hexSum(cert.RawSubjectPublicKeyInfo); pin == "" || pin == key {
			c.roots.AddCert(cert)
			c.report.Authorities = append(c.report.Authorities, key)
		}
	}
	switch {
	case len(c.head.Authorities) == 0:
		return c.in.wrong("it names no CA")
	case len(c.report.Authorities) == 0:
		return errors.New("the export is of a hub with another CA")
	}
	return nil
}

// end checks that nothing was left out at the export's end.
func (c *checker) end(e *end) (*Report, error) {
	c.settle()
	if e.Attempts != len(c.report.Attempts) || e.Chunks != c.chunks {
		return nil, c.in.wrong("it speaks of %d attempts and %d chunks, and %d and %d are there", e.Attempts, e.Chunks, len(c.report.Attempts), c.chunks)
	}
	if _, err := c.in.next(); !errors.Is(err, io.EOF) {
		return nil, c.in.wrong("something follows the end")
	}
	return &c.report, nil
}

// attempt begins with an attempt.
func (c *checker) attempt(a *attempt) {
	c.now, c.hash, c.shown = a, sum{}, false
	c.report.Attempts = append(c.report.Attempts, Attempt{ID: a.ID, RunnerID: a.RunnerID})
}

// is gives the attempt in work its verdict, the first one it gets.
func (c *checker) is(v Verdict, why string, args ...any) {
	if c.shown {
		return
	}
	c.shown = true
	a := &c.report.Attempts[len(c.report.Attempts)-1]
	a.Verdict, a.Why = v, fmt.Sprintf(why, args...)
}

// bad names the first chunk that is not what it should be.
func (c *checker) bad(at Chunk, why string, args ...any) {
	if !c.shown {
		c.report.Attempts[len(c.report.Attempts)-1].First = &at
	}
	c.is(Bad, why, args...)
}

// chunk follows the chain over one chunk.
func (c *checker) chunk(k *chunk) {
	c.chunks++
	a := &c.report.Attempts[len(c.report.Attempts)-1]
	at := Chunk{Seq: k.Seq, From: k.FirstLine, To: k.FirstLine + k.Lines}
	if k.Seq != a.Chunks {
		c.bad(Chunk{Seq: a.Chunks, From: a.Lines, To: k.FirstLine}, "chunk %d is missing", a.Chunks)
		return
	}
	frames, err := c.zstd.DecodeAll(k.Data, nil)
	switch {
	case err != nil:
		c.bad(at, "chunk %d cannot be decompressed: %v", k.Seq, err)
	case next(c.hash, k.Seq, frames) != k.Hash:
		c.bad(at, "chunk %d is not the one that the chain goes on with", k.Seq)
	case k.FirstLine != a.Lines || count(frames) != k.Lines:
		at.From, at.To = a.Lines, a.Lines+max(0, count(frames))
		c.bad(at, "chunk %d is said to have %d lines from %d on; it holds %d, from %d on", k.Seq, k.Lines, k.FirstLine, count(frames), a.Lines)
	}
	c.hash = k.Hash
	a.Chunks++
	a.Lines += k.Lines
}

// settle compares the chain with what was signed, at the end of an attempt.
func (c *checker) settle() {
	if c.now == nil || c.shown {
		return
	}
	a, r := &c.report.Attempts[len(c.report.Attempts)-1], c.now.Result
	beyond := Chunk{Seq: a.Chunks, From: a.Lines, To: a.Lines}
	switch {
	case r == nil:
		c.is(Unsigned, "its runner has told no end of it")
	case c.now.Certificate == "":
		c.is(Bad, "none of the runner's certificates made the signature")
	default:
		if err := c.signed(c.now); err != nil {
			c.is(Bad, "%v", err)
		}
	}
	switch {
	case c.shown:
	case a.Chunks < r.LogTotal:
		c.bad(beyond, "chunk %d is missing, of %d that the runner signed", a.Chunks, r.LogTotal)
	case a.Chunks > r.LogTotal:
		beyond.Seq = r.LogTotal
		c.bad(beyond, "chunk %d follows the last one that the runner signed", r.LogTotal)
	case c.hash != r.LogHash:
		c.is(Bad, "its chunks agree with each other and not with what the runner signed: all of it may have been written anew")
	default:
		c.is(Proven, "")
	}
}

// signed checks the signature of a result: that it is of the key in the certificate, and
// that the certificate is that runner's and under the CA.
func (c *checker) signed(a *attempt) error {
	cert, err := certificate(a.Certificate)
	if err != nil {
		return fmt.Errorf("reading the runner's certificate: %w", err)
	}
	// It was good when it signed, which nobody can date; what counts is who issued it.
	_, err = cert.Verify(x509.VerifyOptions{Roots: c.roots, CurrentTime: cert.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("the runner's certificate is not under the CA: %w", err)
	}
	name := "spiffe://" + c.head.ClusterID + "/org/" + c.head.OrganisationID + "/runner/" + a.RunnerID
	if len(cert.URIs) != 1 || cert.URIs[0].String() != name {
		return errors.New("the certificate is another runner's")
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("the runner's key is a %T", cert.PublicKey)
	}
	digest := digest(a.ID, a.Result)
	if !ecdsa.VerifyASN1(key, digest[:], a.Result.Signature) {
		return errors.New("the signature is not good")
	}
	return nil
}

// next is the chain: SHA-256 of the hash before, the number in eight bytes and the frames.
func next(before sum, seq uint64, frames []byte) sum {
	h := sha256.New()
	h.Write(before[:])
	h.Write(binary.BigEndian.AppendUint64(nil, seq))
	h.Write(frames)
	return sum(h.Sum(nil))
}

// count is how many lines stand in frames: each is a byte, three numbers, a time, an offset
// where the byte says so, and the length of the text before it. -1: they are none.
func count(frames []byte) (lines int64) {
	const hasOffset = 1 << 5
	for ; len(frames) > 0; lines++ {
		numbers := 5
		if frames[0]&hasOffset != 0 {
			numbers++
		}
		frames = frames[1:]
		size := uint64(0)
		for range numbers {
			var n int
			if size, n = binary.Uvarint(frames); n <= 0 {
				return -1
			}
			frames = frames[n:]
		}
		if size > uint64(len(frames)) {
			return -1
		}
		frames = frames[size:]
	}
	return lines
}

// digest is what a runner signs.
func digest(attemptID string, r *result) sum {
	b := []byte("fairlead result 1\x00")
	b = binary.BigEndian.AppendUint64(b, r.Incarnation)
	b = binary.BigEndian.AppendUint32(b, uint32(len(attemptID)))
	b = append(b, attemptID...)
	b = binary.BigEndian.AppendUint32(b, r.Epoch)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Outcome))
	b = binary.BigEndian.AppendUint64(b, r.StepsTotal)
	b = append(b, r.StepsHash[:]...)
	b = binary.BigEndian.AppendUint64(b, r.LogTotal)
	b = append(b, r.LogHash[:]...)
	return sha256.Sum256(b)
}

func certificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it is no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
