package runner

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
)

// HostBinding says what counts as the same host.
type HostBinding string

// The bindings.
const (
	// BindAuto: a rebooted host is the same if its product UUID can be read.
	BindAuto HostBinding = "auto"
	// BindStrict: another boot is another host.
	BindStrict HostBinding = "strict"
)

// Identify makes the two hashes that tell boots and hosts apart. lockIdent is inode
// and birth time of the lock file, so that a copied data directory is another host
// even on the same machine.
func Identify(lockIdent string, binding HostBinding) (bootID, hostID []byte, err error) {
	return identify(os.ReadFile, lockIdent, binding)
}

func identify(read func(string) ([]byte, error), lockIdent string, binding HostBinding) (bootID, hostID []byte, err error) {
	boot, err := line(read, "/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, nil, fmt.Errorf("reading the kernel's boot id: %w", err)
	}
	bootID = digest("boot", boot, lockIdent)
	product, err := line(read, "/sys/class/dmi/id/product_uuid")
	if err != nil || binding == BindStrict {
		return bootID, digest("host by boot", string(bootID)), nil
	}
	machine, err := line(read, "/etc/machine-id")
	if err != nil {
		machine = "" // containers may have none; product and lock remain
	}
	return bootID, digest("host", product, machine, lockIdent), nil
}

// line reads a file of one line that must say something.
func line(read func(string) ([]byte, error), path string) (string, error) {
	b, err := read(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

func digest(parts ...string) []byte {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p) // a hash takes all
	}
	return h.Sum(nil)
}
