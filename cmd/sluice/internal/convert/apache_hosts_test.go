package convert

import (
	"fmt"
	"strings"
	"testing"
)

// Each directive outside of virtual hosts reaches them as its module merges it.
func TestApacheHosts(t *testing.T) {
	const php = "DocumentRoot /srv/a\n<FilesMatch \\.php$>\nSetHandler \"proxy:fcgi://php:1\"\n</FilesMatch>\n"
	host := func(name, text string) string {
		return "<VirtualHost *:80>\nServerName " + name + "\n" + text + "\n</VirtualHost>\n"
	}
	for _, tt := range []struct {
		name, main, hosts string
		want              []string // parts of the output, or with ! what is not in it
	}{
		{"the main server has no port left", "Listen 80\n" + php, host("a", ""), []string{"!#", "[[site]]\nhosts = [\"a\"]\n", "!]]\napplication"}},
		{"the main server has a port of its own", "Listen 80\nListen 8080\n" + php, host("a", ""), []string{"!#", "[[site]]\nhosts = [\"a\"]\n", "[[site]]\napplication = \"php-1\"\n"}},
		{"it stands after the host", "", host("a", "") + php + "SetEnv X y\n", []string{"!#", "root = \"/srv/a\"\nenv = { X = \"y\" }"}},
		{"SetHandler of the host", php, host("a", strings.Replace(php, "php:1", "other:1", 1)), []string{"!#", "backends = [\"other:1\"]", "!php:1"}},
		{"SetHandler goes before AddHandler", php, host("a", "FcgidWrapper /usr/bin/php-cgi .php"), []string{"backends = [\"php:1\"]", "!spawn"}},
		{"ProxyPass goes before SetHandler", php, host("a", "ProxyPass / http://b:1/"), []string{"!#", "backends = [\"http://b:1\"]", "!php:1"}},
		{"the main server's ProxyPass is first", "ProxyPass / http://b:1/\nRedirectMatch ^/w$ /z", host("a", "ProxyPass /x http://c:1/x\nRedirect /y /z\nAlias /i /srv/i"), []string{"!#", "http://b:1", "!c:1", "!redirect", "!static_dirs"}},
		{"of locations the last counts", "ProxyPass /x http://b:1/x\n<Location /x>\nProxyPass http://c:1/x\n</Location>", host("a", "<Location /x>\nProxyPass http://d:1/x\n</Location>"), []string{"!#", "http://d:1", "!b:1", "!c:1"}},
		{"the host's Alias is first", php + "Alias /i /srv/js/m\nAlias /j /srv/js/j\nAlias /i/x /srv/js/x", host("a", "Alias /i /srv/js/h"), []string{"!#", "static_dirs = [\"/i=/srv/js/h\", \"/j=/srv/js/j\"]"}},
		{"an Alias for what ProxyPass leaves", "ProxyPass /static !\nAlias /static /srv/static", host("a", "ProxyPass / http://b:1/"), []string{"!#", "static_dirs = [\"/static=/srv/static\"]"}},
		{"no rules of mod_rewrite", php + "RewriteEngine on\nRewriteRule ^/x$ /y", host("a", ""), []string{"!#", "!rewrite"}},
		{"RewriteOptions Inherit", php + "RewriteRule ^/x$ /m", host("a", "RewriteOptions Inherit\nRewriteRule ^/x$ /h"), []string{"!#", "rewrite = [\"/x /h\", \"/x /m\"]"}},
		{"RewriteOptions InheritBefore", php + "RewriteRule ^/x$ /m", host("a", "RewriteOptions InheritBefore\nRewriteRule ^/x$ /h"), []string{"!#", "rewrite = [\"/x /m\", \"/x /h\"]"}},
		{"RewriteOptions InheritDown", php + "RewriteOptions InheritDown\nRewriteRule ^/x$ /m", host("a", "RewriteRule ^/x$ /h") + host("b", "RewriteOptions IgnoreInherit"), []string{"!#", "rewrite = [\"/x /h\", \"/x /m\"]\n\n[[site]]\nhosts = [\"b\"]\napplication = \"php-1\"\nroot = \"/srv/a\"\n$"}},
		{"rules of a directory", php + "<Directory /srv/a>\nRewriteRule ^x$ m\n</Directory>", host("a", "") + host("b", "<Directory /srv/a>\nRewriteRule ^x$ h\n</Directory>"), []string{"!#", "rewrite = [\"/x /m\"]", "rewrite = [\"/x /h\"]", "!/m\", "}},
		{"the main server's redirects to https are its own", "Listen 80\nListen 443\nListen 81\nSSLCertificateFile /c\nRewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301]\n" + php, host("a", ""), []string{"!#", "root = \"/srv/a\"\n\n", "hosts = [\"a\"]\napplication = \"php-1\"\ntls.certificate = [\"/c\"]\ntls.redirect = \"off\"\nroot = \"/srv/a\"\n"}},
		{"DirectoryIndex is replaced, and adds up", php + "DirectoryIndex a.php", host("a", "DirectoryIndex b.php\nDirectoryIndex c.php") + host("b", ""), []string{"!#", "index = [\"b.php\", \"c.php\"]", "index = [\"a.php\"]"}},
		{"DirectoryIndex with programs", php + "DirectoryIndex index.html index.cgi index.pl index.php", host("a", ""), []string{"!#", "index = [\"index.html\", \"index.php\"]"}},
		{"FallbackResource", php + "FallbackResource /a.php", host("a", "FallbackResource /b.php") + host("b", "FallbackResource disabled") + host("c", ""), []string{"!#", "fallback = \"/b.php\"", "fallback = \"/a.php\"", "hosts = [\"b\"]\napplication = \"php-1\"\nroot = \"/srv/a\"\n\n"}},
		{"the innermost directory", php + "<Directory /srv/a>\nFallbackResource /a.php\n</Directory>\n<Directory /srv>\nFallbackResource /b.php\n</Directory>", host("a", "FallbackResource /c.php"), []string{"!#", "fallback = \"/a.php\""}},
		{"a directory of another host", php + "<Directory /srv/b>\nFallbackResource /b.php\nSetEnv X y\n</Directory>", host("a", "") + host("b", "DocumentRoot /srv/b"), []string{"!#", "root = \"/srv/a\"\n\n", "root = \"/srv/b\"\nfallback = \"/b.php\"\nenv = { X = \"y\" }"}},
		{"a directory of no host", php + "<Directory /opt/b>\nFallbackResource /b.php\n</Directory>", host("a", ""), []string{":6:1: FallbackResource /b.php: no host with an application has files in /opt/b\n", "!fallback ="}},
		{"SetEnv and UnsetEnv", php + "SetEnv X 1\nSetEnv Y 1\nSetEnv Z 1", host("a", "SetEnv X 2\nUnsetEnv Y"), []string{"!#", "env = { X = \"2\", Z = \"1\" }"}},
		{"SetEnv for all applications", "SetEnv X 1\nProxyPass /x fcgi://b:1/", host("a", "ProxyPass / fcgi://c:1/"), []string{"!#", "mount = \"/x\"\nenv = { X = \"1\" }", "\"c-1\"\nenv = { X = \"1\" }"}},
		{"time-outs", "Timeout 10\nProxyTimeout 20\nFcgidIOTimeout 30\nScriptAlias /f /srv/f.fcgi\nProxyPass /x fcgi://b:1/", host("a", "Timeout 40\nScriptAlias /c /srv/c.cgi"), []string{"!#", "mount = \"/x\"\ntimeouts.first_byte = \"20s\"", "mount = \"/f\"\ntimeouts.first_byte = \"30s\"", "timeouts.first_byte = \"40s\""}},
		{"LimitRequestBody", php + "LimitRequestBody 1024", host("a", "LimitRequestBody 2048") + host("b", "LimitRequestBody 0") + host("c", ""), []string{"!#", "max_body = \"2KiB\"", "max_body = \"1KiB\"", "hosts = [\"b\"]\napplication = \"php-1\"\nroot = \"/srv/a\"\n\n"}},
		{"what is denied, and granted again", php + "<Location /x>\nRequire all denied\n</Location>", host("a", "<Location /x>\nRequire all granted\n</Location>") + host("b", ""), []string{"!#", "hosts = [\"a\"]\napplication = \"php-1\"\nroot = \"/srv/a\"\n\n", "hide = [\"/x\"]"}},
		{"log-in for all applications", php + "<Location />\nAuthUserFile /u\nRequire valid-user\n</Location>", host("a", "ProxyPass /x fcgi://b:1/"), []string{"!#", "application = \"b-1\"\nauth.file = \"/u\"\n", "application = \"php-1\"\nauth.file = \"/u\"\n", "!auth.paths"}},
		{"the file of users for a path of the host", php + "AuthUserFile /u", host("a", "<Location /x>\nRequire valid-user\n</Location>") + host("b", ""), []string{"!#", "auth.paths = [\"/x\"]", "hosts = [\"b\"]\napplication = \"php-1\"\nroot = \"/srv/a\"\n$"}},
		{"environments of mod_fcgid", "FcgidInitialEnv X 1", host("a", "FcgidInitialEnv Y 2\nScriptAlias / /srv/f.fcgi/") + host("b", "FcgidInitialEnv X 3\nScriptAlias / /srv/f.fcgi/") + host("c", "FcgidInitialEnv X 3\nScriptAlias / /srv/f.fcgi/"), []string{"!#", "spawn.env = { X = \"1\", Y = \"2\" }", "spawn.env = { X = \"3\" }", "!f.fcgi-3"}},
		{"processes of mod_wsgi", "WSGIDaemonProcess d threads=3 user=u", host("a", "WSGIProcessGroup d\nWSGIScriptAlias / /srv/x.wsgi") + host("b", "WSGIProcessGroup d\nWSGIScriptAlias / /srv/x.wsgi"), []string{"!#", "workers = 3", "spawn.user = \"u\"", "hosts = [\"b\"]\napplication = \"x\""}},
		{"WSGIScriptAlias of all hosts", "WSGIDaemonProcess d threads=3\nWSGIProcessGroup d\nWSGIScriptAlias /x /srv/x.wsgi", host("a", "WSGIScriptAlias /x /srv/y.wsgi") + host("b", ""), []string{"!#", "hosts = [\"a\"]\napplication = \"y\"", "hosts = [\"b\"]\napplication = \"x\""}},
		{"proxies that are trusted", php + "RemoteIPTrustedProxy 192.0.2.1", host("a", "RemoteIPInternalProxy 192.0.2.2") + host("b", ""), []string{"!#", "trusted_proxies = [\"192.0.2.2\"]", "trusted_proxies = [\"192.0.2.1\"]"}},
		{"what is not carried over is said once", php + "ErrorDocument 404 /x", host("a", "") + host("b", ""), []string{":5:1: ErrorDocument 404 /x: nothing in Sluice stands for it"}},
		{"a handler of no files in PHP", php, host("a", "<Location /x>\nSetHandler \"proxy:fcgi://b:1\"\n</Location>"), []string{"SetHandler proxy:fcgi://b:1: of handlers, those of files in PHP are carried over"}},
		{"what is denied above an application", "<Location /a>\nRequire all denied\n</Location>", host("a", "ProxyPass /a/b http://b:1/a/b\nProxyPass / http://c:1/"), []string{":2:1: Require all denied: hide hides no whole site: b-1 is at /a/b", "hide = [\"/a\"]"}},
		{"a host that leads elsewhere", php + "ProxyPass /x http://b:1/x", host("a", "") + host("b", "Redirect / http://a/"), []string{":5:1: ProxyPass /x http://b:1/x: not for b, all of which is led elsewhere", "hosts = [\"b\"]\napplication = \"b-1\"\nredirect = [\"/* http://a/* 302\"]"}},
		{"a host without a name", "ServerName m\n" + php, host("a", "") + "<VirtualHost *:80>\nSetEnv X y\n</VirtualHost>\n", []string{"!#", "hosts = [\"m\"]\napplication = \"php-1\"\nroot = \"/srv/a\"\nenv = { X = \"y\" }"}},
		{"the first host has no name", "ServerName m\n" + php, "<VirtualHost *:80>\nSetEnv X y\n</VirtualHost>\n" + host("a", ""), []string{"!#", "[[site]]\napplication = \"php-1\"\nroot = \"/srv/a\"\nenv = { X = \"y\" }", "hosts = [\"a\"]"}},
		{"a name that two hosts have", php, host("a", "ServerAlias b") + host("b", "SetEnv X y\nServerAlias c"), []string{":10:1: <VirtualHost *:80>: b has what the virtual host in line 6 says", "hosts = [\"a\", \"b\"]", "hosts = [\"c\"]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := result(t, write(t, "file", tt.main+"\n"+tt.hosts), Apache)
			for _, part := range tt.want {
				unwanted, isUnwanted := strings.CutPrefix(part, "!")
				whole, atEnd := strings.CutSuffix(part, "$")
				switch {
				case isUnwanted && strings.Contains(got, unwanted), !isUnwanted && !atEnd && !strings.Contains(got, part), atEnd && !strings.HasSuffix(got, whole):
					t.Errorf("want %s in\n%s", part, got)
				}
			}
			if n := strings.Count(got, "ErrorDocument"); n > 1 {
				t.Errorf("ErrorDocument is said %d times", n)
			}
		})
	}
}

// Many hosts that take over much are an error, not all of the memory.
func TestTakenOver(t *testing.T) {
	const n = 1000
	for kind, text := range map[Kind][2]string{
		Apache:   {"SetEnv V x\n", "<VirtualHost *:80>\nServerName h%d\n</VirtualHost>\n"},
		Lighttpd: {"server.tag = ( \"a\" )\n", "$HTTP[\"host\"] == \"h%d\" {\n}\n"},
	} {
		var b strings.Builder
		b.WriteString(strings.Repeat(text[0], n))
		for i := range n {
			fmt.Fprintf(&b, text[1], i)
		}
		if _, err := File(write(t, "file", b.String()), kind); err == nil || !strings.Contains(err.Error(), "1000 hosts take over") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
