package keys

import (
	"context"
	"encoding/json"
	"errors"
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

// In returns a Keys that works in a transaction of its caller.
func (k *Keys) In(st *store.Store) *Keys { return &Keys{st: st, master: k.master} }

// MAC authenticates parts for one purpose under the master key: a hash that nobody who
// reads the database can try guesses against.
func (k *Keys) MAC(purpose string, parts ...[]byte) []byte { return k.master.MAC(purpose, parts...) }

// place is where a key's value belongs: its envelope opens nowhere else, not even at
// an earlier revision of the same path.
func place(organisationID, path string, revision int64) string {
	return "key\x00" + organisationID + "\x00" + path + "\x00" + strconv.FormatInt(revision, 10)
}

// Set stores a value at path, in place of one that is there. by is for people.
func (k *Keys) Set(ctx context.Context, organisationID, path string, typ hub.KeyType, value []byte, by string) (*hub.Key, error) {
	if err := hub.CheckKeyPath(path); err != nil {
		return nil, err
	}
	value, err := checkValue(path, typ, value)
	if err != nil {
		return nil, err
	}
	key := &hub.Key{OrganisationID: organisationID, Path: path, Type: typ, Size: len(value), CreatedBy: by}
	err = k.st.SetKey(ctx, key, func(revision int64) ([]byte, error) {
		return k.master.Seal(place(organisationID, path, revision), value)
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}

// List tells the keys whose path begins with prefix ("" for all), by path, without
// values, and the cursor of the next page ("" when there is none).
func (k *Keys) List(ctx context.Context, organisationID, prefix string, page store.Page) ([]*hub.Key, string, error) {
	return k.st.Keys(ctx, organisationID, prefix, page)
}

// Get returns a key with its plain value, which no face may show unless it is public.
func (k *Keys) Get(ctx context.Context, organisationID, path string) (*hub.Key, []byte, error) {
	key, sealed, err := k.st.SealedKey(ctx, organisationID, path)
	if err != nil {
		return nil, nil, err
	}
	value, err := k.master.Open(place(organisationID, path, key.Revision), sealed)
	if errors.Is(err, errEnvelope) {
		return nil, nil, hub.Errorf(hub.CodeInvalid, "The key %s cannot be opened: what is stored of it is cut off, altered, or belongs elsewhere. Store it again with: fairlead keys set %s --file FILE --type TYPE", path, path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("opening key %s: %w", path, err)
	}
	return key, value, nil
}

// Delete removes a key, if it still has the revision (0: whatever it has). Jobs that
// name it fail from then on, and say so.
func (k *Keys) Delete(ctx context.Context, organisationID, path string, revision int64) error {
	return k.st.DeleteKey(ctx, organisationID, path, revision)
}

// SealOptions closes the values of secure options that were given to a run, to be
// stored beside it.
func (k *Keys) SealOptions(_ context.Context, organisationID, executionID string, values map[string]string) ([]byte, error) {
	plain, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encoding secure options: %w", err)
	}
	return k.master.Seal(optionsPlace(organisationID, executionID), plain)
}

// OpenOptions reverses SealOptions; nothing sealed gives no values.
func (k *Keys) OpenOptions(_ context.Context, organisationID, executionID string, sealed []byte) (map[string]string, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := k.master.Open(optionsPlace(organisationID, executionID), sealed)
	if err != nil {
		return nil, fmt.Errorf("opening the secure options of execution %s: %w", executionID, err)
	}
	var values map[string]string
	if err := json.Unmarshal(plain, &values); err != nil {
		// Not the decoder's words: they may quote a value.
		return nil, hub.Errorf(hub.CodeInvalid, "The secure options of execution %s are malformed.", executionID)
	}
	return values, nil
}

func optionsPlace(organisationID, executionID string) string {
	return "options\x00" + organisationID + "\x00" + executionID
}
