package cluster

import (
	"context"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// What one member notices reaches the others over PostgreSQL, and not itself.
func TestNoticesReachOtherMembers(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		if st.Dialect() == "sqlite" {
			// Nobody else is there to hear; it must not fail either.
			if err := st.Notify(t.Context(), "x"); err != nil {
				t.Error(err)
			}
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		woken := make(chan hub.Wake, 100)
		members := make([]*Cluster, 2)
		done := make(chan error, len(members))
		for i, name := range []string{"a", "b"} {
			members[i] = New(st, testMaster(t), Config{
				ID: store.NewID(), Name: name,
				Woken: func(_ context.Context, w hub.Wake) error {
					if name == "a" {
						t.Error("it hears itself")
					}
					woken <- w
					return nil
				},
			}, storetest.Logger(t))
			if err := members[i].Join(ctx); err != nil {
				t.Fatal(err)
			}
			go func() { done <- members[i].Run(ctx) }()
		}
		// Who does not listen yet misses it: so it is told until it is heard.
		var got hub.Wake
		until(t, "offers, stops and ready work were heard of", func() bool {
			members[0].Notice(hub.Wake{Offers: []string{"1"}})
			members[0].Notice(hub.Wake{Ready: true})
			members[0].Notice(hub.Wake{Stops: true})
			for {
				select {
				case w := <-woken:
					got = hub.Wake{Look: got.Look || w.Look, Ready: got.Ready || w.Ready, Stops: got.Stops || w.Stops}
				default:
					return got.Look && got.Ready && got.Stops
				}
			}
		})
		cancel()
		for range members {
			if err := <-done; err != nil {
				t.Errorf("got %v", err)
			}
		}
	})
}
