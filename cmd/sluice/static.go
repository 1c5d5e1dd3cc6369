package main

import (
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// staticTypes are the files that are sent as they are. A list of what may be
// sent is safer than one of what may not: an application's tree is full of
// configuration, data and backups of scripts that must never leave it.
var staticTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".map": "application/json", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json",
	".html": "", ".htm": "", ".pdf": "application/pdf",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon", ".cur": "image/x-icon",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".eot": "application/vnd.ms-fontobject",
	".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".mp4": "video/mp4", ".webm": "video/webm",
}

// files serves the static files under a preset's root.
type files struct {
	root  *cgi.Root
	mount string
}

// name returns the file a request is for, if it may be sent at all.
func (f *files) name(r *http.Request) (string, bool) {
	rest, ok := strings.CutPrefix(r.URL.Path, f.mount)
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "", false
	}
	name, ok := strings.CutPrefix(rest, "/")
	if !ok || name == "" || path.Clean(name) != name || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return "", false
	}
	_, ok = staticTypes[strings.ToLower(path.Ext(name))]
	return name, ok || name == "robots.txt"
}

// has reports whether serve will find the request's file.
func (f *files) has(r *http.Request) bool {
	name, ok := f.name(r)
	if !ok {
		return false
	}
	info, err := f.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (f *files) serve(w http.ResponseWriter, r *http.Request) {
	name, _ := f.name(r)
	file, err := f.root.Open(name)
	if err != nil {
		http.Error(w, "404 Not Found", http.StatusNotFound) // it went since has
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.Error(w, "404 Not Found", http.StatusNotFound)
		return
	}
	ext := strings.ToLower(path.Ext(name))
	contentType := staticTypes[ext]
	if contentType == "" {
		contentType = mime.TypeByExtension(ext)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, info.ModTime(), file)
}
