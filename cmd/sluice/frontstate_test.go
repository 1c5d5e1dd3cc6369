package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/certs"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
)

// TestFrontMetrics shows a state in which each number is another.
func TestFrontMetrics(t *testing.T) {
	of := func(n int) connlimit.Snapshot {
		return connlimit.Snapshot{
			Max: n, Open: n + 10, Idle: n + 3, Waiting: n + 4,
			ClosedIdle: uint64(n + 5), CutActive: uint64(n + 6), Refused: uint64(n + 8), AcceptErrors: uint64(n + 9),
		}
	}
	ends, later := time.Unix(1700, 0), time.Unix(1900, 0)
	secure := &tlsSnapshot{[]certs.Certificate{
		{Names: []string{"a.example.org", "b.example.org"}, Source: "/x.pem", Expires: &ends},
		{Names: []string{"a.example.org"}, Source: "/x.pem", Expires: &later},
		{Names: []string{"c.example.org"}, Source: "acme", Error: "down"},
	}, 21, connlimit.StreamsSnapshot{Max: 22, Open: 23, Refused: 24}}
	c := frontCollector{func() frontSnapshot {
		return frontSnapshot{of(100), map[cgiserver.Protocol]connlimit.Snapshot{cgiserver.FastCGI: of(300)}, of(200), secure, 3, false, droppedLineCounts{1, 2}}
	}}
	var want strings.Builder
	for name, lines := range map[string]string{
		"sluice_front_connections gauge": `{listener="fastcgi",state="active"} 7
{listener="fastcgi",state="idle"} 303
{listener="fastcgi",state="waiting"} 304
{listener="listen",state="active"} 7
{listener="listen",state="idle"} 103
{listener="listen",state="waiting"} 104
{listener="status",state="active"} 7
{listener="status",state="idle"} 203
{listener="status",state="waiting"} 204`,
		"sluice_front_connections_max gauge": `{listener="fastcgi"} 300
{listener="listen"} 100
{listener="status"} 200`,
		"sluice_front_connections_closed_total counter": `{listener="fastcgi",state="active"} 306
{listener="fastcgi",state="idle"} 305
{listener="fastcgi",state="waiting"} 308
{listener="listen",state="active"} 106
{listener="listen",state="idle"} 105
{listener="listen",state="waiting"} 108
{listener="status",state="active"} 206
{listener="status",state="idle"} 205
{listener="status",state="waiting"} 208`,
		"sluice_front_accept_errors_total counter": `{listener="fastcgi"} 309
{listener="listen"} 109
{listener="status"} 209`,
		"sluice_front_malformed_requests_total counter": " 3",
		"sluice_front_certificate_expiry_timestamp_seconds gauge": `{name="a.example.org",source="/x.pem"} 1900
{name="b.example.org",source="/x.pem"} 1700
{name="c.example.org",source="acme"} 0`,
		"sluice_front_certificate_failing gauge": `{name="a.example.org",source="/x.pem"} 0
{name="b.example.org",source="/x.pem"} 0
{name="c.example.org",source="acme"} 1`,
		"sluice_front_failed_handshakes_total counter": " 21",
		"sluice_front_streams gauge":                   " 23",
		"sluice_front_streams_refused_total counter":   " 24",
		"sluice_front_log_lines_dropped_total counter": `{log="access"} 1
{log="error"} 2`,
	} {
		metric, _, _ := strings.Cut(name, " ")
		fmt.Fprintf(&want, "# HELP %s %s\n# TYPE %s\n", metric, help(t, metric), name)
		for line := range strings.SplitSeq(lines, "\n") {
			fmt.Fprintf(&want, "%s%s\n", metric, line)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	res := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	got, all := strings.Split(res.Body.String(), "\n"), strings.Split(want.String(), "\n")
	slices.Sort(got)
	slices.Sort(all)
	if !slices.Equal(got, all) {
		t.Errorf("got\n%s\nwant\n%s", res.Body, &want)
	}
}

// rows are those of docs/metrics.md about the front: name, labels, kind, help.
var rows = regexp.MustCompile("(?m)^\\| `(sluice_front_[a-z_]+)`(?: `\\{([a-z, ]+)\\}`)? \\| ([a-z]+) \\| (.*) \\|$")

// help is what docs/metrics.md says of a metric.
func help(t *testing.T, metric string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows.FindAllStringSubmatch(string(text), -1) {
		if row[1] == metric {
			return row[4]
		}
	}
	t.Fatalf("docs/metrics.md has no %s", metric)
	return ""
}

// TestFrontMetricsAreDocumented compares the collector with docs/metrics.md.
func TestFrontMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, there []string
	for _, row := range rows.FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, fmt.Sprintf("%s {%s}", row[1], strings.ReplaceAll(row[2], ", ", ",")))
	}
	descs := make(chan *prometheus.Desc, 20)
	frontCollector{}.Describe(descs)
	close(descs)
	desc := regexp.MustCompile(`fqName: "([a-z_]+)".*variableLabels: (\{.*?\})`)
	for d := range descs {
		m := desc.FindStringSubmatch(d.String())
		there = append(there, m[1]+" "+m[2])
	}
	slices.Sort(documented)
	slices.Sort(there)
	if !slices.Equal(documented, there) {
		t.Errorf("docs/metrics.md has\n%q\nthe collector\n%q", documented, there)
	}
}
