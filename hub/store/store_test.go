package store_test

import (
	"context"
	"testing"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store/storetest"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, open storetest.Opener) {
		st := open(t)
		o, err := st.Organisation(context.Background(), hub.DefaultOrganisationID)
		if err != nil || o.Name != "default" {
			t.Fatal(o, err)
		}
	})
}
