package runner

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"

	"github.com/fairlead/fairlead/proto/failpoint"
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
	return identify(readIdentity, lockIdent, binding)
}

// readIdentity reads what names this boot and this host; tests stand others in.
func readIdentity(path string) ([]byte, error) {
	override := ""
	switch path {
	case bootIDFile:
		override = failpoint.Override("boot")
	case productFile:
		override = failpoint.Override("host")
	}
	if override != "" {
		return []byte(override), nil
	}
	return os.ReadFile(path)
}

// Where Linux names a boot and a machine.
const (
	bootIDFile  = "/proc/sys/kernel/random/boot_id"
	productFile = "/sys/class/dmi/id/product_uuid"
)

func identify(read func(string) ([]byte, error), lockIdent string, binding HostBinding) (bootID, hostID []byte, err error) {
	boot, err := line(read, bootIDFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the kernel's boot id: %w", err)
	}
	bootID = digest("boot", boot, lockIdent)
	product, err := line(read, productFile)
	if err != nil || binding == BindStrict {
		return bootID, digest("host by boot", string(bootID)), nil //nolint:nilerr // the boot stands in for what cannot be read
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
