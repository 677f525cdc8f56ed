package enroll

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// TokenSource is where an enrolment token may come from. The first that is set wins,
// in the order of the fields; "-" in one of the first two means Stdin.
type TokenSource struct {
	Flag  string
	File  string
	Env   string // the value of FAIRLEAD_RUNNER_TOKEN
	Stdin io.Reader
}

// maxToken bounds what is read: a token has about 150 bytes.
const maxToken = 4 << 10

// Token reads the token.
func (s TokenSource) Token() (string, error) {
	switch {
	case s.Flag == "-" || s.Flag == "" && s.File == "-":
		return readToken(s.Stdin, "standard input")
	case s.Flag != "":
		return s.Flag, nil
	case s.File != "":
		f, err := os.Open(s.File)
		if err != nil {
			return "", fmt.Errorf("reading the enrolment token: %w", err)
		}
		defer func() { _ = f.Close() }() // only read
		return readToken(f, s.File)
	case s.Env != "":
		return s.Env, nil
	default:
		return "", errors.New("no enrolment token: give --token-file FILE, --token - (standard input) or FAIRLEAD_RUNNER_TOKEN; `fairlead runners token create` makes one")
	}
}

func readToken(r io.Reader, what string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxToken))
	if err != nil {
		return "", fmt.Errorf("reading the enrolment token from %s: %w", what, err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("%s holds no enrolment token", what)
	}
	return token, nil
}
