package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Account is a user of this machine, with a password, who may use sudo with it.
type Account struct {
	Name, Password string
}

const sudoers = "/etc/sudoers.d"

// NewAccount makes an account; it takes root. Remove removes it.
func NewAccount(ctx context.Context) (*Account, error) {
	var random [6]byte
	_, _ = rand.Read(random[:])
	word := hex.EncodeToString(random[:])
	a := &Account{Name: "flt" + word, Password: `open "sesame" it's \n $HOME 100% ünï→ ` + word}
	if err := accounts(ctx, "", "useradd", "--no-create-home", "--home-dir", "/", "--shell", "/bin/bash", a.Name); err != nil {
		return nil, err
	}
	err := accounts(ctx, a.Name+":"+a.Password+"\n", "chpasswd")
	if err == nil {
		err = os.WriteFile(filepath.Join(sudoers, a.Name), []byte(a.Name+" ALL=(ALL:ALL) ALL\n"), 0o440)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making an account: %w", err), a.Remove(ctx))
	}
	return a, nil
}

// Remove removes the account and its right to use sudo.
func (a *Account) Remove(ctx context.Context) error {
	err := os.Remove(filepath.Join(sudoers, a.Name))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, accounts(ctx, "", "userdel", "--force", a.Name))
}

// accounts runs a program that changes the machine's accounts. Others may be at it,
// and have the lock.
func accounts(ctx context.Context, stdin string, argv ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return Poll(ctx, 100*time.Millisecond, func() error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
		return nil
	})
}
