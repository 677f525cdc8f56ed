package logfilter

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern compiles a setting, or what it is where nothing is said; nil for none.
func pattern(config map[string]string, name, preset string) (*regexp.Regexp, error) {
	text := config[name]
	if text == "" {
		text = preset
	}
	if text == "" {
		return nil, nil //nolint:nilnil // a pattern that nobody gave
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no regular expression (RE2): %w", name, err)
	}
	return re, nil
}

func truth(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on", "1":
		return true
	default:
		return false
	}
}
