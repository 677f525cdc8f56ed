//go:build failpoints

package failpoint

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// point is "name" or "name=3": the third time that name is reached. A comma separates
// several mutants.
var point = sync.OnceValues(func() (string, int64) {
	name, count, found := strings.Cut(os.Getenv("FAIRLEAD_FAILPOINT"), "=")
	if !found {
		return name, 1
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic("FAIRLEAD_FAILPOINT: " + err.Error())
	}
	return name, n
})

var hits atomic.Int64

// Hit ends the process at once, as kill -9 would, when this is the chosen point.
func Hit(name string) {
	if chosen, at := point(); chosen == name && hits.Add(1) == at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

var mutants = sync.OnceValue(func() []string { return strings.Split(os.Getenv("FAIRLEAD_MUTANT"), ",") })

// override is set by tests that run in one process and cannot use the environment.
var override atomic.Pointer[string]

// SetMutant chooses a mutant for this process until the returned function is called.
func SetMutant(name string) (restore func()) {
	override.Store(&name)
	return func() { override.Store(nil) }
}

// Mutant reports whether the named rule is to be broken.
func Mutant(name string) bool {
	if m := override.Load(); m != nil {
		return *m == name
	}
	return slices.Contains(mutants(), name)
}

// Override replaces what a test cannot change for real: "boot" and "host" stand for
// the identity of the machine, "clock" is a duration that certificates' times are
// judged with. It is FAIRLEAD_TEST_ and the name in capitals.
func Override(name string) string { return os.Getenv("FAIRLEAD_TEST_" + strings.ToUpper(name)) }
