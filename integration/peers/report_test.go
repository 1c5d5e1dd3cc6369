package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	round := sample{
		load:       load{Requests: 10000, Micros: 1e6, Status: 1, P50: 1500, P99: 9990},
		proxyCPU:   300 * time.Millisecond,
		backendCPU: 500 * time.Millisecond,
	}
	slow := round
	slow.Requests, slow.proxyCPU = 2500, time.Second
	entries := []*entry{
		{peer: peer{label: "nginx"}, version: "1.22.1", samples: map[string][]sample{"small": {round, round}}, peak: 10 << 20},
		{peer: peer{label: "slow"}, version: "2", samples: map[string][]sample{"small": {slow}}, peak: 5 << 20},
		{peer: peer{label: "absent"}, failed: errors.New("not installed")},
	}
	want := strings.TrimPrefix(`
| peer   | version | requests/s |    x | spread | CPU us |     x | p50 ms | p99 ms | errors | app CPU us | peak MiB |
|--------|---------|-----------:|-----:|-------:|-------:|------:|-------:|-------:|-------:|-----------:|---------:|
| nginx  | 1.22.1  |      10000 | 1.00 |    0 % |   30.0 |  1.00 |   1.50 |   9.99 |      2 |       50.0 |       10 |
| slow   | 2       |       2500 | 0.25 |    0 % |  400.0 | 13.33 |   1.50 |   9.99 |      1 |      200.0 |        5 |
| absent | -       |    missing |    - |      - |      - |     - |      - |      - |      - |          - |        - |
`, "\n")
	var got strings.Builder
	writeTable(&got, rows(entries, scenario{label: "small"}, "nginx"))
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestParkedTable(t *testing.T) {
	entries := []*entry{
		{peer: peer{label: "caddy"}, version: "2", parked: []parking{{polls: 100, grown: footprint{proxy: 4000 << 10, app: 2000 << 10, files: 200}}}},
		{peer: peer{label: "half"}, version: "1", parked: []parking{{polls: 100, grown: footprint{proxy: 2000 << 10, files: 100}}}},
		{peer: peer{label: "broken"}, version: "1", parked: []parking{{polls: 100, failed: errors.New("answered")}}},
	}
	want := strings.TrimPrefix(`
| peer   | version | KiB each |    x | app KiB each | files each |
|--------|---------|---------:|-----:|-------------:|-----------:|
| caddy  | 2       |     40.0 | 1.00 |         20.0 |       2.00 |
| half   | 1       |     20.0 | 0.50 |          0.0 |       1.00 |
| broken | 1       |  missing |    - |            - |          - |
`, "\n")
	var got strings.Builder
	writeTable(&got, parkedRows(entries, 0, "caddy"))
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestReportSaysWhyAPeerIsMissing(t *testing.T) {
	b := &bench{
		opts: options{scenarios: scenarios[:1]},
		entries: []*entry{
			{peer: peer{label: "caddy", about: "its own transport"}, failed: errors.New("go build caddy: no network")},
		},
	}
	if got := report(b); !strings.Contains(got, "Not measured: go build caddy: no network") {
		t.Errorf("no reason in\n%s", got)
	}
}

func TestRatioWithoutBaseline(t *testing.T) {
	if got := ratio(10, median(nil, sample.perSecond)); got != "-" {
		t.Errorf("ratio = %q, want -", got)
	}
}
