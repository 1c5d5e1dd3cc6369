package main

import (
	"net/http"
	"path"
	"strings"

	"github.com/sluice-proxy/sluice/bridge"
)

// staticTypes are the files that are sent as they are. A list of what may be
// sent is safer than one of what may not: an application's tree is full of
// configuration, data and backups of scripts that must never leave it. Plain text
// is data to many of them, so of .txt only robots.txt is sent.
var staticTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".map": "application/json", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json",
	".html": "text/html", ".htm": "text/html", ".txt": "text/plain; charset=utf-8", ".pdf": "application/pdf",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon", ".cur": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".eot": "application/vnd.ms-fontobject",
	".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".mp4": "video/mp4", ".webm": "video/webm",
}

// files serves the static files under a preset's root.
type files struct{ bridge *bridge.Bridge }

// name returns the file a request is for, if it is there and may be sent.
func (f *files) name(r *http.Request) (string, bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "", false
	}
	if !strings.HasSuffix(r.URL.Path, "/") && !sendable(r.URL.Path) {
		return "", false // decided without a look at the disk
	}
	name, ok := f.bridge.StaticFile(r) // which may be a directory's index.html
	return name, ok && sendable(name)
}

func sendable(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	_, ok := staticTypes[ext]
	return ok && (ext != ".txt" || path.Base(name) == "robots.txt")
}

func (f *files) serve(w http.ResponseWriter, r *http.Request, name string) {
	file, err := f.bridge.Root().Open(name)
	if err != nil {
		http.Error(w, "404 Not Found", http.StatusNotFound) // it went since it was looked up
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		http.Error(w, "404 Not Found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", staticTypes[strings.ToLower(path.Ext(name))])
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, info.ModTime(), file)
}
