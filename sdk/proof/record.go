package proof

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// format is the form of export that this package reads.
const format = "fairlead-export-1"

// maxRecord bounds one line of an export, in bytes. A chunk is at most 256 KiB before it
// is compressed, and written in base64; the first line names all nodes.
const maxRecord = 16 << 20

type record struct {
	Export  *head    `json:"export"`
	Attempt *attempt `json:"attempt"`
	Chunk   *chunk   `json:"chunk"`
	End     *end     `json:"end"`
}

type head struct {
	Format         string   `json:"format"`
	ClusterID      string   `json:"clusterId"`
	OrganisationID string   `json:"organisationId"`
	ExecutionID    string   `json:"executionId"`
	Number         int64    `json:"number"`
	Name           string   `json:"name"`
	Status         string   `json:"status"`
	Nodes          []string `json:"nodes"`
	Authorities    []string `json:"authorities"`
}

type attempt struct {
	ID          string  `json:"id"`
	RunnerID    string  `json:"runnerId"`
	Nodes       []int   `json:"nodes"`
	State       string  `json:"state"`
	Result      *result `json:"result"`
	Certificate string  `json:"certificate"`
}

type result struct {
	Incarnation uint64 `json:"incarnation"`
	Epoch       uint32 `json:"epoch"`
	Outcome     int32  `json:"outcome"`
	StepsTotal  uint64 `json:"stepsTotal"`
	StepsHash   sum    `json:"stepsHash"`
	LogTotal    uint64 `json:"logTotal"`
	LogHash     sum    `json:"logHash"`
	Signature   []byte `json:"signature"`
}

type chunk struct {
	Seq       uint64 `json:"seq"`
	FirstLine int64  `json:"firstLine"`
	Lines     int64  `json:"lines"`
	Hash      sum    `json:"hash"`
	Data      []byte `json:"data"`
}

type end struct {
	Attempts int   `json:"attempts"`
	Chunks   int64 `json:"chunks"`
}

// sum is a SHA-256 in hexadecimal.
type sum [32]byte

// UnmarshalText reads it.
func (s *sum) UnmarshalText(text []byte) error {
	if len(text) != 2*len(s) {
		return errors.New("a hash has 64 hexadecimal digits")
	}
	_, err := hex.Decode(s[:], text)
	return err
}

// reader reads records.
type reader struct {
	in *bufio.Scanner
	n  int
}

func newReader(in io.Reader) *reader {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, 64<<10), maxRecord)
	return &reader{in: s}
}

// next returns one record, io.EOF at the end.
func (r *reader) next() (*record, error) {
	r.n++
	if !r.in.Scan() {
		if err := r.in.Err(); err != nil {
			return nil, fmt.Errorf("reading line %d of the export: %w", r.n, err)
		}
		return nil, io.EOF
	}
	var rec record
	if err := json.Unmarshal(r.in.Bytes(), &rec); err != nil {
		return nil, r.wrong("it is no record of an export: %v", err)
	}
	return &rec, nil
}

func (r *reader) wrong(why string, args ...any) error {
	return fmt.Errorf("line %d of the export: %w", r.n, fmt.Errorf(why, args...))
}
