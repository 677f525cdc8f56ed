package output

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/proto/wire"
)

// ExportFormat names the form of an export; docs/logs.md describes it.
const ExportFormat = "fairlead-export-1"

// exportHead is the first record of an export.
type exportHead struct {
	Format         string     `json:"format"`
	ClusterID      string     `json:"clusterId"`
	OrganisationID string     `json:"organisationId"`
	ExecutionID    string     `json:"executionId"`
	Number         int64      `json:"number"`
	Name           string     `json:"name"`
	Status         hub.Status `json:"status"`
	Nodes          []string   `json:"nodes"`
	Authorities    []string   `json:"authorities"`
}

// exportAttempt begins an attempt.
type exportAttempt struct {
	ID       string        `json:"id"`
	RunnerID string        `json:"runnerId"`
	Nodes    []int         `json:"nodes"`
	State    string        `json:"state"`
	Result   *exportResult `json:"result,omitempty"`
	// Certificate that the result was signed with.
	Certificate string `json:"certificate,omitempty"`
}

type exportResult struct {
	Incarnation int64  `json:"incarnation"`
	Epoch       int    `json:"epoch"`
	Outcome     int32  `json:"outcome"`
	StepsTotal  int64  `json:"stepsTotal"`
	StepsHash   string `json:"stepsHash"`
	LogTotal    int64  `json:"logTotal"`
	LogHash     string `json:"logHash"`
	Signature   []byte `json:"signature"`
}

type exportChunk struct {
	Seq       int64  `json:"seq"`
	FirstLine int64  `json:"firstLine"`
	Lines     int    `json:"lines"`
	Hash      string `json:"hash"`
	Data      []byte `json:"data"`
}

type exportEnd struct {
	Attempts int   `json:"attempts"`
	Chunks   int64 `json:"chunks"`
}

// exportRecord is one line of an export, which has one of these.
type exportRecord struct {
	Export  *exportHead    `json:"export,omitempty"`
	Attempt *exportAttempt `json:"attempt,omitempty"`
	Chunk   *exportChunk   `json:"chunk,omitempty"`
	End     *exportEnd     `json:"end,omitempty"`
}

// Authority is the CA that runners' certificates are under.
type Authority struct {
	ClusterID    string
	Certificates []*x509.Certificate
}

// exporter writes one export.
type exporter struct {
	r       *reader
	write   func([]byte) error
	results map[string]*store.SignedResult
	// certificates by runner.
	certificates map[string][]*x509.Certificate
	end          exportEnd
}

// Export writes the log of an execution as it is stored, with all that proves it, as
// lines of JSON: chunks as they came, the results that runners signed over them, the
// certificates they signed with and the CA that these are under.
func (o *Output) Export(ctx context.Context, e *hub.Execution, ca Authority, write func(line []byte) error) error {
	r := o.reader(Query{OrganisationID: e.OrganisationID, ExecutionID: e.ID})
	if err := r.open(ctx); err != nil {
		return err
	}
	if err := r.learn(ctx); err != nil {
		return err
	}
	x := &exporter{r: r, write: write, certificates: make(map[string][]*x509.Certificate)}
	var err error
	// Behind the logs: a result that is read has its chunks among them, or tells that they lack.
	if x.results, err = o.st.SignedResults(ctx, e.ID); err != nil {
		return err
	}
	head := &exportHead{
		Format: ExportFormat, ClusterID: ca.ClusterID, OrganisationID: e.OrganisationID, ExecutionID: e.ID, Number: e.Number, Name: e.JobName, Status: e.Status,
	}
	for i := range e.Nodes {
		head.Nodes = append(head.Nodes, e.Nodes[i].Name)
	}
	for _, c := range ca.Certificates {
		head.Authorities = append(head.Authorities, certificateText(c))
	}
	if err := x.tell(exportRecord{Export: head}); err != nil {
		return err
	}
	for _, s := range r.order {
		if err := x.attempt(ctx, s); err != nil {
			return err
		}
	}
	if err := r.still(ctx); err != nil {
		return err
	}
	return x.tell(exportRecord{End: &x.end})
}

func (x *exporter) tell(r exportRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding an export: %w", err)
	}
	return x.write(append(line, '\n'))
}

// attempt writes an attempt with its chunks.
func (x *exporter) attempt(ctx context.Context, s *source) error {
	out := &exportAttempt{ID: s.log.AttemptID, RunnerID: s.log.RunnerID, Nodes: s.nodes, State: string(s.log.State)}
	if p := x.results[s.log.AttemptID]; p != nil && p.StepsTotal >= 0 {
		if err := x.signed(ctx, p, out); err != nil {
			return err
		}
	}
	if err := x.tell(exportRecord{Attempt: out}); err != nil {
		return err
	}
	x.end.Attempts++
	for from := int64(0); from < s.log.Next; {
		rows, err := x.r.o.chunks(ctx, s, from, chunksAtOnce)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			c := &rows[i]
			if c.Seq >= s.log.Next {
				return nil // came since
			}
			x.end.Chunks++
			if err := x.tell(exportRecord{Chunk: &exportChunk{Seq: c.Seq, FirstLine: c.FirstLine, Lines: c.Lines, Hash: hex.EncodeToString(c.Hash[:]), Data: c.Data}}); err != nil {
				return err
			}
		}
		from = rows[len(rows)-1].Seq + 1
	}
	return nil
}

// outcomes is how many outcomes a result may have, as the contract numbers them.
const outcomes = 7

// signed fills in a result, and the certificate it was signed with: of those that the
// runner had, the one under which the signature is good. The outcome as the runner wrote
// it is not kept, only what became of it, so each is tried.
func (x *exporter) signed(ctx context.Context, p *store.SignedResult, out *exportAttempt) error {
	out.Result = &exportResult{
		Incarnation: p.Incarnation, Epoch: p.Epoch, StepsTotal: p.StepsTotal, StepsHash: hex.EncodeToString(p.StepsHash[:]),
		LogTotal: p.LogTotal, LogHash: hex.EncodeToString(p.LogHash[:]), Signature: p.Signature,
	}
	list, err := x.certificatesOf(ctx, p.RunnerID)
	if err != nil {
		return err
	}
	for outcome := range int32(outcomes) {
		digest := wire.ResultDigest(wire.Result{
			Incarnation: uint64(p.Incarnation), AttemptID: p.AttemptID, Epoch: uint32(p.Epoch), Outcome: outcome,
			StepsTotal: uint64(p.StepsTotal), StepsHash: p.StepsHash, LogTotal: uint64(p.LogTotal), LogHash: p.LogHash,
		})
		for _, c := range list {
			if key, ok := c.PublicKey.(*ecdsa.PublicKey); ok && ecdsa.VerifyASN1(key, digest[:], p.Signature) {
				out.Result.Outcome, out.Certificate = outcome, certificateText(c)
				return nil
			}
		}
	}
	return nil
}

func (x *exporter) certificatesOf(ctx context.Context, runnerID string) ([]*x509.Certificate, error) {
	if list, ok := x.certificates[runnerID]; ok {
		return list, nil
	}
	rows, err := x.r.o.st.RunnerCertificates(ctx, runnerID)
	if err != nil {
		return nil, err
	}
	list := make([]*x509.Certificate, 0, len(rows))
	for _, row := range rows {
		c, err := x509.ParseCertificate(row.DER)
		if err != nil {
			return nil, fmt.Errorf("reading certificate %s of runner %s: %w", row.Serial, runnerID, err)
		}
		list = append(list, c)
	}
	x.certificates[runnerID] = list
	return list, nil
}

func certificateText(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
