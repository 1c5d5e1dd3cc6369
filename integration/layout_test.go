package integration

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-proxy/sluice/"

// layout is the dependency rule: what each package may import, directly or not,
// of this module and of others. Dependencies point down.
var layout = map[string]struct{ own, others []string }{
	"bridge/config":                 {others: []string{"github.com/agnivade/levenshtein", "github.com/dustin/go-humanize"}},
	"bridge/fcgi":                   {},
	"bridge/cgi":                    {},
	"bridge/upstream":               {own: []string{"bridge/cgi"}},
	"bridge/upstream/fastcgi":       {own: []string{"bridge/cgi", "bridge/fcgi", "bridge/upstream"}},
	"bridge/admission":              {},
	"bridge/admission/internal/sim": {own: []string{"bridge/admission"}},
	"bridge/spool":                  {others: []string{"golang.org/x/sys/unix"}},
	"bridge/internal/classify":      {own: []string{"bridge/admission", "bridge/cgi"}},
	"bridge/internal/lines":         {others: []string{"golang.org/x/time/rate"}},
	"bridge/pool/mux":               {own: []string{"bridge/cgi", "bridge/upstream"}},
	"bridge/pool":                   {own: []string{"bridge/cgi", "bridge/pool/mux", "bridge/upstream"}},
	"bridge/internal/acceptqueue":   {others: netlink},
	"internal/sockdiag":             {others: []string{"golang.org/x/sys/unix"}},
	"bridge/internal/unread":        {own: []string{"internal/sockdiag"}, others: []string{"golang.org/x/sys/unix"}},
	"bridge/internal/owners":        {others: procfs},
	"bridge/internal/nested":        {own: []string{"internal/sockdiag"}, others: procfs},
	"bridge/internal/sendfile":      {own: []string{"bridge/cgi"}},
	"bridge/probe": {
		own:    []string{"bridge/cgi", "bridge/fcgi", "bridge/internal/acceptqueue", "bridge/internal/owners", "bridge/pool", "bridge/pool/mux", "bridge/upstream", "bridge/upstream/fastcgi"},
		others: slices.Concat(netlink, procfs),
	},
	"bridge/supervise": {
		own:    []string{"bridge/internal/acceptqueue", "bridge/internal/lines"},
		others: slices.Concat(netlink, procfs, []string{"golang.org/x/time/rate", "github.com/dustin/go-humanize"}),
	},
	"bridge": {
		own: []string{
			"bridge/admission", "bridge/cgi", "bridge/config", "bridge/fcgi", "bridge/internal/acceptqueue", "bridge/internal/classify",
			"bridge/internal/lines", "bridge/internal/nested", "bridge/internal/sendfile", "bridge/internal/unread", "bridge/pool", "bridge/pool/mux", "bridge/spool", "internal/sockdiag",
			"bridge/supervise", "bridge/upstream", "bridge/upstream/fastcgi",
		},
		others: slices.Concat(netlink, procfs, []string{"golang.org/x/time/rate", "github.com/dustin/go-humanize", "github.com/agnivade/levenshtein"}),
	},
	"bridge/basicauth": {own: []string{"bridge/cgi"}, others: slices.Concat(htpasswd, []string{"golang.org/x/time/rate"})},
	"bridge/status":    {},
	"bridge/metrics": {
		own: []string{
			"bridge", "bridge/admission", "bridge/cgi", "bridge/config", "bridge/fcgi", "bridge/internal/acceptqueue", "bridge/internal/classify",
			"bridge/internal/lines", "bridge/internal/nested", "bridge/internal/sendfile", "bridge/internal/unread", "bridge/pool", "bridge/pool/mux", "bridge/spool", "internal/sockdiag",
			"bridge/supervise", "bridge/upstream", "bridge/upstream/fastcgi",
		},
		others: slices.Concat(netlink, procfs, prometheus, []string{"golang.org/x/time/rate", "github.com/dustin/go-humanize", "github.com/agnivade/levenshtein"}),
	},
	"bridge/registry": {
		own: []string{
			"bridge", "bridge/admission", "bridge/cgi", "bridge/config", "bridge/fcgi", "bridge/internal/acceptqueue", "bridge/internal/classify",
			"bridge/internal/lines", "bridge/internal/nested", "bridge/internal/sendfile", "bridge/internal/unread", "bridge/pool", "bridge/pool/mux", "bridge/spool", "internal/sockdiag",
			"bridge/supervise", "bridge/upstream", "bridge/upstream/fastcgi",
		},
		others: slices.Concat(netlink, procfs, []string{"golang.org/x/time/rate", "github.com/dustin/go-humanize", "github.com/agnivade/levenshtein"}),
	},
	"cmd/sluice/internal/connlimit": {},
	"cmd/sluice/internal/framing":   {own: []string{"bridge/cgi"}},
	"cmd/sluice/internal/halfclose": {own: []string{"internal/sockdiag"}, others: []string{"golang.org/x/sys/unix"}},
	"cmd/sluice/internal/logwriter": {},
	"cmd/sluice": {
		own: []string{
			"cmd/sluice/internal/connlimit", "cmd/sluice/internal/framing", "cmd/sluice/internal/halfclose", "cmd/sluice/internal/logwriter",
			"bridge", "bridge/admission", "bridge/basicauth", "bridge/cgi", "bridge/config", "bridge/fcgi", "bridge/internal/acceptqueue", "bridge/internal/classify",
			"bridge/internal/lines", "bridge/internal/nested", "bridge/internal/owners", "bridge/internal/sendfile", "bridge/internal/unread", "internal/sockdiag",
			"bridge/metrics", "bridge/pool", "bridge/pool/mux", "bridge/probe", "bridge/spool", "bridge/status", "bridge/supervise",
			"bridge/upstream", "bridge/upstream/fastcgi",
		},
		others: slices.Concat(netlink, procfs, prometheus, htpasswd, []string{
			"golang.org/x/time/rate", "github.com/spf13/cobra", "github.com/spf13/pflag",
			"github.com/dustin/go-humanize", "github.com/agnivade/levenshtein",
		}),
	},
	"caddyplugin": {own: belowCaddy, others: []string{"..."}}, // Caddy brings half the world along
	"cmd/caddy":   {own: append([]string{"caddyplugin"}, belowCaddy...), others: []string{"..."}},
}

// belowCaddy is what the Caddy module is made of.
var belowCaddy = []string{
	"bridge", "bridge/admission", "bridge/cgi", "bridge/config", "bridge/fcgi", "bridge/internal/acceptqueue", "bridge/internal/classify",
	"bridge/internal/lines", "bridge/internal/nested", "bridge/internal/sendfile", "bridge/internal/unread", "bridge/metrics", "bridge/pool", "bridge/pool/mux", "internal/sockdiag",
	"bridge/registry", "bridge/spool", "bridge/supervise", "bridge/upstream", "bridge/upstream/fastcgi",
}

// What four libraries bring along. "/..." is everything below.
var (
	netlink = []string{
		"github.com/mdlayher/netlink", "github.com/mdlayher/netlink/nlenc", "github.com/mdlayher/socket",
		"golang.org/x/net/bpf", "golang.org/x/sync/errgroup", "golang.org/x/sys/unix",
	}
	procfs = []string{
		"github.com/prometheus/procfs", "github.com/prometheus/procfs/internal/fs",
		"github.com/prometheus/procfs/internal/parsers", "golang.org/x/sync/errgroup", "golang.org/x/sys/unix",
	}
	htpasswd = []string{
		"github.com/tg123/go-htpasswd", "github.com/GehirnInc/crypt/...", "github.com/GehirnInc/crypt",
		"golang.org/x/crypto/bcrypt", "golang.org/x/crypto/blowfish",
	}
	prometheus = []string{
		"github.com/prometheus/client_golang/...", "github.com/prometheus/client_model/go",
		"github.com/prometheus/common/expfmt", "github.com/prometheus/common/model",
		"github.com/beorn7/perks/quantile", "github.com/cespare/xxhash/v2", "github.com/munnerz/goautoneg",
		"google.golang.org/protobuf/...",
	}
)

// allowed reports whether a list has a package.
func allowed(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		below, all := strings.CutSuffix(entry, "...")
		return entry == pkg || all && strings.HasPrefix(pkg, below)
	})
}

// testing packages are for tests alone; integration may import anything, and so may
// the simulation, which nobody ships.
var outsideLayout = []string{"integration", "bridge/admission/sim", "bridge/internal/fcgitest", "bridge/internal/leakcheck", "bridge/internal/seeds"}

func TestLayout(t *testing.T) {
	out, err := exec.Command("go", "list", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var found []string
	for p := range strings.FieldsSeq(string(out)) {
		name := strings.TrimPrefix(p, module)
		if slices.ContainsFunc(outsideLayout, func(o string) bool { return name == o || strings.HasPrefix(name, o+"/") }) {
			continue
		}
		found = append(found, name)
		rule, ok := layout[name]
		if !ok {
			t.Errorf("%s is not in the layout: say what it may import", name)
			continue
		}
		for _, dep := range dependencies(t, p) {
			if own, isOwn := strings.CutPrefix(dep, module); isOwn {
				if own != name && !slices.Contains(rule.own, own) {
					t.Errorf("%s must not depend on %s", name, own)
				}
			} else if !allowed(rule.others, dep) {
				t.Errorf("%s must not depend on %s", name, dep)
			}
		}
	}
	for name := range layout {
		if !slices.Contains(found, name) {
			t.Errorf("%s is in the layout and does not exist", name)
		}
	}
}

// Beyond its codec nothing knows FastCGI but the probe, which asks what kind of FastCGI it
// is; and nothing knows which codec there is but the settings.
func TestProtocolSeam(t *testing.T) {
	importers := map[string][]string{
		"bridge/fcgi":             {"bridge/upstream/fastcgi", "bridge/probe"},
		"bridge/upstream/fastcgi": {"bridge", "bridge/probe"},
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		imports := strings.Fields(line)
		name := strings.TrimPrefix(imports[0], module)
		if slices.ContainsFunc(outsideLayout, func(o string) bool { return name == o || strings.HasPrefix(name, o+"/") }) {
			continue
		}
		for pkg, allowed := range importers {
			if slices.Contains(imports[1:], module+pkg) && !slices.Contains(allowed, name) {
				t.Errorf("%s must not import %s", name, pkg)
			}
		}
	}
}

// dependencies lists what p depends on outside the standard library.
func dependencies(t *testing.T, p string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", p).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", p, err)
	}
	var deps []string
	for dep := range strings.FieldsSeq(string(out)) {
		if path.Clean(dep) != p {
			deps = append(deps, dep)
		}
	}
	return deps
}
