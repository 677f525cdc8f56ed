package keys

import (
	"context"
	"fmt"
	"strconv"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Keys is the key storage of all organisations. All methods may be called by many
// goroutines at once.
type Keys struct {
	st     *store.Store
	master *Master
}

// New makes a Keys that encrypts under master.
func New(st *store.Store, master *Master) *Keys { return &Keys{st: st, master: master} }

// place is where a key's value belongs: its envelope opens nowhere else, not even at
// an earlier revision of the same path.
func place(organisationID, path string, revision int64) string {
	return "key\x00" + organisationID + "\x00" + path + "\x00" + strconv.FormatInt(revision, 10)
}

// Set stores a value at path, in place of one that is there. by is for people.
func (k *Keys) Set(ctx context.Context, organisationID, path string, typ hub.KeyType, value []byte, by string) (*hub.Key, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	value, err := checkValue(path, typ, value)
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("later")
}

// List tells the keys whose path begins with prefix ("" for all), by path, without
// values.
func (k *Keys) List(ctx context.Context, organisationID, prefix string) ([]hub.Key, error) {
	return nil, nil
}

// Get returns a key with its plain value, which no face may show unless it is public.
func (k *Keys) Get(ctx context.Context, organisationID, path string) (*hub.Key, []byte, error) {
	return nil, nil, nil
}

// Delete removes a key. Jobs that name it fail from then on, and say so.
func (k *Keys) Delete(ctx context.Context, organisationID, path string) error { return nil }

// Secrets gathers what an attempt needs: the keys that its nodes and its project name,
// and the values of its secure options. What is missing is left out, so that the node
// step can say what it lacks; the error then has code not_found or forbidden and
// comes beside the rest.
func (k *Keys) Secrets(ctx context.Context, e *hub.Execution, a *hub.Assignment) (*hub.Secrets, error) {
	return nil, nil
}

// SealOptions closes the values of secure options that were given to a run, to be
// stored beside it.
func (k *Keys) SealOptions(_ context.Context, organisationID, executionID string, values map[string]string) ([]byte, error) {
	return nil, nil
}

// OpenOptions reverses SealOptions.
func (k *Keys) OpenOptions(_ context.Context, organisationID, executionID string, sealed []byte) (map[string]string, error) {
	return nil, nil
}
