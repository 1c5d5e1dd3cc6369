package cgi

import (
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

// notScript is the answer for rest, which exists and is no script that may be run. It may
// be a static file, unless by its name it holds the source of a program.
func (m *Mapper) notScript(rest string, info fs.FileInfo) *RequestError {
	if refused := m.unsent(rest); refused != nil {
		return refused
	}
	if !info.Mode().IsRegular() || strings.HasSuffix(rest, "/") {
		return notFound("%.200q is not a script", rest)
	}
	if !m.static.may(rest) {
		return m.static.refusal(rest)
	}
	refused := notFound("%.200q is a static file, and not the application's", rest)
	refused.File = fileName(rest)
	return refused
}

// unsent is the answer for a file that is never sent, because of its name.
func (m *Mapper) unsent(rest string) *RequestError {
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

// isSource reports the endings of programs and their parts, in lower case.
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

// isProgram reports the endings of programs that are run as they are, in lower case.
func isProgram(ext string) bool {
	switch ext {
	case ".cgi", ".fcgi", ".pl", ".pm", ".py", ".rb", ".sh", ".lua", ".tcl":
		return true
	}
	return false
}

// isBackup reports names that editors and tools give to copies, in lower case.
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

// isCopy reports names of copies of scripts, in lower case: "x.php.old", "x.php_2024",
// "x.php-dist", "x.pl.1". "index.php.html" is a file of another kind.
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

// plainKinds are the endings of files that hold no source of a program.
var plainKinds = []string{
	"html", "htm", "xhtml", "css", "js", "mjs", "map", "json", "xml", "rss", "atom",
	"png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "pdf",
	"woff", "woff2", "ttf", "otf", "mp3", "ogg", "mp4", "webm",
}

// hasDot reports whether an element of a path begins with a dot. /.well-known/ may
// (RFC 8615).
func hasDot(rest string) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(rest, wellKnown), "/") {
		if strings.HasPrefix(segment, ".") {
			return true
		}
	}
	return false
}
