package main

import "testing"

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		bytes int64
		back  string
	}{
		"0": {0, "0 B"}, "none": {0, "0 B"}, "1023": {1023, "1023 B"}, "5 kb": {5 << 10, "5 KB"}, "50GB": {50 << 30, "50 GB"},
		"1536MB": {1536 << 20, "1.5 GB"}, "4096TB": {4096 << 40, "4096 TB"}, "7B": {7, "7 B"},
	} {
		n, err := parseSize(text)
		if err != nil || n != want.bytes || sizeText(n) != want.back {
			t.Errorf("%q is %d (%s), %v; want %d (%s)", text, n, sizeText(n), err, want.bytes, want.back)
		}
	}
	for _, text := range []string{"", "1.5GB", "-1", "GB", "5 XB", "99999999999TB", "99999999999999999999", "5GBs"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q is %d", text, n)
		}
	}
}
