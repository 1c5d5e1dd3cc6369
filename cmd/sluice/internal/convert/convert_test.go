package convert

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

var update = flag.Bool("update", false, "write the files that are wanted")

// result is what a conversion comes to, in a file.
func result(t *testing.T, path string, kind Kind) string {
	t.Helper()
	r, err := File(path, kind)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, left := range r.Left {
		b.WriteString("# " + left.Error() + "\n")
	}
	text, err := tomlfile.Write(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	if _, err := tomlfile.Parse("sluice.toml", []byte(b.String())); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return b.String()
}

// The configurations that the applications' documentation has for each server, in other words, become
// what is beside them.
func TestDocumentedConfigurations(t *testing.T) {
	for _, kind := range Kinds() {
		files, err := filepath.Glob(filepath.Join("testdata", string(kind), "*.con*"))
		if kind == Caddy {
			files, err = filepath.Glob("testdata/caddy/*.caddyfile")
		}
		if err != nil || len(files) < 4 {
			t.Fatalf("%s: %v, %v", kind, files, err)
		}
		for _, path := range files {
			t.Run(path, func(t *testing.T) {
				got := result(t, path, "")
				want := strings.TrimSuffix(path, filepath.Ext(path)) + ".toml"
				if *update {
					if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				text, err := os.ReadFile(want)
				if err != nil || got != string(text) {
					t.Errorf("%v\n%s\nwant\n%s", err, got, text)
				}
			})
		}
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is no configuration is an error at its place.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		kind       Kind
		text, want string
	}{
		{Nginx, "server {\n  listen 80;\n", ":1:1: server: the } at its end is missing"},
		{Nginx, "server {\n  listen 80\n}\n", ":2:3: listen 80: the ; at its end is missing"},
		{Nginx, "server {\n  root \"/x;\n}\n", ":2:8: \": the end of these quotes is missing"},
		{Nginx, "}\n", `:1:1: there is "}", want a directive`},
		{Nginx, "include a b;\n", ":1:1: include: want one file"},
		{Nginx, "user x", ":1:1: user x: the ; at its end is missing"},
		{Nginx, "server { content_by_lua_block { if x then {} \n", ":1:10: content_by_lua_block: the } at its end is missing"},
		{Lighttpd, "server.port = \n", ":2:1: the file ends where a value is to be"},
		{Lighttpd, "server.port 80\n", `:1:13: there is "8", want = after server.port`},
		{Lighttpd, "a.b = ( \"x\" => \"y\"\n", ":1:7: (: the ) at its end is missing"},
		{Lighttpd, "$HTTP[\"host\"] == \"x\" {\n", ":1:1: $HTTP[\"host\"] == x: the } at its end is missing"},
		{Lighttpd, "$HTTP[\"host\"] { }\n", ""},
		{Lighttpd, "= 3\n", `:1:1: there is "=", want a setting or a condition`},
		{Apache, "<VirtualHost *:80>\nServerName x\n", ":1:1: <VirtualHost *:80>: the </VirtualHost> at its end is missing"},
		{Apache, "<Location />\n</Directory>\n", ":2:1: </Directory>: is the end of no section; the open one is <Location />"},
		{Apache, "<Location /\n", ":1:1: <Location /: the > at its end is missing"},
		{Apache, "ServerName \"x\n", `:1:12: ": the end of these quotes is missing`},
		{Apache, "<>\n", ":1:1: <>: a section without a name"},
		{Caddy, "example.org {\n\troot * /x\n", ":1:1: example.org: the } at its end is missing"},
		{Caddy, "}\n", `:1:1: there is "}", want a site`},
		{Caddy, "example.org {\n\troot \"x\n}\n", ":2:7: \": the end of these quotes is missing"},
		{Caddy, "example.org {\n\timport\n}\n", ":2:2: import: want the name of a snippet or a file"},
	} {
		path := write(t, "file", tt.text)
		_, err := File(path, tt.kind)
		_, isProblem := errors.AsType[*tomlfile.Problem](err)
		switch {
		case tt.want == "" && (err == nil || !strings.Contains(err.Error(), "nothing for Sluice to do")):
			t.Errorf("%s %q: %v", tt.kind, tt.text, err)
		case tt.want != "" && (!isProblem || err.Error() != path+tt.want && !strings.HasPrefix(err.Error(), path+tt.want)):
			t.Errorf("%s %q: %v, want %s", tt.kind, tt.text, err, tt.want)
		}
	}
}

func TestFilesThatCannotBeConverted(t *testing.T) {
	long := write(t, "nginx.conf", "#"+strings.Repeat("x", maxFile))
	for path, want := range map[string]string{
		t.TempDir():                        "is no file: name the file in which",
		filepath.Join(t.TempDir(), "none"): "no such file",
		write(t, "x", "hello\n"):           "cannot tell whose configuration it is: name it, --from nginx",
		write(t, "nginx.conf", "\xff"):     "is not UTF-8",
		write(t, "nginx/x", "events {}\n"): "no application is behind this nginx",
		long:                               "which is no configuration: want",
	} {
		if _, err := File(path, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// Files are followed from where the main file is; one that includes itself is an error, and one that is not
// there is said.
func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("sites/b.conf", "server { server_name b.example.org; location / { include pass; } }\n")
	put("sites/a.conf", "server { server_name a.example.org; include none.conf; location / { include pass; } }\n")
	put("pass", "include fastcgi_params; fastcgi_pass unix:/run/app.sock;\n")
	got := result(t, put("nginx.conf", "http { include sites/*.conf; include nothing/*.conf; }\n"), "")
	for _, part := range []string{
		"# " + dir + "/sites/a.conf:1:37: include none.conf: there is no " + dir + "/none.conf",
		"hosts = [\"a.example.org\"]\napplication = \"app\"\n", "hosts = [\"b.example.org\"]\napplication = \"app\"\n",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
	for name, kind := range map[string]Kind{"self.conf": Nginx, "httpd.conf": Apache, "Caddyfile": Caddy, "lighttpd.conf": Lighttpd} {
		text := map[Kind]string{Nginx: "include self.conf;", Apache: "Include httpd.conf", Caddy: "import Caddyfile", Lighttpd: "include \"lighttpd.conf\""}[kind]
		if _, err := File(put(name, text+"\n"), kind); err == nil || !strings.Contains(err.Error(), "include each other more than 16 deep") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is short and stands for much is an error, not all of the memory.
func TestSizes(t *testing.T) {
	snippets, variables := "(s0) {\n\tencode\n}\n", "var.v0 = \"xxxxxxxxxxxxxxxx\"\n"
	for i := range 30 {
		snippets += fmt.Sprintf("(s%d) {\n\timport s%d\n\timport s%d\n}\n", i+1, i, i)
		variables += fmt.Sprintf("var.v%d = v%d + v%d\n", i+1, i, i)
	}
	for kind, text := range map[Kind]string{Caddy: snippets, Lighttpd: variables} {
		if _, err := File(write(t, "file", text), kind); err == nil || !strings.Contains(err.Error(), "more than") && !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Directives without what they are about are said, not stumbled over.
func TestWithoutArguments(t *testing.T) {
	for kind, names := range map[Kind]string{
		Nginx:  "listen server_name root index return rewrite try_files fastcgi_pass auth_basic_user_file client_max_body_size expires alias location if include",
		Apache: "Listen Alias ScriptAlias ProxyPass ProxyPassMatch SetHandler FcgidWrapper Redirect RedirectMatch RewriteRule RewriteCond Require WSGIScriptAlias FallbackResource DirectoryIndex AuthUserFile SetEnv UnsetEnv Timeout ProxyTimeout LimitRequestBody RewriteOptions ServerName <FilesMatch <Directory <Location <VirtualHost <IfModule <IfDefine",
		Caddy:  "root php_fastcgi reverse_proxy redir rewrite try_files respond request_body handle @x basic_auth",
	} {
		for name := range strings.FieldsSeq(names) {
			text := map[Kind]string{
				Nginx:  fmt.Sprintf("server { %s; location / { %[1]s; fastcgi_pass a:1; } location ~ \\.php$ { %[1]s; fastcgi_pass b:1; } }\n", name),
				Apache: fmt.Sprintf("%s\nProxyPass / fcgi://a:1/\n", name),
				Caddy:  fmt.Sprintf("http://a {\n\t%s\n\treverse_proxy b:1\n}\n", name),
			}[kind]
			if tag, ok := strings.CutPrefix(name, "<"); ok {
				text = fmt.Sprintf("<%s>\n%s\n</%[1]s>\nProxyPass / fcgi://a:1/\n", tag, "Require all denied")
			}
			if _, err := File(write(t, "file", text), kind); err != nil {
				if _, isProblem := errors.AsType[*tomlfile.Problem](err); !isProblem {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// What requires log-in does so afterwards, whatever else is said about a part of it.
func TestLogin(t *testing.T) {
	for _, tt := range []struct {
		kind       Kind
		text, want string
	}{
		{Nginx, "server { location / { fastcgi_pass a:1; auth_basic_user_file /u; } location /admin { auth_basic_user_file /u; } }", "auth.file = \"/u\"\n"},
		{Nginx, "server { auth_basic_user_file /u; location / { fastcgi_pass a:1; } location /x { auth_basic_user_file /u; } }", "auth.file = \"/u\"\n"},
		{Nginx, "server { location / { fastcgi_pass a:1; } location /x { auth_basic_user_file /u; } }", "auth.file = \"/u\"\nauth.paths = [\"/x\"]\n"},
		{Nginx, "server { location ~ \\.php$ { fastcgi_pass a:1; auth_basic_user_file /u; } location /x { auth_basic_user_file /u; } }", "auth.file = \"/u\"\n"},
		{Apache, "ProxyPass / fcgi://a:1/\n<Location />\nAuthUserFile /u\n</Location>\n<Location /x>\nAuthUserFile /u\n</Location>", "auth.file = \"/u\"\n"},
		{Lighttpd, "auth.backend.htpasswd.userfile = \"/u\"\n$HTTP[\"host\"] == \"a\" { fastcgi.server = ( \"/\" => ((\"socket\" => \"/a\")) )\nauth.require = ( \"/x\" => (\"method\" => \"basic\") ) }", "auth.file = \"/u\"\nauth.paths = [\"/x\"]\n"},
	} {
		got := result(t, write(t, "file", tt.text+"\n"), tt.kind)
		if !strings.Contains(got, tt.want) || !strings.Contains(tt.want, "auth.paths") && strings.Contains(got, "auth.paths =") {
			t.Errorf("%s: %s\n%s", tt.kind, tt.text, got)
		}
	}
}

// What clients do not get afterwards either, or it is said.
func TestOutOfReach(t *testing.T) {
	const nginx, apache = "server { root /srv/www; location ~ \\.php$ { fastcgi_pass a:1; } %s }", "DocumentRoot /srv/www\n<FilesMatch \"\\.php$\">\nSetHandler \"proxy:fcgi://a:1\"\n</FilesMatch>\n<Directory /srv/www/x>\n%s\n</Directory>"
	for _, tt := range []struct {
		kind             Kind
		form, text, want string
		absent           string
	}{
		{Nginx, nginx, "location /x/ { internal; alias /srv/files/; }", "hide = [\"/x\"]\nsendfile = [\"/x=/srv/files\"]\n", "static_dirs"},
		{Nginx, nginx, "location /x { internal; root /srv/y; }", "hide = [\"/x\"]\nsendfile = [\"/x=/srv/y/x\"]\n", "static_dirs"},
		{Nginx, nginx, "location /x { internal; }", "hide = [\"/x\"]\nsendfile = [\"/x=/srv/www/x\"]\n", "#"},
		{Nginx, nginx, "location = /50x.html { internal; root /srv/y; }", "hide = [\"/50x.html\"]\n", "/srv/y"},
		{Nginx, nginx, "location /x/ { internal; alias /srv/$host/; }", "hide = [\"/x\"]\n", "/srv/$host\""},
		{Nginx, nginx, "location = /auth { internal; proxy_pass http://b:2; }", "hide = [\"/auth\"]\n", "\"/auth\"\nbackends"},
		{Nginx, nginx, "location = /auth { internal; proxy_pass http://b:2; }", "see authorizer.address", "backends = [\"http"},
		{Apache, apache, "Order allow,deny\nDeny from all", "hide = [\"/x\"]\n", "#"},
		{Apache, apache, "Order allow,deny\nAllow from all\nDeny from all", "hide = [\"/x\"]\n", "#"},
		{Apache, apache, "Order deny,allow\nDeny from all\nAllow from all", "root = ", "hide"},
		{Apache, apache, "Order deny,allow\nDeny from all\nAllow from 10", ":7:1: Deny from all: Sluice lets all addresses in", "hide"},
		{Apache, apache, "Deny from 10", ":6:1: Deny from 10: Sluice lets all addresses in", "hide ="},
		{Apache, apache, "SetHandler none", ":6:1: SetHandler none: scripts are run there", "hide ="},
		{Apache, apache, "RemoveHandler .html .php", ":6:1: RemoveHandler .html .php: scripts are run there", "hide ="},
		{Apache, apache, "RemoveType .gif", "root = ", "#"},
		{Apache, apache, "</Directory>\n<DirectoryMatch \"^/srv/www/(data|conf)/\">\nRequire all denied\n</DirectoryMatch>\n<Directory ~ \"/tmp/\">\nRequire all denied", "hide = [\"/tmp\", \"/data\", \"/conf\"]\n", "cannot say"},
		{Nginx, nginx, "location ~ /(data|conf)/ { deny all; }", "location ~ /(data|conf)/: hide has it at the top alone: if there are others in directories, write /*/data, too\n", "cannot say"},
		{Nginx, nginx, "location ~ ^/data/ { deny all; }", "hide = [\"/data\"]\n", "#"},
		{Apache, apache, "</Directory>\n<DirectoryMatch ^/srv/other>\nRequire all denied\n</DirectoryMatch>\n<Directory /srv/www/y>", ":7:1: DirectoryMatch ^/srv/other: an expression for directories that does not begin", "hide ="},
		{Apache, apache, "</Directory>\nRedirect gone /x\nRedirect 403 /y\nRedirectMatch 404 ^/z/\n<Directory /srv/www/x>", "hide = [\"/x\", \"/y\", \"/z\"]\n", "#"},
		{Apache, "%s\nProxyPass / fcgi://a:1/", "Redirect 500 /x", ":1:1: Redirect 500 /x: Sluice sends no answers of its own", "hide"},
		{Apache, "%s\nProxyPass / fcgi://a:1/", "<Location /a*b>\nRequire all denied\n</Location>", ":2:1: Require all denied: hide has paths with everything below them, and cannot say /a*b", "hide ="},
		{Lighttpd, "%s", "fastcgi.server = ( \".php\" => ((\"socket\" => \"/a\")) )\nauth.backend.htpasswd.userfile = \"/u\"\nauth.require = ( \"/x\" => (\"require\" => \"user=jane\") )", ":3:1: auth.require: require user=jane: Sluice lets all users", "hide"},
		{Caddy, "http://a {\n\troot * /srv/www\n\tphp_fastcgi a:1\n\t%s\n}", "file_server {\n\t\thide *.js\n\t}", ":5:3: hide *.js: Sluice sends files of the usual types", "hide ="},
	} {
		got := result(t, write(t, "file", fmt.Sprintf(tt.form, tt.text)+"\n"), tt.kind)
		if !strings.Contains(got, tt.want) || strings.Contains(got, tt.absent) {
			t.Errorf("%s: %s\n%s", tt.kind, tt.text, got)
		}
	}
}

func TestKinds(t *testing.T) {
	for text, want := range map[string]Kind{
		"# php_fastcgi\nserver {\n listen 80;\n}":           Nginx,
		"upstream x { server a:1; }":                        Nginx,
		"<VirtualHost *:80>\n</VirtualHost>":                Apache,
		"  ProxyPass / fcgi://127.0.0.1:9000/":              Apache,
		"server.modules = ( \"mod_fastcgi\" )":              Lighttpd,
		"$HTTP[\"host\"] == \"x\" {\n}":                     Lighttpd,
		"example.org {\n\tphp_fastcgi 127.0.0.1:9000\n}":    Caddy,
		":8080\nreverse_proxy 127.0.0.1:9000\n":             Caddy,
		"(snippet) {\n\tencode gzip\n}\nexample.org {\n}\n": Caddy,
		"[server]\nlisten = \":80\"":                        "",
		"":                                                  "",
	} {
		if got := kindOf("file", text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for path, want := range map[string]Kind{
		"/etc/nginx/sites-enabled/wiki": Nginx, "/etc/apache2/conf.d/x": Apache, "/etc/httpd/conf/x": Apache, "/etc/lighttpd/x.conf": Lighttpd, "/etc/caddy/Caddyfile": Caddy, "Caddyfile": Caddy,
	} {
		if got := kindOf(path, ""); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestGlobs(t *testing.T) {
	for expression, want := range map[string]string{
		`^/wiki/(.*)$`:                         "/wiki/*",
		`\.php$`:                               "*.php",
		`^/(a|b)/`:                             "/a/* /b/*",
		`^/x(/.*)?$`:                           "/x/* /x",
		`\.(css|js)$`:                          "*.css *.js",
		`^/data/[^/]+/(.+)`:                    "/data/*/*",
		`^/[ab].png$`:                          "/a.png /b.png",
		`^/(?:build|tests)(?:$|/)`:             "/build /tests /build/* /tests/*",
		`(?i)^/A$`:                             "error",
		`^/(?!index)`:                          "error",
		`^/(a+)$`:                              "error",
		`^/[a-z]+$`:                            "error",
		`^/\d{3}$`:                             "error",
		`^/x\*y$`:                              "error",
		`(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)`: "error",
	} {
		all, err := globs(expression)
		var list []string
		for _, g := range all {
			list = append(list, g.pattern())
		}
		got := strings.Join(list, " ")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %q (%v), want %q", expression, got, err, want)
		}
	}
}

// Stars stand in a target for what they stand for in the pattern, or the rule is refused.
func TestSubstitute(t *testing.T) {
	for _, tt := range []struct{ expression, target, want string }{
		{`^/(.*)/(.*)$`, "/x?a=$1&b=$2", "/x?a=*&b=*"},
		{`^/(.*)/(.*)$`, "/x?b=$2&a=$1", ""},
		{`^/(.*)/(.*)$`, "/x?b=$2", ""},
		{`^/(a)/(.*)$`, "/$1?x=$2", "/a?x=*"},
		{`x/(.*)$`, "/$1", ""},
		{`^/(.*)$`, "/x*", ""},
	} {
		all, err := globs(tt.expression)
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %v, %v", tt.expression, all, err)
		}
		if got, ok := all[0].substitute(tt.target, '$'); ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%s %s: %q, %v", tt.expression, tt.target, got, ok)
		}
	}
}
