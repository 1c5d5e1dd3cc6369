//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exposition is what a gate tells Prometheus: values by series.
type exposition map[string]float64

// metrics scrapes a gate. promtool must find nothing to say of it.
func (s sluice) metrics(t testing.TB) exposition {
	t.Helper()
	address := telling.FindStringSubmatch(s.output.String())
	if address == nil {
		t.Fatalf("the log does not say where the status is:\n%s", s.output)
	}
	text := newSite(t, "http://"+address[1]).get(t, "/metrics")
	check := exec.Command(need(t, "promtool"), "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if said := run(t, check); said != "" {
		t.Errorf("promtool check metrics: %s", said)
	}
	all := exposition{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndex(line, "} "); i >= 0 { // labels may have spaces in them
			series, number = line[:i+1], strings.TrimSpace(line[i+2:])
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[series] = value
	}
	return all
}

// backends are the names of instances that a metric has.
func (e exposition) backends(metric string) (names []string) {
	of := regexp.MustCompile(`^` + metric + `\{backend="([^"]*)"`)
	for series := range e {
		if m := of.FindStringSubmatch(series); m != nil && !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}

// lanes adds up a metric over the lanes.
func (e exposition) lanes(metric string) (sum float64) {
	for _, lane := range []string{"short", "unknown", "mixed", "long"} {
		sum += e[metric+`{lane="`+lane+`"}`]
	}
	return sum
}

func TestMetrics(t *testing.T) {
	const n = 20
	be := startGo(t, 4)
	gate := startSluice(t, be.args()...)
	s := newSite(t, gate.url+be.prefix)
	s.get(t, "/hello")
	keeps := `sluice_backend_keeps_connections{backend="` + be.addr + `"}`
	eventually(t, "it is known that connections are kept: a request that comes before does not wait, and may dial one too many", func() error {
		if gate.metrics(t)[keeps] != 1 {
			return errors.New("not known yet")
		}
		return nil
	})
	for range n - 1 {
		s.get(t, "/hello")
	}
	m := gate.metrics(t)
	for series, want := range map[string]float64{
		"sluice_gate_workers": 4,
		`sluice_backend_state{backend="` + be.addr + `",state="up"}`: 1,
		"sluice_pool_removed_instances_total":                        0,
	} {
		if got, ok := m[series]; !ok || got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	for _, metric := range []string{
		"sluice_gate_requests_started_total", "sluice_gate_wait_seconds_count",
	} {
		if got := m.lanes(metric); got != n {
			t.Errorf("%s: %v in all lanes, want %d", metric, got, n)
		}
	}
	dials, reuses := `sluice_backend_dials_total{backend="`+be.addr+`"}`, `sluice_backend_reuses_total{backend="`+be.addr+`"}`
	if got := m[dials] + m[reuses]; got != n {
		t.Errorf("%v dials and reuses, want %d", got, n)
	}
	for _, ours := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if m[ours] == 0 {
			t.Errorf("no %s", ours)
		}
	}
	for series := range m {
		if strings.HasPrefix(series, "sluice_application") || strings.HasPrefix(series, "sluice_process") {
			t.Errorf("%s, and there is no process of ours", series)
		}
	}
}

// Each process has a socket of its own. Their metrics have the same few names.
func TestMetricsOfProcesses(t *testing.T) {
	app, be := spawned["php-cgi"](t)
	gate := startSluiceCommand(t, app, be.args()...)
	s := newSite(t, gate.url+be.prefix)
	s.untilServed(t)
	status := newSite(t, "http://"+telling.FindStringSubmatch(gate.output.String())[1])

	before := gate.metrics(t)
	for range 3 {
		s.get(t, "/hello")
		if resp, body := status.do(t, status.request(t, http.MethodPost, "/restart", nil)); resp.StatusCode != http.StatusOK {
			t.Fatalf("POST /restart: %s\n%s", resp.Status, head(body))
		}
	}
	s.untilServed(t)
	var after exposition
	eventually(t, "the old instances are gone", func() error {
		after = gate.metrics(t)
		if n := after["sluice_pool_removed_instances_total"]; n != 3 {
			return fmt.Errorf("%v are", n)
		}
		return nil
	})
	for _, m := range []exposition{before, after} {
		names := m.backends("sluice_process_up")
		if len(names) != 1 || !regexp.MustCompile(`^[0-3]$`).MatchString(names[0]) {
			t.Fatalf("processes are called %q, want one, a small number", names)
		}
		for _, metric := range []string{"sluice_backend_workers", "sluice_process_threads"} {
			if same := m.backends(metric); !slices.Equal(same, names) {
				t.Errorf("%s: backends %q, want %q", metric, same, names)
			}
		}
		for series, want := range map[string]float64{
			`sluice_process_up{backend="` + names[0] + `"}`:    1,
			`sluice_application_breaker_state{state="closed"}`: 1,
			"sluice_application_recent_deaths":                 0,
			"sluice_application_storm":                         0,
		} {
			if got, ok := m[series]; !ok || got != want {
				t.Errorf("%s is %v, want %v", series, got, want)
			}
		}
		if m[`sluice_process_proportional_memory_bytes{backend="`+names[0]+`"}`] == 0 {
			t.Error("it uses no memory")
		}
	}
	for series, want := range map[string]float64{
		"sluice_application_started_total":               4,
		`sluice_application_exits_total{kind="planned"}`: 3,
		`sluice_application_exits_total{kind="signal"}`:  0,
	} {
		if after[series] != want {
			t.Errorf("%s is %v after three restarts, want %v", series, after[series], want)
		}
	}
	if was, is := before["sluice_pool_dials_total"], after["sluice_pool_dials_total"]; is < was+3 {
		t.Errorf("there were %v dials, and %v after three restarts", was, is)
	}
}

func TestAlerts(t *testing.T) {
	promtool := need(t, "promtool")
	run(t, exec.Command(promtool, "check", "rules", filepath.Join("..", "docs", "alerts.yml")))
	run(t, exec.Command(promtool, "test", "rules", testdata(t, "alerts_test.yml")))
}

// Every expression of the dashboard and of the alerts is one, on metrics that are documented, which
// other tests compare with those that exist. Every alert is documented, too.
func TestDashboard(t *testing.T) {
	expressions := dashboardExpressions(t)
	if len(expressions) < 50 {
		t.Errorf("only %d expressions", len(expressions))
	}
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, e := range expressions {
		e = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".+", "$application", ".*").Replace(e)
		fmt.Fprintf(&rules, "      - record: dashboard:expression:%d\n        expr: %s\n", i, strconv.Quote(e))
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, exec.Command(need(t, "promtool"), "check", "rules", file))

	docs, alerts := readDoc(t, "metrics.md"), readDoc(t, "alerts.yml")
	for _, text := range append(expressions, alerts) {
		for _, name := range regexp.MustCompile(`\bsluice_[a-z_]+`).FindAllString(text, -1) {
			if !strings.Contains(docs, "| `"+strings.TrimSuffix(name, "_bucket")+"` ") {
				t.Errorf("there is no %s: %s", name, text)
			}
		}
	}
	for section := range strings.SplitSeq(docs, "\n## ") { // each kind of metrics has a panel
		names := regexp.MustCompile("\\| `(sluice_[a-z_]+)`").FindAllStringSubmatch(section, -1)
		if title, _, _ := strings.Cut(section, "\n"); len(names) > 0 && !slices.ContainsFunc(names, func(m []string) bool {
			return regexp.MustCompile(`\b` + m[1] + `\b`).MatchString(strings.Join(expressions, "\n"))
		}) {
			t.Errorf("the dashboard has nothing of %q", title)
		}
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(alerts, -1) {
		if !strings.Contains(docs, "| `"+m[1]+"` |") {
			t.Errorf("%s is not documented", m[1])
		}
		if tests, err := os.ReadFile(testdata(t, "alerts_test.yml")); err != nil || !strings.Contains(string(tests), "alertname: "+m[1]+"\n") {
			t.Errorf("%s is not tested (%v)", m[1], err)
		}
	}
}

// What the metrics of an application say is asked, and told, for each application: those of several in
// one Sluice differ in the label application alone. The metrics of the front have no such label.
func TestDashboardTellsApplicationsApart(t *testing.T) {
	const filter = `application=~"$application`
	selector := regexp.MustCompile(`\bsluice_([a-z_]+)(\{[^}]*\})?`)
	for _, e := range dashboardExpressions(t) {
		for _, m := range selector.FindAllStringSubmatch(e, -1) {
			if front := strings.HasPrefix(m[1], "front_"); strings.Contains(m[2], filter) == front {
				t.Errorf("of one application, or of the front: %s", e)
			}
		}
		if strings.HasPrefix(e, "ALERTS") && !strings.Contains(e, filter+`|"`) {
			t.Errorf("alerts of one application, and of none: %s", e)
		}
	}
	if !strings.Contains(readDoc(t, "grafana.json"), `"query": "label_values(sluice_gate_workers{instance=~\"$instance\"}, application)"`) {
		t.Error("the dashboard has no choice of applications")
	}
	alerts := strings.Split(readDoc(t, "alerts.yml"), "- alert: ")[1:]
	for _, alert := range alerts {
		of, summary, _ := strings.Cut(alert, "summary:")
		if front := strings.Contains(of, "sluice_front_"); strings.Contains(summary, "{{ with $labels.application }} ({{ . }}){{ end }}") == front {
			t.Errorf("which application it is about: %s", alert)
		}
	}
}

// dashboardExpressions are the queries of docs/grafana.json.
func dashboardExpressions(t *testing.T) (list []string) {
	t.Helper()
	var dashboard any
	if err := json.Unmarshal([]byte(readDoc(t, "grafana.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if e, ok := v["expr"].(string); ok {
				list = append(list, e)
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(dashboard)
	return list
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
