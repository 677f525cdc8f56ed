package archive

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// DefaultPath is where objects lie when nothing is said.
const DefaultPath = "{organisation}/{project}/{job}/{date}/{number}/{attempt}.flog"

// Path is a template of keys.
type Path struct{ text string }

// Bounds of a path: S3 has keys of at most 1,024 bytes, and file systems names of 255.
const (
	maxTemplate = 200
	maxSegment  = 100
	maxName     = 240
	maxKey      = 900
)

// words that a template may hold.
func words() []string {
	return []string{"organisation", "project", "job", "date", "number", "execution", "attempt"}
}

// placeholder is compiled once.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// ParsePath checks a template.
func ParsePath(text string) (*Path, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("is longer than %d bytes", maxTemplate)
	}
	for _, found := range placeholder.FindAllString(text, -1) {
		if !slices.Contains(words(), found[1:len(found)-1]) {
			return nil, fmt.Errorf("holds %s; known are {%s}", found, strings.Join(words(), "}, {"))
		}
	}
	if !strings.Contains(text, "{attempt}") {
		return nil, fmt.Errorf("lacks {attempt}: without it two objects could have one name")
	}
	plain := placeholder.ReplaceAllString(text, "x")
	if i := strings.IndexFunc(plain, func(r rune) bool { return r != '/' && !kept(r) }); i >= 0 {
		return nil, fmt.Errorf("holds %q; beside placeholders it may have letters, digits and -_.+@=", []rune(plain[i:])[0])
	}
	for segment := range strings.SplitSeq(plain, "/") {
		if segment == "" || segment[0] == '.' {
			return nil, fmt.Errorf("has a part that is empty or begins with a dot")
		}
	}
	return &Path{text}, nil
}

// Subject is what a key is made of.
type Subject struct {
	// Names; Job with its group, "" for a command.
	Organisation, Project, Job string
	// Execution and Attempt are ids.
	Execution, Attempt string
	Number             int64
	CreatedAt          time.Time
}

// Key makes the key of an attempt's object. Whatever the names hold, it stays inside of the
// archive.
func (p *Path) Key(s Subject) string {
	job := s.Job
	if job == "" {
		job = "command"
	}
	key := strings.NewReplacer(
		"{organisation}", segment(s.Organisation), "{project}", segment(s.Project), "{job}", segments(job),
		"{date}", s.CreatedAt.UTC().Format(time.DateOnly), "{number}", strconv.FormatInt(s.Number, 10),
		"{execution}", segment(s.Execution), "{attempt}", segment(s.Attempt),
	).Replace(p.text)
	tooLong := func(part string) bool { return len(part) > maxName }
	if len(key) > maxKey || slices.ContainsFunc(strings.Split(key, "/"), tooLong) {
		return "long/" + segment(s.Attempt)
	}
	return key
}

// segments makes a name with groups a path.
func segments(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = segment(parts[i])
	}
	return strings.Join(parts, "/")
}

// segment makes a name one part of a path that every archive takes.
func segment(name string) string {
	clean := strings.Map(func(r rune) rune {
		if kept(r) {
			return r
		}
		return '_'
	}, strings.ToValidUTF8(name, "_"))
	if clean == "" || clean[0] == '.' {
		clean = "_" + clean
	}
	for len(clean) > maxSegment {
		_, n := utf8.DecodeLastRuneInString(clean)
		clean = clean[:len(clean)-n]
	}
	return clean
}

func kept(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.+@=", r)
}
