package store

import (
	"context"

	"github.com/fairlead/fairlead/hub"
)

// LogState is the end of an attempt's log, and what must be known to append to it.
type LogState struct {
	AttemptID    string
	AssignmentID string
	ExecutionID  string
	RunnerID     string
	Incarnation  int64
	Epoch        int
	State        hub.AttemptState
	// Next is the first chunk that is lacking, Hash the chain up to it.
	Next  int64
	Hash  [32]byte
	Lines int64
	// TextBytes counts the bytes of the log's text, as output.ReadText gives it.
	TextBytes int64
	// TextOpen is the node whose line in that text has no end yet: its position in the
	// attempt's spec and one more, 0 for none.
	TextOpen int
	// Total of the result, -1 before it; Broken: its hash does not agree.
	Total     int64
	TotalHash [32]byte
	Broken    bool
	HeardTick int64
	// Exists: there is a row of it.
	Exists bool
}

// Whole reports whether everything that the result speaks of is stored.
func (l *LogState) Whole() bool { return l.Total >= 0 && l.Next >= l.Total }

const logColumns = `t.id, t.assignment_id, t.execution_id, t.runner_id, t.incarnation, t.epoch, t.state, COALESCE(l.log_next, 0), l.hash, COALESCE(l.lines, 0),
	COALESCE(l.text_bytes, 0), COALESCE(l.text_open, 0), COALESCE(NULLIF(l.total, -1), t.log_total), COALESCE(l.total_hash, t.log_hash), COALESCE(l.broken, FALSE), COALESCE(l.heard_tick, 0), l.attempt_id IS NOT NULL`

func scanLog(r scanner) (*LogState, error) {
	l := &LogState{}
	err := r.Scan(&l.AttemptID, &l.AssignmentID, &l.ExecutionID, &l.RunnerID, &l.Incarnation, &l.Epoch, &l.State, &l.Next, hashInto(&l.Hash), &l.Lines,
		&l.TextBytes, &l.TextOpen, &l.Total, hashInto(&l.TotalHash), &l.Broken, &l.HeardTick, &l.Exists)
	return l, err
}

// Logs reads the ends of logs by attempt.
func (s *Store) Logs(ctx context.Context, attemptIDs []string) ([]*LogState, error) {
	var all []*LogState
	err := s.logs(ctx, attemptIDs, &all)
	if err == nil {
		err = s.flush(ctx)
	}
	return all, err
}

// logs reads later, into all.
func (s *Store) logs(ctx context.Context, attemptIDs []string, all *[]*LogState) error {
	return inPieces(len(attemptIDs), func(from, to int) error {
		return collectLater(ctx, s, all, scanLog, `SELECT `+logColumns+` FROM attempt t LEFT JOIN attempt_log l ON l.attempt_id = t.id
			WHERE t.id IN (`+params(1, to-from)+`)`, anys(attemptIDs[from:to])...)
	})
}

// LogsOf reads the ends of all logs of an execution in the order of the workflow.
func (s *Store) LogsOf(ctx context.Context, executionID string) ([]*LogState, error) {
	return collect(ctx, s, scanLog, `SELECT `+logColumns+` FROM attempt t JOIN assignment g ON g.id = t.assignment_id
		LEFT JOIN attempt_log l ON l.attempt_id = t.id
		WHERE t.execution_id = $1 AND t.state NOT IN ('offered', 'expired', 'not_started') ORDER BY g.position, g.id, t.epoch`, executionID)
}

// ChunkRow is a chunk as it is stored.
type ChunkRow struct {
	AttemptID string
	Seq       int64
	FirstLine int64
	Lines     int
	FirstByte int64
	TextBytes int64
	Nodes     []int
	Hash      [32]byte
	Data      []byte
	// Frames are what Data decompresses to, where the maker of the row has them at hand: no
	// column has them. Whoever reads the row only reads them.
	Frames []byte
}

// LogAppend moves the end of a log from Next to another, with the chunks between.
type LogAppend struct {
	AttemptID   string
	ExecutionID string
	Exists      bool // LogState had it
	// Next and after it what the log's end becomes.
	Next      int64
	To        int64
	Hash      [32]byte
	Lines     int64
	TextBytes int64
	TextOpen  int
	Chunks    []ChunkRow
}

// LogEnd is what an append left.
type LogEnd struct {
	Total     int64
	TotalHash [32]byte
}

// AppendChunks appends to logs, each if its end is as it was read; those that lost the
// race are not in the answer. It belongs in a transaction.
func (s *Store) AppendChunks(ctx context.Context, list []LogAppend, tick int64, memberID string) (map[string]LogEnd, error) {
	won := make(map[string]LogEnd, len(list))
	fresh, known := make([]LogAppend, 0, len(list)), make([]LogAppend, 0, len(list))
	for _, a := range list {
		if a.Exists {
			known = append(known, a)
		} else {
			fresh = append(fresh, a)
		}
	}
	add := func(write func(context.Context, []LogAppend, int64, string) ([]logEnd, error), part []LogAppend) error {
		return inPieces(len(part), func(from, to int) error {
			ends, err := write(ctx, part[from:to], tick, memberID)
			for _, e := range ends {
				won[e.id] = e.LogEnd
			}
			return err
		})
	}
	if err := add(s.beginLogs, fresh); err != nil {
		return nil, err
	}
	if err := add(s.moveLogs, known); err != nil {
		return nil, err
	}
	var rows []ChunkRow
	for _, a := range list {
		if _, ok := won[a.AttemptID]; ok {
			rows = append(rows, a.Chunks...)
		}
	}
	return won, s.insertChunks(ctx, rows)
}

type logEnd struct {
	id string
	LogEnd
}

func scanLogEnd(r scanner) (logEnd, error) {
	var e logEnd
	return e, r.Scan(&e.id, &e.Total, hashInto(&e.TotalHash))
}

// beginLogs makes the rows of logs that had none.
func (s *Store) beginLogs(ctx context.Context, list []LogAppend, tick int64, memberID string) ([]logEnd, error) {
	var args []any
	for _, a := range list {
		args = append(args, a.AttemptID, a.ExecutionID, a.To, hash(a.Hash), a.Lines, a.TextBytes, a.TextOpen, tick, memberID)
	}
	return collect(ctx, s, scanLogEnd, `WITH v (a, e, n, h, l, b, o, t, m) AS (VALUES `+s.values("ttibiiiit", len(list))+`)
		INSERT INTO attempt_log (attempt_id, execution_id, log_next, hash, lines, text_bytes, text_open, heard_tick, member_id)
		SELECT a, e, n, h, l, b, o, t, m FROM v WHERE NOT `+planned+` ON CONFLICT (attempt_id) DO NOTHING RETURNING attempt_id, total, total_hash`, args...)
}

// moveLogs moves the ends of logs that have a row.
func (s *Store) moveLogs(ctx context.Context, list []LogAppend, tick int64, memberID string) ([]logEnd, error) {
	var args []any
	for _, a := range list {
		args = append(args, a.AttemptID, a.Next, a.To, hash(a.Hash), a.Lines, a.TextBytes, a.TextOpen, tick, memberID)
	}
	return collect(ctx, s, scanLogEnd, `WITH v (v_id, v_first, v_next, v_hash, v_lines, v_bytes, v_open, v_tick, v_member) AS (VALUES `+s.values("tiibiiiit", len(list))+`)
		UPDATE attempt_log SET log_next = v_next, hash = v_hash, lines = v_lines, text_bytes = v_bytes, text_open = v_open, heard_tick = v_tick, member_id = v_member
		FROM v WHERE attempt_id = v_id AND log_next = v_first AND NOT `+planned+` RETURNING attempt_id, total, total_hash`, args...)
}

func (s *Store) insertChunks(ctx context.Context, rows []ChunkRow) error {
	return inPieces(len(rows), func(from, to int) error {
		var args []any
		for i := range rows[from:to] {
			c := &rows[from+i]
			args = append(args, c.AttemptID, c.Seq, c.FirstLine, c.Lines, c.FirstByte, c.TextBytes, asJSON(c.Nodes), c.Hash[:], c.Data)
		}
		return s.later(ctx, `INSERT INTO output_chunk (attempt_id, seq, first_line, lines, first_byte, text_bytes, nodes, hash, data) VALUES `+tuples(1, to-from, 9), args...)
	})
}

// ExpectLog notes what a result says of a log that is not whole, so that the append
// that makes it whole sees it; it returns where the log is now.
func (s *Store) ExpectLog(ctx context.Context, attemptID, executionID string, total int64, totalHash [32]byte, tick int64) (next int64, chain [32]byte, err error) {
	err = s.queryRow(ctx, `INSERT INTO attempt_log (attempt_id, execution_id, log_next, total, total_hash, heard_tick) VALUES ($1, $2, 0, $3, $4, $5)
		ON CONFLICT (attempt_id) DO UPDATE SET total = excluded.total, total_hash = excluded.total_hash, heard_tick = excluded.heard_tick
		RETURNING log_next, hash`, attemptID, executionID, total, hash(totalHash), tick).Scan(&next, hashInto(&chain))
	return next, chain, err
}

// BreakLog notes that the chunks of a log are not those that its result speaks of.
func (s *Store) BreakLog(ctx context.Context, attemptID string) error {
	_, err := s.exec(ctx, `UPDATE attempt_log SET broken = TRUE WHERE attempt_id = $1`, attemptID)
	return err
}

// TouchLogs notes that repeats of chunks were heard: their acknowledgement follows a
// commit of its own.
func (s *Store) TouchLogs(ctx context.Context, attemptIDs []string, tick int64) error {
	return inPieces(len(attemptIDs), func(from, to int) error {
		args := append([]any{tick}, anys(attemptIDs[from:to])...)
		return s.later(ctx, `UPDATE attempt_log SET heard_tick = $1 WHERE attempt_id IN (`+params(2, to-from)+`)`, args...)
	})
}

// Chunks reads at most limit stored chunks of an attempt from a number on, of those that
// begin before a byte of its text.
func (s *Store) Chunks(ctx context.Context, attemptID string, from, before int64, limit int) ([]ChunkRow, error) {
	return collect(ctx, s, func(r scanner) (ChunkRow, error) {
		c := ChunkRow{AttemptID: attemptID}
		return c, r.Scan(&c.Seq, &c.FirstLine, &c.Lines, &c.FirstByte, &c.TextBytes, jsonInto(&c.Nodes), hashInto(&c.Hash), &c.Data)
	}, `SELECT seq, first_line, lines, first_byte, text_bytes, nodes, hash, data FROM output_chunk WHERE attempt_id = $1 AND seq >= $2 AND first_byte < $3 ORDER BY seq LIMIT $4`,
		attemptID, from, before, limit)
}

// ChunkHead is a chunk without its data.
type ChunkHead struct {
	Seq, FirstLine int64
	Lines          int
	TextBytes      int64
	Nodes          []int
	Hash           [32]byte
	// Size of its data in bytes.
	Size int
}

// ChunkHeads reads the stored chunks of an attempt from a number up to another, without
// their data.
func (s *Store) ChunkHeads(ctx context.Context, attemptID string, from, to int64) ([]ChunkHead, error) {
	return collect(ctx, s, func(r scanner) (c ChunkHead, err error) {
		return c, r.Scan(&c.Seq, &c.FirstLine, &c.Lines, &c.TextBytes, jsonInto(&c.Nodes), hashInto(&c.Hash), &c.Size)
	}, `SELECT seq, first_line, lines, text_bytes, nodes, hash, length(data) FROM output_chunk WHERE attempt_id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq`, attemptID, from, to)
}

// ChunkAtLine returns the chunk of an attempt that holds a line, and its first line; false
// when it is no row.
func (s *Store) ChunkAtLine(ctx context.Context, attemptID string, line int64) (seq, first int64, ok bool, err error) {
	err = s.queryRow(ctx, `SELECT seq, first_line FROM output_chunk WHERE attempt_id = $1 AND first_line <= $2 ORDER BY seq DESC LIMIT 1`, attemptID, line).Scan(&seq, &first)
	if missing(err) {
		return 0, 0, false, nil
	}
	return seq, first, err == nil, err
}

// ChunkAtByte returns the chunk of an attempt that holds a byte of its text, and its
// first byte; false when it is no row.
func (s *Store) ChunkAtByte(ctx context.Context, attemptID string, at int64) (seq, first int64, ok bool, err error) {
	err = s.queryRow(ctx, `SELECT seq, first_byte FROM output_chunk WHERE attempt_id = $1 AND first_byte <= $2 ORDER BY seq DESC LIMIT 1`, attemptID, at).Scan(&seq, &first)
	if missing(err) {
		return 0, 0, false, nil
	}
	return seq, first, err == nil, err
}
