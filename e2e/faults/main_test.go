package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fairlead/fairlead/e2e/lab"
)

// What all tests of the package share: the programs, built with failpoints, and one
// sshd with many addresses. Set once by TestMain.
var (
	binaries lab.Binaries
	sshd     *lab.SSHD
)

const sharedNodes = 48

// How often TestMembersKilledAtRandom kills, during how many steps.
var (
	kills = flag.Int("kills", 5, "members that are killed at random")
	steps = flag.Int("steps", 50, "steps that run meanwhile")
)

// How often TestLeaderKilledWhileSchedulesFire kills, and how many jobs fire each second.
var (
	takeovers = flag.Int("takeovers", 2, "leaders of the schedules that are killed")
	scheduled = flag.Int("scheduled", 3, "jobs that fire each second meanwhile")
)

// pours makes this program one that a step runs.
var pours = flag.Int("pour", 0, "print so many lines, a thousand a second, and end")

// sideBySide is how many tests run at once: most of them wait for real time to pass,
// and would do so one after another on a machine with two cores.
const sideBySide = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if *pours > 0 {
		if pour(os.Stdout, *pours) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := flag.Set("test.parallel", sideBySide); err != nil {
		panic(err)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "fairlead-faults-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if binaries, err = lab.Build(ctx, dir, "grpcnotrace,failpoints", "./e2e/demo"); err != nil {
		return 1, err
	}
	if sshd, err = lab.StartSSHD(ctx, dir, sharedNodes); err != nil {
		return 1, err
	}
	defer sshd.Stop()
	return m.Run(), nil
}
