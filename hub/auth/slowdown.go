package auth

import (
	"sync"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// slowdown makes guessing slow without locking anyone out for good: after freeTries
// failures for one name, each further one doubles a pause, up to maxPause.
type slowdown struct {
	mu    sync.Mutex
	names map[string]failures
}

type failures struct {
	count int
	until time.Time
}

const (
	freeTries = 5
	maxPause  = 5 * time.Minute
	// maxNames bounds the memory that guessed names can take; beyond it, finished
	// pauses are forgotten.
	maxNames = 10_000
)

// check returns an error while name is paused.
func (s *slowdown) check(name string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.names[name].until.Sub(now); left > 0 {
		return hub.Errorf(hub.CodeExhausted, "Too many wrong passwords for this name; try again in %s.", left.Round(time.Second)+time.Second)
	}
	return nil
}

func (s *slowdown) failed(name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[string]failures{}
	}
	if len(s.names) >= maxNames {
		for n, f := range s.names {
			if now.After(f.until) {
				delete(s.names, n)
			}
		}
	}
	f := s.names[name]
	f.count++
	if f.count >= freeTries {
		f.until = now.Add(min(time.Second<<min(f.count-freeTries, 20), maxPause))
	}
	s.names[name] = f
}

func (s *slowdown) succeeded(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, name)
}
