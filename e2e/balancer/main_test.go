package balancer

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// binaries under test; set once by TestMain.
var binaries lab.Binaries

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "fairlead-balancer-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if binaries, err = lab.Build(ctx, dir, "grpcnotrace,failpoints"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
