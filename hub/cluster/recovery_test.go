package cluster

import (
	"context"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

// A tick that finds an earlier incarnation than this member saw was made on another
// server, whose clock may be ahead; one that was only read too early was not.
func TestTickFindsEarlierIncarnation(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		ctx, st := context.Background(), open(t)
		c := member(t, st, "a")
		if _, err := st.HoldCluster(ctx, hub.HoldPromotion, "a standby took over", 1); err != nil {
			t.Fatal(err)
		}
		if err := c.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		hold, err := c.wentBack(ctx, c.Tick(), hub.Hold{Incarnation: 1})
		if err != nil || hold.Incarnation != 2 || hold.Kind != hub.HoldPromotion {
			t.Errorf("what was read too early is taken for a fall-back: %+v, %v", hold, err)
		}
		c.learnHold(ctx, c.Tick(), hub.Hold{Incarnation: 5}) // of the other server
		if err := c.advance(ctx); err != nil {
			t.Fatal(err)
		}
		hold, err = st.ReadHold(ctx)
		if err != nil || hold.Incarnation != 6 || hold.Kind != hub.HoldRestore || !strings.Contains(hold.Reason, "in incarnation 2; this hub saw 5") {
			t.Errorf("held as %+v, %v", hold, err)
		}
		if c.Hold() != hold {
			t.Errorf("the member knows of %+v", c.Hold())
		}
	})
}
