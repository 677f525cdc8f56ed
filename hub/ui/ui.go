// Package ui serves the web front end: a single-page application, built from web/ by
// Vite into dist/ and embedded, so that no request ever leaves the hub's origin.
package ui

import (
	"crypto/rand"
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// dist holds what `npm run build` left; a fresh checkout has only .gitkeep in it, so
// that Go builds before Node does.
//
//go:embed all:dist
var dist embed.FS

// nonceMark stands in index.html where the nonce of one answer goes. The component
// library adds style elements while it runs, and the policy lets it by this nonce.
const nonceMark = "__NONCE__"

// missing is answered when the binary was built without the front end.
const missing = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Fairlead</title></head>
<body><h1>The web front end is not in this binary</h1>
<p>Build it, then the hub again: <code>cd hub/ui/web &amp;&amp; npm ci &amp;&amp; npm run build</code>, or <code>make build</code>.</p>
<p>The API and the command line work without it.</p></body></html>
`

// Handler serves the front end: files of the build under their names, and its one page
// for every other path, since the application routes by itself. Paths of the hub's
// other faces that reach it do not exist and are told so.
func Handler() http.Handler {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic("hub/ui: the embedded folder is named dist: " + err.Error())
	}
	return handler(files)
}

func handler(files fs.FS) http.Handler {
	index, err := fs.ReadFile(files, "index.html")
	built := err == nil
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the front end only answers GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		switch {
		case foreign(name):
			http.NotFound(w, r)
		case name != "index.html" && serveFile(w, r, files, name):
		case strings.HasPrefix(name, "assets/"):
			// An old page asks for files of an older build: no page may stand in for them.
			http.NotFound(w, r)
		case !built:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(missing))
		default:
			serveIndex(w, string(index))
		}
	})
}

// foreign reports whether name lies under another face of the hub.
func foreign(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	switch first {
	case "api", "install", "health", "metrics":
		return true
	default:
		return false
	}
}

// serveFile answers with a file of the build, compressed where the build left it so
// and the browser takes it; false if there is none.
func serveFile(w http.ResponseWriter, r *http.Request, files fs.FS, name string) bool {
	info, err := fs.Stat(files, name)
	if err != nil || info.IsDir() || strings.HasPrefix(path.Base(name), ".") || strings.HasSuffix(name, ".gz") {
		return false
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	if t := contentType(name); t != "" {
		h.Set("Content-Type", t)
	}
	if strings.HasPrefix(name, "assets/") {
		// The name holds a hash of what is inside.
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if _, err := fs.Stat(files, name+".gz"); err == nil {
			h.Set("Content-Encoding", "gzip")
			name += ".gz"
		}
	}
	http.ServeFileFS(w, r, files, name) //nolint:gosec // io/fs refuses names that climb, and the files are embedded
	return true
}

// contentType names what the standard library knows only with the help of a file that
// small machines lack; a browser that is told not to guess needs it.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".woff2":
		return "font/woff2"
	case ".ico":
		return "image/x-icon"
	default:
		return mime.TypeByExtension(ext)
	}
}

func serveIndex(w http.ResponseWriter, index string) {
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; "+
		"img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "+
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	_, _ = w.Write([]byte(strings.ReplaceAll(index, nonceMark, nonce)))
}
