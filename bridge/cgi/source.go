package cgi

import (
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

// notScript returns the answer for rest, which exists and is not a script to run. It may be a
// static file, unless its name is that of a program's source.
func (m *Mapper) notScript(rest string, info fs.FileInfo) *RequestError {
	if refused := m.neverSent(rest); refused != nil {
		return refused
	}
	if !info.Mode().IsRegular() || strings.HasSuffix(rest, "/") {
		return notFound("%.200q is not a script", rest)
	}
	if !m.static.allows(rest) {
		return m.static.refusal(rest)
	}
	refused := notFound("%.200q is a static file, and not the application's", rest)
	refused.File = fileName(rest)
	return refused
}

// neverSent returns the answer for a file whose name forbids sending it, nil for other files.
func (m *Mapper) neverSent(rest string) *RequestError {
	switch name := strings.ToLower(path.Base(rest)); {
	case isBackup(name), m.isCopy(name):
		return notFound("%.200q is a backup by its name, and is not sent", rest)
	case m.isSource(path.Ext(name)):
		return &RequestError{
			Status: http.StatusForbidden,
			Reason: fmt.Sprintf("%.200q is a script by its name but may not be run (cgi: chmod +x; php: only .php is run)", rest),
		}
	case hasDot(rest):
		return notFound("%.200q begins with a dot, and is not sent", rest)
	}
	return nil
}

// isSource reports whether ext, in lower case, is the extension of a program or a part of one.
func (m *Mapper) isSource(ext string) bool {
	if strings.HasPrefix(ext, ".php") {
		return true
	}
	switch ext {
	case ".phtml", ".phar", ".pht", ".inc":
		return true
	}
	return m.preset != PresetPHP && isProgram(ext)
}

// isProgram reports whether ext, in lower case, is the extension of a program that is executed.
func isProgram(ext string) bool {
	switch ext {
	case ".cgi", ".fcgi", ".pl", ".pm", ".py", ".rb", ".sh", ".lua", ".tcl":
		return true
	}
	return false
}

// isBackup reports whether name, in lower case, is one that editors and tools give to copies.
func isBackup(name string) bool {
	if strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
		return true
	}
	switch path.Ext(name) {
	case ".bak", ".orig", ".rej", ".save", ".swp", ".swo", ".swn":
		return true
	}
	return false
}

// isCopy reports whether name, in lower case, is that of a script's copy: "x.php.old",
// "x.php_2024", "x.php-dist", "x.pl.1". "index.php.html" is a file of another kind.
func (m *Mapper) isCopy(name string) bool {
	_, rest, more := strings.Cut(name, ".")
	for more {
		var part string
		part, rest, more = strings.Cut(rest, ".")
		word := part[:wordLength(part)]
		switch {
		case !m.isSource("." + word):
		case !more:
			return word != part
		default:
			return !slices.Contains(plainKinds, rest[strings.LastIndexByte(rest, '.')+1:])
		}
	}
	return false
}

func wordLength(s string) int {
	n := 0
	for n < len(s) && isAlphanumeric(s[n]) {
		n++
	}
	return n
}

// plainKinds has the extensions of files that hold no source of a program.
var plainKinds = []string{
	"html", "htm", "xhtml", "css", "js", "mjs", "map", "json", "xml", "rss", "atom",
	"png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "pdf",
	"woff", "woff2", "ttf", "otf", "mp3", "ogg", "mp4", "webm",
}

// hasDot reports whether an element of a path starts with a dot. /.well-known/ (RFC 8615) is
// excepted.
func hasDot(rest string) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(rest, wellKnown), "/") {
		if strings.HasPrefix(segment, ".") {
			return true
		}
	}
	return false
}
