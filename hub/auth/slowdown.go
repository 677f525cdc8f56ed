package auth

import (
	"sync"
	"time"

	"github.com/fairlead/fairlead/hub"
)

// slowdown remembers wrong tries for names that do not exist, so that they are told
// apart from those that do (which the store counts) by nothing: after freeTries
// failures each further one doubles a pause, up to maxPause. Nobody is ever locked out
// for good.
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
	// maxNames bounds the memory that guessed names can take; beyond it all are
	// forgotten.
	maxNames = 10_000
)

// pauseAfter is how long the next try must wait after so many wrong ones.
func pauseAfter(count int) time.Duration {
	if count < freeTries {
		return 0
	}
	return min(time.Second<<min(count-freeTries, 20), maxPause)
}

// paused returns an error while a pause lasts.
func paused(until, now time.Time) error {
	if left := until.Sub(now); left > 0 {
		return hub.Errorf(hub.CodeExhausted, "Too many wrong passwords for this name; try again in %s.", left.Round(time.Second)+time.Second)
	}
	return nil
}

// check returns an error while name is paused.
func (s *slowdown) check(name string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return paused(s.names[name].until, now)
}

func (s *slowdown) failed(name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[string]failures{}
	}
	if len(s.names) >= maxNames {
		clear(s.names)
	}
	f := s.names[name]
	f.count++
	f.until = now.Add(pauseAfter(f.count))
	s.names[name] = f
}
