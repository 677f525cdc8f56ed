package ui

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func testFiles() fstest.MapFS {
	return fstest.MapFS{
		"index.html":          {Data: []byte(`<meta name="csp-nonce" content="__NONCE__"><div id="root"></div>`)},
		".gitkeep":            {Data: nil},
		"theme.js":            {Data: []byte("theme()")},
		"assets/app-1.js":     {Data: []byte("plain")},
		"assets/app-1.js.gz":  {Data: gzipped("packed")},
		"assets/font-1.woff2": {Data: []byte("wOF2")},
	}
}

func gzipped(text string) []byte {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return []byte(b.String())
}

func TestHandler(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, path, encoding string
		status                       int
		body, header, value          string
	}{
		{"page", "GET", "/", "", 200, `<div id="root">`, "Cache-Control", "no-store"},
		{"page for a deep address", "GET", "/projects/web/jobs/1", "gzip", 200, `<div id="root">`, "Content-Type", "text/html; charset=utf-8"},
		{"file", "GET", "/assets/app-1.js", "", 200, "plain", "Cache-Control", "public, max-age=31536000, immutable"},
		{"packed file", "GET", "/assets/app-1.js", "br, gzip", 200, "packed", "Content-Type", "text/javascript; charset=utf-8"},
		{"file that may change", "GET", "/theme.js", "", 200, "theme()", "Cache-Control", "no-cache"},
		{"font", "GET", "/assets/font-1.woff2", "", 200, "wOF2", "Content-Type", "font/woff2"},
		{"file of an older build", "GET", "/assets/app-0.js", "", 404, "", "", ""},
		{"packed name itself", "GET", "/assets/app-1.js.gz", "", 404, "", "", ""},
		{"hidden file", "GET", "/.gitkeep", "", 200, `<div id="root">`, "", ""},
		{"API path that is not there", "GET", "/api/v1/nothing", "", 404, "", "", ""},
		{"health path that is not there", "GET", "/health/nothing", "", 404, "", "", ""},
		{"climbing", "GET", "/assets/../../ui.go", "", 200, `<div id="root">`, "", ""},
		{"other method", "POST", "/", "", 405, "", "Allow", "GET, HEAD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, http.NoBody)
			r.Header.Set("Accept-Encoding", tt.encoding)
			w := httptest.NewRecorder()
			handler(testFiles()).ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d", w.Code, tt.status)
			}
			if body := bodyOf(t, w); !strings.Contains(body, tt.body) {
				t.Errorf("body %q lacks %q", body, tt.body)
			}
			if got := w.Header().Get(tt.header); tt.header != "" && got != tt.value {
				t.Errorf("%s is %q, want %q", tt.header, got, tt.value)
			}
		})
	}
}

func bodyOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var r io.Reader = w.Body
	if w.Header().Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Each page has a nonce of its own, and the policy names the same one.
func TestHandlerNonce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 3 {
		w := httptest.NewRecorder()
		handler(testFiles()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody))
		_, rest, _ := strings.Cut(w.Body.String(), `content="`)
		nonce, _, _ := strings.Cut(rest, `"`)
		policy := w.Header().Get("Content-Security-Policy")
		if len(nonce) < 20 || seen[nonce] || !strings.Contains(policy, "'nonce-"+nonce+"'") {
			t.Errorf("nonce %q, policy %q", nonce, policy)
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q lets inline code in", policy)
		}
		seen[nonce] = true
	}
}

func TestHandlerNotBuilt(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	handler(fstest.MapFS{".gitkeep": {}}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/jobs", http.NoBody))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "npm ci") {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
}
