package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// TestMain is main where a test starts a command.
func TestMain(m *testing.M) {
	supervise.Child()
	os.Exit(m.Run())
}

// TestUnusable runs command lines that cannot work: each must say what is wrong
// in one line and exit with 2, without serving anything.
func TestUnusable(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	listening := filepath.Join(dir, "taken.sock")
	l, err := net.Listen("unix", listening)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}

	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("jane:{SHA}NMfTLf4kql4x98PMVl16orqGin0=\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	serve := func(args ...string) []string {
		return append([]string{"serve", "--listen", "127.0.0.1:0", "--status", "off", "--access-log", "off"}, args...)
	}
	serveTLS := func(args ...string) []string { return serve(append(args, "--listen", "https://127.0.0.1:0")...) }
	backend := "--backend=127.0.0.1:9000"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sevre"}, `unknown command "sevre"; did you mean "sluice serve"?`},
		{[]string{"start"}, `unknown command "start"; did you mean "sluice serve"?`},
		{[]string{"dance"}, `unknown command "dance"; there are config, convert, demo, probe, reload, restart, serve, status, upgrade, version`},
		{[]string{"help", "sevre"}, `unknown command "sevre"; did you mean "sluice serve"?`},
		{[]string{"help", "config", "chek"}, `unknown command "chek"; did you mean "config check"?`},
		{[]string{"help", "serve", "x"}, `unknown command "x": "sluice serve" has none of its own`},
		{[]string{"completion", "bahs"}, `unknown command "bahs"; did you mean "completion bash"?`},
		{[]string{"--version"}, `unknown flag: --version; did you mean "sluice version"?`},
		{[]string{"-v"}, `did you mean "sluice version"?`},
		{[]string{"--colour"}, `unknown flag: --colour; "sluice --help" lists`},
		{[]string{"--listen", ":80"}, `unknown flag: --listen; it is one of "sluice serve"`},
		{serve(), "name the application with --backend"},
		{serve(backend, "--", "true"), "exclude each other"},
		{serve("./trac.fcgi"), `a command to run goes after "--"`},
		{serve(backend, "--worker", "3"), "unknown flag: --worker; did you mean --workers?"},
		{serve(backend, "--spool_dir", "/tmp"), "did you mean --spool-dir?"},
		{serve(backend, "--queue-timout", "3s"), "did you mean --queue-timeout?"},
		{serve(backend, "--upstream", "unix:/run/app.sock"), "did you mean --backend?"},
		{serve(backend, "-preset", "php"), "did you mean --preset?"},
		{serve(backend, "--tls-session-tickets", "x"), `unknown flag: --tls-session-tickets; "sluice serve --help" lists`},
		{serve(backend, "--tls-certificate", "x"), "--tls-certificate: means nothing without an https address in --listen"},
		{serve(backend, "--tls-hsts", "30d"), "--tls-hsts: means nothing without an https address in --listen"},
		{serve(backend, "--acme-email", "a@example.org"), "--acme-email: means nothing without --acme-agree-terms on"},
		{serve(backend, "--acme-agree-terms"), "--acme-agree-terms: means nothing without an https address in --listen"},
		{serve(backend, "--proxy-protocol", "balancer"), `--proxy-protocol: "balancer": want an address`},
		{serveTLS(backend), "--listen: there is an https address, and no certificate: name its file with --tls-certificate"},
		{serveTLS(backend, "--tls-certificate", filepath.Join(dir, "absent.pem")), "absent.pem\": no such file or directory"},
		{serveTLS(backend, "--tls-certificate", precious), "has no certificate in PEM"},
		{serveTLS(backend, "--tls-certificate", precious, "--tls-key", precious, "--tls-key", precious), "--tls-key: there are 2, and 1 of --tls-certificate"},
		{serveTLS(backend, "--tls-certificate", precious, "--tls-hsts-preload"), "--tls-hsts-preload: means nothing without --tls-hsts"},
		{serveTLS(backend, "--tls-certificate", precious, "--tls-hsts", "30d", "--tls-hsts-subdomains", "--tls-hsts-preload"), "--tls-hsts-preload: browsers want --tls-hsts of 365d at least"},
		{serveTLS(backend, "--tls-min-version", "1.1"), `--tls-min-version: is "1.1", want 1.2 or 1.3`},
		{serveTLS(backend, "--acme-agree-terms"), "there is no host to obtain a certificate for: give the sites hosts, or name them with --acme-name"},
		{serveTLS(backend, "--acme-agree-terms", "--acme-name", "*.example.org"), "is a pattern, for which certificates need DNS-01"},
		{serveTLS(backend, "--acme-agree-terms", "--acme-name", "a.example.org", "--acme-ca", "example.org"), `--acme-ca: is "example.org", want the URL of an ACME directory`},
		{serveTLS(backend, "--acme-agree-terms", "--acme-name", "a.example.org", "--acme-ca-root", precious), "has no certificate in PEM"},
		{[]string{"serve", "--listen", "https://127.0.0.1:0", backend, "--acme-agree-terms", "--acme-name", "a.example.org", "--acme-challenges", "http"}, "there is no address without TLS in --listen"},
		{serve(backend, "--listen", "unix:@"), "want a name of 1 to"},
		{serve(backend, "--listen", "unix:@a", "--listen-mode", "0660"), "means nothing"},
		{[]string{"probe", "--time-out", "3s", "unix:/run/app.sock"}, "did you mean --timeout?"},
		{serve(backend, "--workers", "many"), `--workers: "many" is not a whole number`},
		{serve(backend, "--workers", "99999999999999999999"), `--workers: "99999999999999999999" is too large`},
		{serve(backend, "--workers", "0"), "--workers: is 0, want at least 1"},
		{serve(backend, "--queue-size", "0"), "--queue-size: is 0, want at least 1"},
		{serve(backend, "--queue-timeout", "3"), "--queue-timeout: \"3\" is not a duration (write 500ms, 3s, 2m)"},
		{serve(backend, "--access-log-format", "clf"), `--access-log-format: is "clf", want json, common or combined`},
		{serve(backend, "--slow-log", "2"), "not a duration"},
		{[]string{"status", "--wait", "up"}, `--wait "up": want ready`},
		{[]string{"status", "--once", "--json"}, "exclude each other"},
		{[]string{"status", "fcgi://127.0.0.1:9"}, "the status is served in HTTP"},
		{[]string{"status", "a", "b"}, "name one --status address"},
		{serve(backend, "--queue-timeout", "0s"), "must be more than 0"},
		{serve(backend, "--queue-long-size", "0"), "--queue-long-size: is 0, want at least 1"},
		{serve(backend, "--queue-long-timeout", "0s"), "must be more than 0"},
		{serve(backend, "--lanes", "maybe"), `--lanes: is "maybe", want on or off`},
		{serve(backend, "--long-poll", "poll"), `--long-poll: "poll": want a path`},
		{serve(backend, "--reserve", "many"), `--reserve: "many" is not a whole number`},
		{serve(backend, "--reserve", "4"), "--reserve: is 4, want 0 to 3"},
		{serve(backend, "--poll-answer-status", "20"), "--poll-answer-status: is 20, want 200 to 599"},
		{serve(backend, "--poll-answer-body", "[]"), "--poll-answer-status: is not set"},
		{serve(backend, "--client-key", "cookie"), "lacks the cookie's name"},
		{serve(backend, "--client-key", "ip"), `--client-key: is "ip", want auto`},
		{serve(backend, "--client-limit", "-1"), "--client-limit: is -1"},
		{serve(backend, "--client-max-addresses", "3"), `such as "3 per 10m"`},
		{serve(backend, "--client-max-addresses", "3 per minute"), "not a duration"},
		{serve(backend, "--client-max-addresses", "3 per 1m", "--client-key", "client"), "--client-max-addresses: --client-key is"},
		{serve(backend, "--client-key", "user", "--client-max-addresses", "3 per 1m", "--client-excess", "kill"), `--client-excess: is "kill", want refuse or evict`},
		{serve(backend, "--client-excess", "evict"), "--client-excess: means nothing without"},
		{serve(backend, "--flow-limit", "-1"), "--flow-limit: is -1"},
		{serve(backend, "--flow-max-addresses", "3 per 1m"), "--flow-max-addresses: --client-key is"},
		{serve(backend, "--flow-max-addresses", "3 per 1m", "--flow-key", "client"), "--flow-max-addresses: --flow-key is"},
		{serve(backend, "--flow-excess", "evict"), "--flow-excess: means nothing without --client-max-addresses"},
		{serve(backend, "--flow-limit", "2", "--client-limit", "2"), "--client-limit: is given, and so is --flow-limit, its former name"},
		{serve(backend, "--client-limit", "2", "--flow-limit", "2"), "--flow-limit: is the former name of --client-limit, which is given as well"},
		{serve(backend, "--client-limt", "2"), "unknown flag: --client-limt; did you mean --client-limit?"},
		{serve(backend, "--first-byte-timeout", "-1s"), "must not be negative"},
		{serve(backend, "--max-body", "lots"), "not a size"},
		{serve(backend, "--max-body", "0"), "must be more than 0"},
		{serve(backend, "--env", "NAME"), "want K=V"},
		{serve(backend, "--env", "A=1", "--env", "A=2"), "A is given twice"},
		{serve(backend, "--preset", "pph"), `"pph"`},
		{serve(backend, "--preset", "php"), `--root: preset "php" needs the directory of its scripts`},
		{serve(backend, "--preset", "php", "--root", dir, "--index", "a.txt"), `--index "a.txt": can stand for no directory`},
		{serve(backend, "--preset", "php", "--root", dir, "--static", "off", "--index", "index.html"), `--index "index.html": can stand for no directory`},
		{serve(backend, "--preset", "php", "--root", dir, "--hide", "/index.php", "--fallback", "/index.php"), `--fallback "/index.php": can answer nothing`},
		{serve(backend, "--preset", "php", "--root", dir, "--static", "true"), `--static: is "true", want off, usual or all`},
		{serve(backend, "--preset", "php", "--root", dir, "--static-types", "php"), `--static-types "php": such files are never sent`},
		{serve(backend, "--preset", "php", "--root", dir, "--static-dirs", "img"), `--static-dirs "img": want a path`},
		{serve(backend, "--static-dirs", "/img="+filepath.Join(dir, "absent")), "--static-dirs: lstat "},
		{serve(backend, "--static-types", "css"), "--static-types: there is no root"},
		{serve(backend, "--preset", "php", "--root", dir, "--virtual", "ping"), `--virtual "ping": must be a script's path`},
		{serve(backend, "--virtual", "/ping"), `--virtual: preset "app" has no files`},
		{serve(backend, "--preset", "php", "--root", dir, "--app-root", "app"), `--app-root "app": must be an absolute path`},
		{serve(backend, "--preset", "php", "--root", dir, "--app-root", "/app", "--resolve-root-symlink", "on"), "--resolve-root-symlink: is on"},
		{serve(backend, "--preset", "php", "--root", dir, "--check-files", ""), `--check-files: is "", want on or off`},
		{serve(backend, "--preset", "php", "--root", dir, "--check-files", "off", "--static", "all"), "--static: files below the root"},
		{serve(backend, "--preset", "php", "--root", filepath.Join(dir, "absent")), "--root: lstat "},
		{serve(backend, "--underscore-headers", "Api-Key"), `--underscore-headers "Api-Key": has no underscore`},
		{serve(backend, "--log-level", "trace"), `--log-level: is "trace", want debug, info, warn or error`},
		{serve(backend, "--follow", dir), `--follow: means nothing with preset "app"`},
		{serve(backend, "--mount", "/wiki", "--hide", "/wiki"), `--hide "/wiki": hides everything`},
		{serve(backend, "--hide", "/data*"), `--hide "/data*": can match nothing`},
		{serve(backend, "--hide", "/data", "--long-poll", "/data/poll"), `--long-poll: "/data/poll": can match nothing`},
		{serve(backend, "--auth-file", filepath.Join(dir, "absent")), "--auth-file: open "},
		{serve(backend, "--auth-file", precious), "--auth-file: " + precious + ": line 1: has no colon"},
		{serve(backend, "--auth-path", "/login"), "--auth-path: means nothing without --auth-file"},
		{serve(backend, "--auth-realm", "x"), "--auth-realm: means nothing without --auth-file"},
		{serve(backend, "--auth-file", users, "--auth-path", "login"), `--auth-path "login": want a path`},
		{serve(backend, "--auth-file", users, "--auth-realm", "a\nb"), `--auth-realm "a\nb": want`},
		{serve(backend, "--user-header", "X-User"), "--user-header: means nothing without --trusted-proxy"},
		{serve(backend, "--user-header", "Cookie", "--trusted-proxy", "unix"), `--user-header "Cookie": has a meaning of its own`},
		{serve(backend, "--preset", "php", "--root", filepath.Join(dir, "absent")), "absent"},
		{serve(backend, "--hide", "data"), "beginning with"},
		{serve(backend, "--request-buffering", "maybe"), "--request-buffering: "},
		{serve(backend, "--keep-alive", "yes"), "--keep-alive: "},
		{serve(backend, "--trusted-proxy", "localhost"), `--trusted-proxy "localhost": `},
		{serve(backend, "--log-format", "xml"), "--log-format"},
		{serve(backend, "--spool-dir", filepath.Join(dir, "absent")), "absent"},
		{serve("--backend", "/run/app.sock"), "want unix:/path or host:port"},
		{serve("--backend", "unix:run/app.sock"), "must be absolute"},
		{serve("--backend", "unix:/"+strings.Repeat("x", 110)), "at most 103"},
		{serve("--backend", "localhost:fastcgi-or-so"), "is not a port"},
		{serve(backend, backend), "named twice"},
		{serve("--", filepath.Join(dir, "no-such-program")), "no-such-program"},
		{serve(backend, "--listen", taken.Addr().String()), "the address is in use"},
		{serve(backend, "--listen", "192.0.2.1:80"), "does not have that address"},
		{serve(backend, "--listen", "8120"), `--listen "8120": that is a port alone: write ":8120" for every address of this machine, or "127.0.0.1:8120"`},
		{serve(backend, "--listen", "localhost"), `--listen "localhost": want host:port, :port, unix:/path or unix:@name`},
		{serve(backend, "--listen", "/run/http.sock"), `--listen "/run/http.sock": want host:port, :port, unix:/path or unix:@name`},
		{serve(backend, "--status", "9180"), `--status "9180": that is a port alone`},
		{serve(backend, "--listen-mode", "0660"), "--listen-mode: means nothing: --listen is 127.0.0.1:0, which is no unix socket"},
		{serve(backend, "--status-group", "adm"), "--status-group: means nothing: --status is off"},
		{serve(backend, "--listen", "unix:"+filepath.Join(dir, "a.sock"), "--listen-mode", "rw"), "not a mode (write 0660, 0666)"},
		{serve(backend, "--listen", "unix:"+filepath.Join(dir, "a.sock"), "--listen-owner", "nobody-of-that-name"), `--listen-owner "nobody-of-that-name": there is no such user`},
		{serve(backend, "--listen", "unix:"+filepath.Join(dir, "a.sock"), "--listen-group", "nobody-of-that-name"), `--listen-group "nobody-of-that-name": there is no such group`},
		{serve(backend, "--max-connections", "-1"), "--max-connections: is -1, must not be negative"},
		{[]string{"serve", "--config", precious, backend}, "--config and --backend exclude each other"},
		{[]string{"serve", "--config", precious, "--", "true"}, "--config and a command exclude each other"},
		{[]string{"serve", "--config", precious, "--print-config"}, "--config and --print-config exclude each other"},
		{[]string{"serve", "--config", ""}, "--config: want a file"},
		{[]string{"serve", "--config", dir}, dir + ": is a directory"},
		{[]string{"serve", "--config", filepath.Join(dir, "absent")}, "no such file or directory (\"sluice config example\""},
		{[]string{"serve", "--print-config"}, "nothing to serve"},
		{[]string{"config", "chek"}, `unknown command "chek"; did you mean "config check"?`},
		{[]string{"config", "check", ""}, "name one configuration file"},
		{[]string{"convert", ""}, "name the one file to convert"},
		{[]string{"status", "9180"}, `address "9180": want host:port or unix:/path, as in --status`},
		{[]string{"reload", "unix:run/status.sock"}, "must be absolute"},
		{[]string{"config", "check", "a", "b"}, "name one configuration file"},
		{[]string{"reload", "a", "b"}, "name one --status address"},
		{[]string{"restart", "a", "b"}, "name one --status address"},
		{serve(backend, "--access-log", ""), "--access-log: is empty, which would be the default, -"},
		{serve(backend, "--front", "fast"), `--front: is "fast", want loop or net`},
		{serve(backend, "--front", "loop", "--web-server-refusal", "overloaded"), "--web-server-refusal: is overloaded, and front is loop"},
		{serve(backend, "--drain-timeout", "-1s"), "--drain-timeout: must not be negative"},
		{serve(backend, "--header-timeout", "0s"), "--header-timeout: must be more than 0"},
		{serve(backend, "--max-connections", "100000000"), "raise the limit"},
		{serve(backend, "--workers", "100000000"), "which is too few"},
		{serve(backend, "--listen", "unix:"+listening), "another program listens there"},
		{serve(backend, "--listen", "unix:"+precious), "not a socket"},
		{serve("--", "sh", "-c", "echo no such thing; exit 3"), "ended at once: exit status 3"},
		{serve(backend, "--command-dir", dir), "--command-dir: there is no command"},
		{serve("--command-dir", filepath.Join(dir, "absent"), "--", "true"), "working directory"},
		{serve("--command-env", "NAME", "--", "true"), "want K=V"},
		{serve("--command-env-copy", "*", "--", "true"), `"*": want the name of a variable`},
		{serve("--command-user", "nobody-of-that-name", "--", "true"), `user "nobody-of-that-name": there is none`},
		{serve("--command-group", "nobody-of-that-name", "--", "true"), `group "nobody-of-that-name": there is none`},
		{serve("--command-umask", "28", "--", "true"), "not a mask"},
		{serve("--command-nice", "20", "--", "true"), "--command-nice: is 20, want -20 to 19"},
		{serve("--command-open-files", "0", "--", "true"), `--command-open-files: "0" is not a number above 0`},
		{serve("--command-spawn-budget", "10 in 10m", "--", "true"), "is not a budget"},
		{serve("--command-spawn-budget", "10 per 10m go", "--", "true"), "is not a budget"},
		{serve("--command-spawn-budget", "0 per 10m", "--", "true"), "is not a number of processes"},
		{serve("--command-spawn-budget", "10 per 0s", "--", "true"), "more than 0"},
		{serve("--command-core", "little", "--", "true"), "not a size"},
		{serve("--command-backlog", "100000000", "--", "true"), "backlog 100000000: this system allows"},
		{serve("--command-backlog", "-1", "--", "true"), "--command-backlog: is -1"},
		{serve("--command-listen", "/run/app.sock", "--", "true"), "--command-listen: is \"/run/app.sock\", want host:port"},
		{serve("--command-listen", ":9000", "--command-instances", "2", "--", "true"), `--command-listen: is ":9000", which is one socket`},
		{serve("--command-instances", "0", "--", "true"), "--command-instances: is 0, want at least 1"},
		{serve("--command-instances", "-1", "--", "true"), "--command-instances: is -1, want at least 1"},
		{serve("--command-instances", "3", "--command-max-instances", "2", "--", "true"), "--command-max-instances: is 2, and --command-instances is 3"},
		{serve("--command-max-instances", "-1", "--", "true"), "--command-max-instances: is -1"},
		{serve(backend, "--command-instances", "2"), "--command-instances: there is no command"},
		{serve("--command-start-timeout", "0s", "--", "true"), "must be more than 0"},
		{serve("--command-start-timeout", "soon", "--", "true"), "not a duration"},
		{serve("--command-ready", "ready", "--", "true"), `--command-ready: is "ready", want a path`},
		{serve("--command-max-requests", "-1", "--", "true"), "--command-max-requests: is -1"},
		{serve("--command-max-requests", "few", "--", "true"), `--command-max-requests: "few" is not a whole number`},
		{serve("--command-max-lifetime", "-1s", "--", "true"), "must not be negative"},
		{serve("--command-idle-shutdown", "1", "--", "true"), "not a duration"},
		{serve("--command-drain-timeout", "0s", "--", "true"), "must be more than 0"},
		{serve("--command-memory-soft", "much", "--", "true"), "not a size"},
		{serve("--command-memory-soft", "2GiB", "--command-memory-hard", "1GiB", "--", "true"), "--command-memory-soft: is 2147483648, and --command-memory-hard is 1073741824"},
		{serve("--command-memory-hard", "-1", "--", "true"), "not a size"},
		{serve("--command-memory-hard", "2GiB", "--command-memory-total", "1GiB", "--", "true"), "--command-memory-hard: is"},
		{serve("--command-memory-total", "much", "--", "true"), "not a size"},
		{serve("--command-max-time", "-1s", "--", "true"), "must not be negative"},
		{serve("--command-stall-kill", "1s", "--lanes", "off", "--", "true"), "--command-stall-kill: a plain queue does not notice stalls"},
		{serve("--command-dump-signal", "KILL", "--command-max-time", "1m", "--", "true"), `"KILL" is not a signal for that`},
		{serve("--command-memory-total", "1KiB", "--", "true"), "--command-memory-total: is 1024 bytes"},
		{serve("--command-dump-signal", "QUIT", "--command-max-time", "1m", "--", "true"), "--command-dump-signal: means nothing without"},
		{serve("--command-quarantine", "long", "--", "true"), "not a duration"},
		{serve("--command-listen", taken.Addr().String(), "--", "true"), "address already in use"},
		{serve(backend, "--status", taken.Addr().String()), "the address is in use, perhaps by another sluice; give this one an address of its own (--status 127.0.0.1:"},
		{serve(backend, "--access-log", filepath.Join(dir, "absent", "log")), "--access-log"},
		{[]string{"demo", "--polls", "-1"}, "--polls -1: want 0 to 200"},
		{[]string{"demo", "--rate", "0"}, "--rate 0: want 1 to 300"},
		{[]string{"demo", "--listen", taken.Addr().String()}, "the address is in use"},
		{[]string{"demo", "--listen", "unix:/run/demo.sock"}, `--listen "unix:/run/demo.sock": no browser can open it`},
		{[]string{"demo", "now"}, "unknown command"},
		{[]string{"demo", "--balance", "40"}, "--balance is for the gates of --fleet, which is not given"},
		{[]string{"demo", "--fleet", "--balance", "101"}, "--balance 101: want 0 to 100"},
		{[]string{"demo", "--fleets"}, "unknown flag: --fleets; did you mean --fleet?"},
	} {
		var stderr bytes.Buffer
		status := run(c.args, &stderr)
		text := stderr.String()
		if status != 2 || !strings.HasPrefix(text, "sluice: ") || strings.Count(text, "\n") != 1 || !strings.Contains(text, c.want) {
			t.Errorf("sluice %s: exit %d, %q, want 2 and one line with %q", strings.Join(c.args, " "), status, text, c.want)
		}
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a file that is not a socket: %v", err)
	}
}

// TestStaleSocket listens where a program that was killed left its socket.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	again, err := (&endpoint{key: "listen", nameOf: flagOfKey, addr: "unix:" + path, mode: 0o600}).listen()
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
