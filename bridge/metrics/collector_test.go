package metrics

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// of returns a source of one snapshot.
func of(s bridge.Snapshot) func() bridge.Snapshot { return func() bridge.Snapshot { return s } }

// scrape returns what Prometheus would read.
func scrape(t testing.TB, collectors ...prometheus.Collector) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestEveryMetric compares all metrics with the files in testdata, line by line.
func TestEveryMetric(t *testing.T) {
	standing := literal()
	standing.Processes, standing.Authorizer, standing.Hold = nil, nil, nil
	var seen strings.Builder
	for file, s := range map[string]bridge.Snapshot{
		"testdata/spawned.prom":  literal(),
		"testdata/standing.prom": standing,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(text)
		want := strings.Split(strings.TrimSpace(string(text)), "\n")
		got := strings.Split(strings.TrimSpace(scrape(t, New(of(s), Options{}))), "\n")
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("not in %s: %s", file, line)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("missing, is in %s: %s", file, line)
			}
		}
	}
	for _, f := range families() {
		if !strings.Contains(seen.String(), "\n# TYPE sluice_"+f.name+" ") {
			t.Errorf("%s is in no file", f.name)
		}
	}
}

func TestNothingSecret(t *testing.T) {
	if text := scrape(t, New(of(literal()), Options{})); strings.Contains(strings.ToLower(text), "secret") {
		t.Errorf("%s", text)
	}
}

func TestLint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, New(of(literal()), Options{})))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEmptySnapshot(t *testing.T) {
	text := scrape(t, New(of(bridge.Snapshot{}), Options{}))
	if !strings.Contains(text, "\nsluice_gate_workers 0\n") {
		t.Errorf("no workers:\n%s", text)
	}
	if strings.Contains(text, `""`) {
		t.Errorf("an empty label:\n%s", text)
	}
	for _, none := range []string{"sluice_application", "sluice_process", "sluice_backend", "timestamp"} {
		if strings.Contains(text, none) {
			t.Errorf("there is %s...", none)
		}
	}
}

// TestClosedGroup: a group that is closed has empty snapshots.
func TestClosedGroup(t *testing.T) {
	text := scrape(t, New(of(bridge.Snapshot{Processes: &supervise.Snapshot{}}), Options{}))
	if !strings.Contains(text, "\nsluice_application_breaker_state{state=\"closed\"} 0\n") {
		t.Errorf("no breaker:\n%s", text)
	}
	if strings.Contains(text, `""`) {
		t.Errorf("an empty label:\n%s", text)
	}
}

func TestOneSnapshotForEachScrape(t *testing.T) {
	taken := 0
	c := New(func() bridge.Snapshot { taken++; return literal() }, Options{})
	for want := range 3 {
		if taken != want {
			t.Fatalf("%d snapshots for %d scrapes", taken, want)
		}
		scrape(t, c)
	}
}

func TestSeveralBridgesInOneRegistry(t *testing.T) {
	labels := prometheus.Labels{"gate": "wiki"}
	wiki := New(of(bridge.Snapshot{InFlight: 3}), Options{Namespace: "caddy_sluice", Labels: labels})
	labels["gate"] = "trac" // the first collector keeps its label
	trac := New(of(bridge.Snapshot{InFlight: 4}), Options{Namespace: "caddy_sluice", Labels: labels})
	text := scrape(t, wiki, trac)
	for _, line := range []string{
		`caddy_sluice_requests_in_flight{gate="wiki"} 3`,
		`caddy_sluice_requests_in_flight{gate="trac"} 4`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(text, "\nsluice_") {
		t.Error("a metric has the default namespace")
	}
}

func TestRegistrationFails(t *testing.T) {
	for name, o := range map[string]Options{
		"namespace":          {Namespace: "\xff"},
		"label":              {Labels: prometheus.Labels{"\xff": "x"}},
		"label of the table": {Labels: prometheus.Labels{"lane": "x"}},
		"twice the same":     {},
	} {
		r := prometheus.NewRegistry()
		if err := r.Register(New(of(bridge.Snapshot{}), Options{})); err != nil {
			t.Fatal(err)
		}
		if err := r.Register(New(of(bridge.Snapshot{}), o)); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
}

func TestLabelsOfAnyBytes(t *testing.T) {
	s := bridge.Snapshot{Pool: pool.Snapshot{Instances: []pool.InstanceSnapshot{{Addr: "unix:/\xff\"\n"}}}}
	line := "\nsluice_backend_workers{backend=\"unix:/\uFFFD\\\"\\n\"} 0\n"
	if text := scrape(t, New(of(s), Options{})); !strings.Contains(text, line) {
		t.Errorf("missing: %s\n%s", line, text)
	}
}

// TestUnlistedState: a snapshot has a state that this package does not know.
func TestUnlistedState(t *testing.T) {
	s := literal()
	s.Pool.Instances[0].State = "yawning"
	text := scrape(t, New(of(s), Options{}))
	for _, line := range []string{
		`sluice_backend_state{backend="2",state="yawning"} 1`,
		`sluice_backend_state{backend="2",state="up"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if text := scrape(t, New(of(literal()), Options{})); strings.Contains(text, "yawning") {
		t.Error("it stays in the list")
	}
}
