package hub_test

import (
	"strings"
	"testing"

	"github.com/fairlead/fairlead/hub"
)

func TestQuotaAdmits(t *testing.T) {
	t.Parallel()
	const gb = 1 << 30
	for name, tt := range map[string]struct {
		limit, used int64
		near, over  bool
		says        []string
	}{
		"no limit":       {0, 99 * gb, false, false, nil},
		"below 90 %":     {100 * gb, 90*gb - 1, false, false, nil},
		"from 90 % on":   {100 * gb, 90 * gb, true, false, nil},
		"one byte less":  {100 * gb, 100*gb - 1, true, false, nil},
		"reached":        {100 * gb, 100 * gb, true, true, []string{"hold 100 GB", "quota is 100 GB", "fairlead quota set"}},
		"lowered below":  {hub.MinQuota, 3 * gb / 2, true, true, []string{"hold 1.5 GB", "quota is 1 MB"}},
		"largest of all": {hub.MaxQuota, hub.MaxQuota - 1, true, false, nil},
	} {
		q := hub.Quota{LogBytes: tt.limit, UsedBytes: tt.used}
		err := q.Admit()
		if q.Near() != tt.near || q.Over() != tt.over || (hub.ErrorCode(err) == hub.CodeQuotaExceeded) != tt.over {
			t.Errorf("%s: near %v, over %v, %v", name, q.Near(), q.Over(), err)
		}
		for _, part := range tt.says {
			if !strings.Contains(hub.ErrorMessage(err), part) {
				t.Errorf("%s: %q is not in %q", name, part, hub.ErrorMessage(err))
			}
		}
	}
}

func TestQuotaCheck(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, hub.MinQuota, hub.MaxQuota} {
		if wrong := (&hub.Quota{LogBytes: n, ExecutionLogBytes: n}).Check(); len(wrong) != 0 {
			t.Errorf("%d: %v", n, wrong)
		}
	}
	for _, n := range []int64{-1, 1, hub.MinQuota - 1, hub.MaxQuota + 1} {
		if wrong := (&hub.Quota{LogBytes: n, ExecutionLogBytes: n}).Check(); len(wrong) != 2 || wrong[0].Path != "logBytes" || wrong[1].Path != "executionLogBytes" {
			t.Errorf("%d: %v", n, wrong)
		}
	}
}
