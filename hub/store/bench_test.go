package store_test

import (
	"testing"

	"github.com/fairlead/fairlead/hub/store"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// What a commit costs: one compare-and-set and one insert, synced as in production.
func BenchmarkTransaction(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			cfg := storetest.Config(b)
			cfg.NoSync = false
			if kind == "postgres" {
				cfg = store.Config{URL: storetest.StartServer(b).URL("postgres")}
			}
			ctx := b.Context()
			st, err := store.Open(ctx, cfg)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = st.Close() })
			if err := st.Migrate(ctx); err != nil {
				b.Fatal(err)
			}
			var tick int64
			for b.Loop() {
				if tick, _, err = st.AdvanceTick(ctx, tick, []byte("nonce")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
