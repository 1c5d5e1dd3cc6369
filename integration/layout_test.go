package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-proxy/sluice/"

// layout is the dependency rule: what each package may import of this module, and of others.
// The lowest floor comes first: a package imports only what is listed before it, so that a
// request's way and a setting's way can be followed down the floors without coming back.
var layout = []struct {
	floor    string
	packages []rule
}{
	{"bytes and words, without I/O", []rule{
		{name: "bridge/config", others: []string{"github.com/agnivade/levenshtein", "github.com/dustin/go-humanize"}},
		{name: "bridge/fcgi"},
		{name: "bridge/scgi"},
		{name: "bridge/uwsgi"},
		{name: "bridge/http1"},
		{name: "bridge/internal/siphash"},
		{name: "bridge/cgi", own: []string{"bridge/http1"}},
		{name: "bridge/upstream", own: []string{"bridge/cgi", "bridge/http1"}},
		{name: "bridge/upstream/fastcgi", own: []string{"bridge/fcgi", "bridge/upstream"}},
		{name: "bridge/upstream/scgi", own: []string{"bridge/scgi", "bridge/upstream"}},
		{name: "bridge/upstream/http1", own: []string{"bridge/cgi", "bridge/http1", "bridge/upstream"}},
		{name: "bridge/upstream/uwsgi", own: []string{"bridge/upstream", "bridge/uwsgi"}},
	}},
	{"what the kernel knows", []rule{
		{name: "internal/sockdiag", others: []string{sysUnix}},
		{name: "internal/framing", own: []string{"bridge/cgi"}},
		{name: "internal/halfclose", own: []string{"internal/sockdiag"}, others: []string{sysUnix}},
		{name: "bridge/internal/acceptqueue", others: []string{"github.com/mdlayher/netlink", sysUnix}},
		{name: "bridge/internal/owners", others: []string{procfs}},
		{name: "bridge/internal/unread", own: []string{"internal/sockdiag"}, others: []string{sysUnix}},
		{name: "bridge/internal/sendroom", others: []string{sysUnix}},
		{name: "bridge/internal/socket", others: []string{sysUnix}},
		{name: "bridge/internal/nested", own: []string{"internal/sockdiag"}, others: []string{procfs, sysUnix}},
	}},
	{"parts, each of which knows one thing", []rule{
		{name: "bridge/events"},
		{name: "bridge/fleet", others: []string{"github.com/redis/go-redis/v9"}},
		{name: "bridge/admission"},
		{name: "bridge/admission/internal/sim", own: []string{"bridge/admission"}},
		{name: "bridge/hold"},
		{name: "bridge/hold/grip", own: []string{"bridge/hold"}},
		{name: "bridge/spool", others: []string{sysUnix}},
		{name: "bridge/pool/mux", own: []string{"bridge/internal/socket", "bridge/upstream"}},
		{name: "bridge/pool", own: []string{"bridge/internal/socket", "bridge/pool/mux", "bridge/upstream"}},
		{name: "bridge/internal/lines", others: []string{rate}},
		{name: "bridge/supervise/internal/session", others: []string{procfs, sysUnix}},
		{name: "bridge/supervise/internal/memlimit", own: []string{"bridge/supervise/internal/session"}, others: []string{procfs, sysUnix}},
		{name: "bridge/supervise/internal/proc", own: []string{"bridge/internal/acceptqueue", "bridge/internal/lines", "bridge/supervise/internal/memlimit", "bridge/supervise/internal/session"}, others: []string{procfs, sysUnix, rate}},
		{name: "bridge/supervise", own: []string{"bridge/events", "bridge/supervise/internal/memlimit", "bridge/supervise/internal/proc", "bridge/supervise/internal/session"}, others: []string{sysUnix, rate, "github.com/dustin/go-humanize"}},
		{name: "bridge/internal/classify", own: []string{"bridge/admission", "bridge/cgi", "bridge/internal/siphash"}},
		{name: "bridge/internal/addresslimit", own: []string{"bridge/admission"}},
		{name: "bridge/internal/content", own: []string{"bridge/cgi"}},
		{name: "bridge/internal/compress", own: []string{"bridge/cgi", "bridge/config", "bridge/internal/content"}, others: []string{"github.com/klauspost/compress/gzip", "github.com/klauspost/compress/zstd"}},
		{name: "bridge/internal/sendfile", own: []string{"bridge/cgi"}},
		{name: "bridge/internal/roundtrip"},
	}},
	{"a request", []rule{
		{name: "bridge/internal/exchange", own: []string{
			"bridge/admission", "bridge/cgi", "bridge/config", "bridge/hold", "bridge/hold/grip", "bridge/http1", "bridge/internal/addresslimit", "bridge/internal/compress",
			"bridge/internal/content", "bridge/internal/lines", "bridge/internal/sendfile", "bridge/pool", "bridge/spool", "bridge/supervise", "bridge/upstream",
		}},
		{name: "bridge/internal/blocking", own: []string{
			"bridge/admission", "bridge/cgi", "bridge/config", "bridge/http1", "bridge/internal/classify", "bridge/internal/exchange",
			"bridge/internal/nested", "bridge/internal/sendfile", "bridge/internal/sendroom", "bridge/pool", "bridge/spool", "bridge/upstream",
		}},
		{name: "bridge/internal/loop", own: []string{
			"bridge/admission", "bridge/cgi", "bridge/internal/blocking", "bridge/internal/content", "bridge/internal/exchange",
			"bridge/internal/nested", "bridge/internal/socket", "bridge/pool", "bridge/pool/mux", "bridge/upstream", "internal/framing", "internal/halfclose",
		}, others: []string{sysUnix}},
	}},
	{"an application, and what a program sees of it", []rule{
		{name: "bridge/internal/app", own: []string{
			"bridge/admission", "bridge/cgi", "bridge/config", "bridge/events", "bridge/fleet", "bridge/internal/acceptqueue", "bridge/internal/addresslimit",
			"bridge/hold", "bridge/hold/grip", "bridge/internal/classify", "bridge/internal/content", "bridge/internal/exchange", "bridge/internal/lines", "bridge/internal/siphash",
			"bridge/internal/nested", "bridge/internal/socket", "bridge/internal/unread", "bridge/pool", "bridge/spool", "bridge/supervise",
			"bridge/upstream", "bridge/upstream/fastcgi", "bridge/upstream/http1", "bridge/upstream/scgi", "bridge/upstream/uwsgi",
		}, others: []string{rate}},
		{name: "bridge", own: []string{
			"bridge/admission", "bridge/cgi", "bridge/config", "bridge/events", "bridge/fleet", "bridge/hold", "bridge/hold/grip", "bridge/internal/addresslimit", "bridge/internal/app",
			"bridge/internal/blocking", "bridge/internal/classify", "bridge/internal/compress", "bridge/internal/exchange", "bridge/internal/sendfile",
			"bridge/internal/roundtrip", "bridge/pool", "bridge/spool", "bridge/supervise",
		}},
		{name: "bridge/front", own: []string{"bridge", "bridge/internal/loop"}},
		{name: "bridge/cgiserver", own: []string{"bridge/cgi", "bridge/fcgi"}},
		{name: "bridge/gofast", own: []string{"bridge", "bridge/cgiserver"}, others: []string{"github.com/yookoala/gofast"}},
		{name: "bridge/registry", own: []string{"bridge", "bridge/admission", "bridge/config"}},
		{name: "bridge/basicauth", own: []string{"bridge/cgi"}, others: []string{rate, "github.com/tg123/go-htpasswd"}},
		{name: "bridge/status"},
		{name: "bridge/page", own: []string{"bridge", "bridge/admission", "bridge/events", "bridge/fleet", "bridge/pool", "bridge/supervise"}},
		{name: "bridge/metrics", own: []string{"bridge", "bridge/admission", "bridge/fleet", "bridge/pool", "bridge/supervise"}, others: []string{"github.com/prometheus/client_golang/..."}},
		{name: "bridge/probe", own: []string{
			"bridge/cgi", "bridge/fcgi", "bridge/internal/acceptqueue", "bridge/internal/owners", "bridge/pool",
			"bridge/scgi", "bridge/upstream", "bridge/upstream/fastcgi", "bridge/uwsgi",
		}},
	}},
	{"programs", []rule{
		{name: "cmd/sluice/internal/connlimit"},
		{name: "cmd/sluice/internal/hosts"},
		{name: "cmd/sluice/internal/lastcall", others: []string{sysUnix}},
		{name: "cmd/sluice/internal/handover", others: []string{sysUnix}},
		{name: "cmd/sluice/internal/accepted", others: []string{"github.com/pires/go-proxyproto"}},
		{name: "cmd/sluice/internal/tlsfront", own: []string{"cmd/sluice/internal/accepted"}},
		{name: "cmd/sluice/internal/certs", others: []string{"github.com/caddyserver/certmagic", "go.uber.org/zap", "golang.org/x/crypto/ocsp"}},
		{name: "cmd/sluice/internal/tomlfile", own: []string{"bridge/config"}, others: []string{"github.com/pelletier/go-toml/v2", "github.com/pelletier/go-toml/v2/unstable"}},
		{name: "cmd/sluice/internal/convert", own: []string{"bridge/cgi", "bridge/config", "cmd/sluice/internal/tomlfile"}},
		{name: "cmd/sluice/internal/logwriter"},
		{name: "cmd/sluice/internal/systemd", others: []string{sysUnix}},
		{name: "cmd/sluice/internal/demo", own: []string{"bridge", "bridge/config", "bridge/events", "bridge/fleet", "bridge/status"}, others: []string{"github.com/alicebob/miniredis/v2/...", "github.com/alicebob/miniredis/v2"}},
		{name: "cmd/sluice/internal/tracing", own: []string{"bridge", "bridge/admission"}, others: []string{"go.opentelemetry.io/otel/...", "go.opentelemetry.io/otel", "go.opentelemetry.io/proto/otlp/trace/v1", "google.golang.org/protobuf/proto"}},
		{name: "cmd/sluice/internal/watch", others: []string{"golang.org/x/term", "golang.org/x/text/width"}},
		{name: "cmd/sluice", own: []string{
			"bridge", "bridge/admission", "bridge/basicauth", "bridge/cgi", "bridge/cgiserver", "bridge/config", "bridge/front", "bridge/metrics", "bridge/page",
			"bridge/probe", "bridge/registry", "bridge/spool", "bridge/status", "bridge/supervise", "cmd/sluice/internal/accepted", "cmd/sluice/internal/certs", "cmd/sluice/internal/connlimit", "cmd/sluice/internal/convert", "cmd/sluice/internal/demo", "cmd/sluice/internal/handover", "cmd/sluice/internal/hosts", "cmd/sluice/internal/lastcall",
			"cmd/sluice/internal/logwriter", "cmd/sluice/internal/systemd", "cmd/sluice/internal/tlsfront", "cmd/sluice/internal/tomlfile", "cmd/sluice/internal/tracing", "cmd/sluice/internal/watch", "internal/framing", "internal/halfclose",
		}, others: []string{"github.com/dustin/go-humanize", "github.com/prometheus/client_golang/...", "github.com/spf13/cobra", "github.com/spf13/pflag", rate}},
		{name: "caddyplugin", own: []string{
			"bridge", "bridge/admission", "bridge/cgi", "bridge/cgiserver", "bridge/config", "bridge/metrics", "bridge/page", "bridge/pool", "bridge/registry", "bridge/supervise",
		}, others: []string{"github.com/caddyserver/caddy/v2/...", "github.com/caddyserver/caddy/v2", "github.com/prometheus/client_golang/...", "github.com/spf13/cobra", "go.uber.org/zap/...", "go.uber.org/zap"}},
		{name: "examples/gate", own: []string{"bridge", "bridge/page", "bridge/status"}},
		{name: "cmd/caddy", own: []string{"caddyplugin"}, others: []string{"github.com/caddyserver/caddy/v2/..."}},
	}},
}

// rule is what one package may import. "/..." is everything below.
type rule struct {
	name        string
	own, others []string
}

const (
	sysUnix = "golang.org/x/sys/unix"
	rate    = "golang.org/x/time/rate"
	procfs  = "github.com/prometheus/procfs"
)

// allowed reports whether a list has a package.
func allowed(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		below, all := strings.CutSuffix(entry, "...")
		return entry == pkg || all && strings.HasPrefix(pkg, below)
	})
}

// outsideLayout has the packages that may import anything: those for tests only, and the simulation, which
// is not shipped.
var outsideLayout = []string{"integration", "bridge/admission/sim", "bridge/internal/fcgitest", "bridge/internal/leakcheck", "bridge/internal/seeds", "internal/socktest", "bridge/supervise/internal/proctest"}

func TestLayout(t *testing.T) {
	imports := importsOf(t)
	below := make(map[string]bool) // packages that stand above in the list
	for _, floor := range layout {
		for _, r := range floor.packages {
			list, found := imports[r.name]
			if !found {
				t.Errorf("%s is in the layout and does not exist", r.name)
			}
			delete(imports, r.name)
			for _, pkg := range list {
				own, isOwn := strings.CutPrefix(pkg, module)
				switch first, _, _ := strings.Cut(pkg, "/"); {
				case isOwn && !slices.Contains(r.own, own), !isOwn && strings.Contains(first, ".") && !allowed(r.others, pkg):
					t.Errorf("%s must not import %s", r.name, pkg)
				case isOwn && !below[own]:
					t.Errorf("%s must not import %s, which stands above it", r.name, own)
				}
			}
			for _, own := range r.own {
				if !slices.Contains(list, module+own) {
					t.Errorf("%s does not import %s: say so", r.name, own)
				}
			}
			below[r.name] = true
		}
	}
	for name := range imports {
		t.Errorf("%s is not in the layout: say what it may import", name)
	}
}

// importsOf returns the direct imports of each package of the module that is shipped.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	imports := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		list := strings.Fields(line)
		name := strings.TrimPrefix(list[0], module)
		if !slices.ContainsFunc(outsideLayout, func(o string) bool { return name == o || strings.HasPrefix(name, o+"/") }) {
			imports[name] = list[1:]
		}
	}
	return imports
}

// Beyond its codec nothing knows a protocol but the probe, which asks what an application
// speaks and what kind of FastCGI it is; and nothing knows which codecs there are but the
// application.
func TestProtocolSeam(t *testing.T) {
	importers := map[string][]string{
		"bridge/fcgi":             {"bridge/cgiserver", "bridge/upstream/fastcgi", "bridge/probe"},
		"bridge/upstream/fastcgi": {"bridge/internal/app", "bridge/probe"},
		"bridge/scgi":             {"bridge/upstream/scgi", "bridge/probe"},
		"bridge/upstream/scgi":    {"bridge/internal/app"},
		"bridge/uwsgi":            {"bridge/upstream/uwsgi", "bridge/probe"},
		"bridge/upstream/uwsgi":   {"bridge/internal/app"},
		"bridge/upstream/http1":   {"bridge/internal/app"},
	}
	for name, list := range importsOf(t) {
		for pkg, allowed := range importers {
			if slices.Contains(list, module+pkg) && !slices.Contains(allowed, name) {
				t.Errorf("%s must not import %s", name, pkg)
			}
		}
	}
}

// The rules about requests know a client as exchange.Client: of net/http they know data
// alone, the header and the names of methods and statuses.
func TestClientSeam(t *testing.T) {
	files, err := filepath.Glob("../bridge/internal/exchange/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	use := regexp.MustCompile(`\bhttp\.([A-Z]\w*)`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range use.FindAllStringSubmatch(string(text), -1) {
			if w := found[1]; w != "Header" && w != "StatusText" && !strings.HasPrefix(w, "Status") && !strings.HasPrefix(w, "Method") {
				t.Errorf("%s uses http.%s", filepath.Base(name), w)
			}
		}
		if blocks := regexp.MustCompile(`<-|\bgo func|\bselect \{|time\.(Sleep|NewTimer|After)`).Find(text); blocks != nil && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s waits: %q", filepath.Base(name), blocks)
		}
	}
}
