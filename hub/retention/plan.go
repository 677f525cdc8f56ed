package retention

import (
	"context"
	"math"
	"time"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/store"
)

// Plan is what the next pass would take away of a project.
type Plan struct {
	hub.Retention

	// Ended executions that there are, and those of them that are kept.
	Ended, Kept int64
	// Executions that would go, the bytes of text in their logs, and when the first and the
	// last of them ended.
	Executions, TextBytes int64
	From, To              time.Time
}

// Of reads how long the executions of a project stay.
func (p *Purger) Of(project *hub.Project) (hub.Retention, []hub.FieldError) {
	return hub.ReadRetention(project.Settings, p.cfg.Age)
}

// Plan looks at all executions of a project as a pass does, and takes nothing away.
func (p *Purger) Plan(ctx context.Context, project *hub.Project) (Plan, error) {
	out := Plan{}
	var wrong []hub.FieldError
	if out.Retention, wrong = p.Of(project); len(wrong) > 0 {
		return out, hub.Errorf(hub.CodeInvalid, "Nothing of the project %s goes: its setting %s %s.", project.Name, wrong[0].Path, wrong[0].Message)
	}
	of := &store.RetentionProject{ID: project.ID}
	if err := p.st.FillRetentionProject(ctx, of); err != nil {
		return out, err
	}
	r := newRule(out.Retention, of, p.st.Now())
	for below := int64(math.MaxInt64); ; {
		began := time.Now()
		list, err := p.st.EndedExecutions(ctx, project.ID, below, lookedAt)
		if err != nil {
			return out, err
		}
		for i := range list {
			out.add(&list[i], r.goes(&list[i]))
		}
		if len(list) < lookedAt {
			return out, nil
		}
		below = list[len(list)-1].Number
		if err := rest(ctx, began); err != nil {
			return out, err
		}
	}
}

func (out *Plan) add(e *store.EndedExecution, goes bool) {
	out.Ended++
	if e.Kept {
		out.Kept++
	}
	if !goes {
		return
	}
	out.Executions++
	out.TextBytes += e.TextBytes
	if out.From.IsZero() || e.EndedAt.Before(out.From) {
		out.From = e.EndedAt
	}
	if e.EndedAt.After(out.To) {
		out.To = e.EndedAt
	}
}
