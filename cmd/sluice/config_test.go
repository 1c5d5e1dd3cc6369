package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// printed is the file that a command line means, as --print-config prints it, and the configuration
// that it stands for.
func printed(t *testing.T, command []string, args ...string) (file []byte, c *setup, err error) {
	t.Helper()
	o := parsed(t, append([]string{"--print-config"}, args...)...)
	c, err = o.load(command)
	if o.given == nil {
		t.Fatal(err)
	}
	file, writeErr := tomlfile.Write(o.given)
	if writeErr != nil {
		t.Fatal(writeErr)
	}
	return file, c, err
}

// A file that flags mean is the same configuration, and what is wrong with the flags is wrong with the
// file.
func TestPrintedConfig(t *testing.T) {
	backend := []string{"--backend", "unix:/run/app.sock"}
	lines := [][]string{
		backend,
		append(backend, "--env", "A=b=\"c\"\\\n", "--env", "É.x=", "--long-poll", "/a,b", "--long-poll", "/c", "--client-max-addresses", "3 per 10m", "--client-key", "cookie sid", "--max-body", "1KiB"),
		append(backend, "--listen", "unix:/run/a.sock", "--listen", ":80", "--listen-mode", "0600", "--listen-group", "www-data", "--status", "off", "--drain-timeout", "0s", "--slow-log", "2s", "--web-server-stderr"),
		append(backend, "--flow-limit", "3", "--preset", "php", "--root", "/srv", "--static-types", "zip,docx", "--auth-file", "/etc/users", "--auth-path", "/a", "--auth-path", "/b", "--auth-realm", "Trac"),
		append(backend, "--authorizer", "http://127.0.0.1:4180/oauth2/auth", "--authorizer-fields", "Cookie,Authorization", "--reserve", "0", "--workers", "4"),
		append(backend, "--workers", "3", "--keep-alive", "off", "--multiplex", "on"),
	}
	for _, value := range []string{"7", "207", "7s", "3 per 7m", "7 per 8m", "022", "USR1", "NAME=value", "on", "unix:/run/b.sock", "/x"} {
		for _, of := range []config.Holder{new(config.Server), new(config.Config), new(config.FlagSite)} {
			for _, s := range of.Schema().Settings {
				if f := parsed(t).set; s.Flag != "" && s.Flag != "backend" && f.Set(s.Flag, value) == nil {
					lines = append(lines, append(slices.Clone(backend), "--"+s.Flag+"="+value))
				}
			}
		}
	}
	same := 0
	for _, args := range lines {
		command := []string(nil)
		if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--command-") }) {
			args, command = args[2:], []string{"./app.fcgi", "-v", "it's \"here\""}
		}
		file, c, err := printed(t, command, args...)
		f, fileErr := tomlfile.Parse("s.toml", file)
		if fileErr == nil {
			_, fileErr = newSetup(&f.Standalone, fileSource{f}, "s.toml", nil, nil)
		}
		switch {
		case (err == nil) != (fileErr == nil):
			t.Errorf("%q: %v\n%s\n%v", args, err, file, fileErr)
		case err == nil && !reflect.DeepEqual(c.Standalone, &f.Standalone):
			t.Errorf("%q:\n%s", args, file)
		case err == nil:
			same++
		}
	}
	if same < 150 {
		t.Errorf("%d command lines of %d were in order", same, len(lines))
	}
}

// What is not UTF-8 cannot stand in a file.
func TestPrintedBytes(t *testing.T) {
	o := parsed(t, "--backend", "unix:/run/app.sock", "--env", "A=\xff")
	if _, err := o.load(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tomlfile.Write(o.given); err == nil || !strings.Contains(err.Error(), `env: "\xff" is not UTF-8`) {
		t.Error(err)
	}
}

// The example is in order, and what is shown of it is the same configuration.
func TestExample(t *testing.T) {
	f, err := tomlfile.Parse("example.toml", exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.NewReplacer("#[[", "[[", "#name", "name", "#spawn", "spawn", "#preset", "preset", "#workers", "workers",
		"#application", "application", "#mount", "mount", "#root", "root", "#auth", "auth").Replace(string(exampleFile))
	whole, err := tomlfile.Parse("example.toml", []byte(all))
	if err != nil || len(whole.Applications) != 2 || len(whole.Sites) != 2 || len(whole.Warnings) > 0 {
		t.Fatalf("without comments: %v", err)
	}
	for _, f := range []*tomlfile.File{f, whole} {
		text, err := f.Show()
		if err != nil {
			t.Fatal(err)
		}
		shown, err := tomlfile.Parse("shown.toml", text)
		if err != nil || !reflect.DeepEqual(shown.Standalone, f.Standalone) {
			t.Errorf("%v\n%s", err, text)
		}
		for _, part := range []string{`workers = 16  # line 14`, `queue.size = 256  # default`, `protocol = "fastcgi"  # derived`, `# reserve: default: a quarter`} {
			if !strings.Contains(string(text), part) {
				t.Errorf("there is no %q in\n%s", part, text)
			}
		}
	}
}

// The schema has each setting, and knows which values are permitted.
func TestSchema(t *testing.T) {
	var schema struct {
		Properties map[string]map[string]any
	}
	if err := json.Unmarshal(tomlfile.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]config.Holder{"server": new(config.Server), "application": new(config.NamedApplication), "site": new(config.HostedSite)} {
		table := schema.Properties[name]
		if items, ok := table["items"].(map[string]any); ok {
			table = items
		}
		for _, s := range of.Schema().Settings {
			at := table
			for part := range strings.SplitSeq(s.Key, ".") {
				at, _ = at["properties"].(map[string]any)[part].(map[string]any)
			}
			if at == nil || at["description"] == "" || at["type"] == nil {
				t.Errorf("%s: %s is %v", name, s.Key, at)
			}
		}
	}
}

// Where the configuration is from.
func TestPath(t *testing.T) {
	usual := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(usual, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(t.TempDir(), "absent.toml")
	for _, c := range []struct {
		args    []string
		command []string
		usual   string
		want    string
	}{
		{nil, nil, usual, usual},
		{nil, nil, absent, ""},
		{nil, []string{"true"}, usual, ""},
		{[]string{"--backend", "a:1"}, nil, usual, ""},
		{[]string{"--log-level", "warn"}, nil, usual, ""},
		{[]string{"--print-config"}, nil, usual, ""},
		{[]string{"--config", "x"}, nil, usual, "x"},
	} {
		if got, err := parsed(t, c.args...).path(c.command, c.usual); got != c.want || err != nil {
			t.Errorf("%q %q: %q, %v, want %q", c.args, c.command, got, err, c.want)
		}
	}
}

// What only a look at the system shows is wrong at a line, too, and all of it.
func TestCheckFile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "sluice.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const application = "[[application]]\nname = \"a\"\nbackends = [\"unix:/run/a.sock\"]\n"
	for text, want := range map[string]string{
		application + "[[site]]\n":                                                                                    "",
		application + "reserve = 9\n[[site]]\n":                                                                       ":4:1: reserve: is 9, want 0 to 3",
		application + "preset = \"php\"\n[[site]]\n":                                                                  ":5:3: root: preset \"php\" needs",
		application + "preset = \"php\"\n[[site]]\nroot = \"/no/such\"\n":                                             ":6:1: root: lstat",
		application + "[[site]]\nroot = \"/no/such\"\n[[site]]\nhosts = [\"a\"]\nauth.file = \"/no/users\"\n":         ":8:6: auth.file: open /no/users",
		application + "[[site]]\nmount = \"wiki\"\n[[site]]\nhosts = [\"a\"]\nlong_poll = [\"x\"]\n":                  ":5:1: mount \"wiki\"",
		application + "[[site]]\nhide = [\"x\"]\nlong_poll = [\"x\"]\n":                                               ":6:1: long_poll: \"x\": want a path",
		application + "[[site]]\nuser_header = \"X-User\"\n":                                                          ":5:1: user_header: means nothing without trusted_proxies",
		application + "[[site]]\nclient.excess = \"evict\"\n":                                                         ":5:8: client.excess: means nothing without client.max_addresses",
		application + "[[site]]\nflow.excess = \"evict\"\n":                                                           ":5:6: flow.excess: means nothing without client.max_addresses",
		"[server]\nlisten = [\"uwsgi://127.0.0.1:1\"]\n" + application + "[[site]]\n":                                 ":2:1: listen \"uwsgi://127.0.0.1:1\": Sluice takes",
		"[server]\nlisten = \"8080\"\n" + application + "[[site]]\n":                                                  ":2:1: listen \"8080\": that is a port alone",
		"[server]\nlisten = [\":80\", \"nope\"]\n" + application + "[[site]]\n":                                       ":2:1: listen \"nope\": want host:port",
		"[server]\nlisten = \"127.0.0.1:\"\n" + application + "[[site]]\n":                                            ":2:1: listen \"127.0.0.1:\": want host:port",
		"[server]\nlisten = \":99999\"\n" + application + "[[site]]\n":                                                ":2:1: listen \":99999\": \"99999\" is not a port",
		"[server]\nlisten = \"unix:run/a.sock\"\n" + application + "[[site]]\n":                                       ":2:1: listen \"unix:run/a.sock\": address",
		"[server]\nlisten = \"unix:/run/a.sock\"\nlisten_group = \"no-such-group\"\n" + application + "[[site]]\n":    ":2:1: listen \"unix:/run/a.sock\": listen_group \"no-such-group\": there is no such group",
		"[server]\nlisten = [\":8080\", \"fcgi://:8080\"]\n" + application + "[[site]]\n":                             ":2:1: listen \":8080\": is there twice",
		"[server]\nlisten = \"127.0.0.1:9180\"\n" + application + "[[site]]\n":                                        ": status \"127.0.0.1:9180\": is there twice",
		"[server]\nstatus = \"on\"\n" + application + "[[site]]\n":                                                    ":2:1: status \"on\": want host:port",
		"[server]\naccess_log = \"" + dir + "\"\n" + application + "[[site]]\n":                                       ":2:1: access_log: " + dir + ": is a directory",
		"[server]\nlisten_mode = \"0600\"\n" + application + "[[site]]\n":                                             ":2:1: listen_mode: means nothing: listen is 127.0.0.1:8080",
		"[server]\nfront = \"loop\"\nweb_server_refusal = \"overloaded\"\n" + application + "[[site]]\n":              ":3:1: web_server_refusal: is overloaded, and front is loop",
		application + "[[site]]\nauth.file = \"" + dir + "\"\n":                                                       ":5:6: auth.file: ",
		application + "[[site]]\nauth.file = \"" + filepath.Join(dir, "sluice.toml") + "\"\nauth.realm = \"a\\nb\"\n": ":6:6: auth.realm \"a\\nb\": want printable",
	} {
		err := checkFile(write(text), "", new(strings.Builder))
		if want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\nwant %s", text, err, want)
		}
	}
	err := checkFile(write(application+"[[site]]\nhosts = [\"a\"]\nmount = \"x\"\n[[site]]\nhosts = [\"b\"]\nmount = \"y\"\n"), "", new(strings.Builder))
	if problems, ok := errors.AsType[tomlfile.Problems](err); !ok || len(problems) != 2 {
		t.Errorf("%v, want all of it", err)
	}
	var out strings.Builder
	if err := checkFile(write(application+"[[application]]\nname = \"unused\"\nbackends = [\"unix:/run/u.sock\"]\n[[site]]\napplication = \"a\"\nclient.key = \"user\"\nflow.max_addresses = \"3 per 1m\"\n"), "", &out); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{":4:3: application unused: no site uses it", "flow.max_addresses is now called client.max_addresses", "in order (2 applications, 1 site)"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is not in\n%s", part, &out)
		}
	}

	// Lines begin as editors expect it.
	wrong := write("[server]\nlisen = 3\n" + application + "[[sites]]\n")
	for _, args := range [][]string{{"config", "check", wrong}, {"serve", "--config", wrong}} {
		var stderr strings.Builder
		exit := run(args, &stderr)
		if exit != map[string]int{"config": 1, "serve": 2}[args[0]] {
			t.Errorf("%q: exit status %d", args, exit)
		}
		for line := range strings.Lines(stderr.String()) {
			if !strings.HasPrefix(line, wrong+":") {
				t.Errorf("%q: %s", args, line)
			}
		}
	}
}
