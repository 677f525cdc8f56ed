package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a JSON body: nothing of the API is deeper.
const maxDepth = 64

// unmarshalStrict reads a JSON body that must be one value, with no key twice and no
// deep nesting: parsers that disagree on such input have let requests past checks.
// Unknown fields are refused by the schemas.
func unmarshalStrict(data []byte, v any) error {
	if _, ok := v.(*any); ok { // the first of the two passes that huma makes
		if err := checkJSON(data); err != nil {
			return err
		}
	}
	return json.Unmarshal(data, v)
}

// checkJSON walks the tokens of data.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		// The decoder puts another character in the place of such bytes, and a command would
		// run as nobody gave it.
		return errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body holds more than one JSON value")
	}
	return nil
}

// checkValue walks one value.
func checkValue(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("the body is nested deeper than %d levels", maxDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return fmt.Errorf("the body is not valid JSON: %w", err)
	}
	open, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return fmt.Errorf("the body is not valid JSON: %w", err)
			}
			name, _ := key.(string)
			if seen[name] {
				return fmt.Errorf("key %q appears twice", name)
			}
			seen[name] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the body is not valid JSON: %w", err)
	}
	return nil
}
