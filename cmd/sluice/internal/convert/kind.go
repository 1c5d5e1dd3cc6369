package convert

import (
	"path/filepath"
	"regexp"
	"strings"
)

// signs are what only one of the servers writes, in lines without comments.
var signs = []struct {
	kind    Kind
	pattern *regexp.Regexp
}{
	{Apache, regexp.MustCompile(`(?mi)^\s*(<(VirtualHost|Directory|Location|IfModule|FilesMatch|Proxy)\b|(ServerRoot|LoadModule|DocumentRoot|ProxyPass|ProxyPassMatch|WSGIScriptAlias|ScriptAlias|SetHandler|FcgidWrapper|FcgidInitialEnv|RewriteEngine|Alias)\s)`)},
	{Lighttpd, regexp.MustCompile(`(?m)^\s*(server\.(modules|document-root|port|bind)|(fastcgi|scgi|proxy)\.server|alias\.url|url\.(rewrite|redirect|access-deny)[a-z-]*|\$(HTTP|SERVER)\[)\s*(\+?=|\[|"|:?=)?`)},
	{Nginx, regexp.MustCompile(`(?m)^\s*((http|server|events|location\s[^;{]*|upstream\s[^;{]*)\s*\{|(fastcgi|uwsgi|scgi|proxy)_pass\s[^;]*;|server_name\s[^;]*;|listen\s[^;]*;)`)},
	{Caddy, regexp.MustCompile(`(?m)^\s*((php_fastcgi|reverse_proxy|file_server|handle_path|respond|redir|encode|root\s+\*)(\s|$)|[^\s{]*[\w.:*-]+\s*\{\s*$)`)},
}

// kindOf finds out whose configuration a text is, by its name or by what is in it. "" if that says nothing.
func kindOf(path, text string) Kind {
	for part := range strings.SplitSeq(strings.ToLower(filepath.ToSlash(path)), "/") {
		switch {
		case strings.HasPrefix(part, "nginx"):
			return Nginx
		case strings.HasPrefix(part, "lighttpd"):
			return Lighttpd
		case strings.HasPrefix(part, "apache"), strings.HasPrefix(part, "httpd"):
			return Apache
		case strings.HasPrefix(part, "caddyfile"), part == "caddy":
			return Caddy
		}
	}
	text = regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(text, "")
	for _, sign := range signs {
		if sign.pattern.MatchString(text) {
			return sign.kind
		}
	}
	return ""
}
