package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// request is one that may be repeated under its key.
type request struct {
	key       string
	principal string
	hash      []byte
}

// newRequest describes a create: operation and input tell it from another one under
// the same key. The input may hold secrets (secure options, a key's value), hence the
// MAC: a plain hash in the database would let guesses be tried.
func (s *server) newRequest(ctx context.Context, key, operation string, input any) (request, error) {
	b, err := json.Marshal(input)
	if err != nil {
		return request{}, fmt.Errorf("encoding a request: %w", err)
	}
	p := principal(ctx)
	r := request{key: key, principal: "user:" + p.UserID}
	if p.TokenID != "" {
		r.principal = "token:" + p.TokenID
	}
	r.hash = s.Keys.MAC("fairlead request 1", []byte(operation), b)
	return r, nil
}

// errRepeated undoes a transaction whose work another one has done before.
var errRepeated = errors.New("repeated request")

// earlier returns what was answered to the same request before, "" for nothing. It
// commits, because an answer may only repeat what this hub knows to be durable.
func (s *server) earlier(ctx context.Context, r request) (string, error) {
	if r.key == "" {
		return "", nil
	}
	found, err := s.Store.Idempotent(ctx, r.principal, r.key, r.hash)
	if err != nil {
		return "", reused(err)
	}
	if found == nil {
		return "", nil
	}
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		again, err := st.KeepIdempotent(ctx, *found)
		if again != nil {
			found = again
		}
		return err
	})
	return found.Response, reused(err)
}

// keep stores the answer in the transaction that did the work.
func (r request) keep(ctx context.Context, st *store.Store, response string) error {
	if r.key == "" {
		return nil
	}
	other, err := st.KeepIdempotent(ctx, store.IdempotentResponse{
		Principal: r.principal, Key: r.key, RequestHash: r.hash, Status: http.StatusCreated, Response: response,
	})
	if err != nil {
		return reused(err)
	}
	if other != nil {
		return errRepeated
	}
	return nil
}

// once does a change that may be repeated under its key. do returns what a repeat is
// answered from, never "". again tells that the change was made by an earlier request.
func (s *server) once(ctx context.Context, r request, do func(*store.Store) (string, error)) (answer string, again bool, err error) {
	if answer, err = s.earlier(ctx, r); err != nil || answer != "" {
		return answer, true, err
	}
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		// The key first: who repeats at the same moment waits here for the answer, and
		// does not hear that what it wants to make is there already.
		if err := r.keep(ctx, st, ""); err != nil {
			return err
		}
		if answer, err = do(st); err != nil || r.key == "" {
			return err
		}
		return st.AnswerIdempotent(ctx, r.principal, r.key, answer)
	})
	if errors.Is(err, errRepeated) {
		answer, err = s.earlier(ctx, r)
		return answer, true, err
	}
	return answer, false, err
}

// onceJSON is once for a change whose answer is kept as it was given.
func onceJSON[T any](ctx context.Context, s *server, r request, do func(*store.Store) (*T, error)) (*T, error) {
	var out *T
	answer, again, err := s.once(ctx, r, func(st *store.Store) (string, error) {
		var err error
		if out, err = do(st); err != nil {
			return "", err
		}
		b, err := json.Marshal(out)
		if err != nil {
			return "", fmt.Errorf("encoding an answer: %w", err)
		}
		return string(b), nil
	})
	if err != nil || !again {
		return out, err
	}
	out = new(T)
	if err := json.Unmarshal([]byte(answer), out); err != nil {
		return nil, fmt.Errorf("decoding the answer to an earlier request: %w", err)
	}
	return out, nil
}

// reused gives a key that was used for another request its own status.
func reused(err error) error {
	if hub.ErrorCode(err) != hub.CodeInvalid {
		return err
	}
	p := problemOf(err)
	p.Status, p.Title = http.StatusUnprocessableEntity, http.StatusText(http.StatusUnprocessableEntity)
	return p
}

// secretOnce does a create whose answer holds a secret, which is not kept anywhere: a
// repeat is told so instead. One that failed has not used its key up.
func secretOnce[T any](ctx context.Context, s *server, key, operation string, input any, create func(*store.Store) (*T, error)) (out *T, err error) {
	r, err := s.newRequest(ctx, key, operation, input)
	if err != nil {
		return nil, err
	}
	err = s.Store.InTx(ctx, func(st *store.Store) error {
		if err := r.keep(ctx, st, ""); err != nil {
			return err
		}
		out, err = create(st)
		return err
	})
	if errors.Is(err, errRepeated) {
		return nil, hub.Errorf(hub.CodeConflict, "This was made already under the same Idempotency-Key, and its secret is shown only once; revoke what it made and create another under a new key.")
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}
