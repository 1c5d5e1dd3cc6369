package page

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// gateOnly is an application that consists of a gate.
type gateOnly struct{ gate *admission.Gate }

func (g gateOnly) Sample() admission.Sample               { return g.gate.Sample() }
func (g gateOnly) Snapshot() bridge.Snapshot              { return g.QuickSnapshot() }
func (g gateOnly) RequestsInFlight() []admission.InFlight { return g.gate.InFlight() }
func (g gateOnly) Events() []events.Event                 { return nil }
func (g gateOnly) QuickSnapshot() bridge.Snapshot         { return bridge.Snapshot{Gate: g.gate.Snapshot()} }

func (g gateOnly) Users(n int) ([]admission.RouteSnapshot, []admission.ClientSnapshot) {
	return g.gate.Users(n)
}

// newGate returns a gate with so many workers.
func newGate(t testing.TB, workers int) gateOnly {
	t.Helper()
	gate, err := admission.New(admission.Defaults(workers))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gate.Close)
	return gateOnly{gate}
}

func (g gateOnly) enter(t testing.TB, r admission.Request) admission.Ticket {
	t.Helper()
	ticket, err := g.gate.Acquire(t.Context(), &r)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func newPage(t testing.TB, apps ...Named) *Page {
	t.Helper()
	p := New(Options{Applications: func() []Named { return apps }, Version: "1.2.3", MaxViewers: 2})
	t.Cleanup(p.Close)
	return p
}

func get(p http.Handler, path string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if header != nil {
		r.Header = header
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	p := newPage(t)
	for path, want := range map[string]string{
		"/": "text/html", "/deep/down/": "text/html", "/static/page.js": "javascript", "/x/static/page.css": "text/css",
		"/static/icon.svg": "image/svg+xml", "/view.json": "application/json",
	} {
		if w := get(p, path, nil); w.Code != 200 || !strings.Contains(w.Header().Get("Content-Type"), want) || w.Body.Len() == 0 || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
	}
	for _, path := range []string{"/static/none.js", "/none", "/static/../page.go", "/index.html"} {
		if w := get(p, path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	if p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	csp := get(p, "/", nil).Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy: %s", csp)
	}
	if text := get(p, "/", nil).Body.String(); strings.Contains(text, "http://") || strings.Contains(text, "https://") || strings.Contains(text, "style=") || strings.Contains(text, "<script>") {
		t.Error("the page has something of others, or inline")
	}
}

func TestOrigins(t *testing.T) {
	p := newPage(t)
	for _, c := range []struct {
		header http.Header
		want   int
	}{
		{http.Header{"Origin": {"http://example.com"}}, 200},
		{http.Header{"Origin": {"http://EXAMPLE.com"}, "Sec-Fetch-Site": {"same-origin"}}, 200},
		{http.Header{"Sec-Fetch-Site": {"none"}}, 200},
		{http.Header{"Sec-Fetch-Site": {"same-site"}}, 403},
		{http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{http.Header{"Origin": {"http://evil.example"}}, 403},
		{http.Header{"Origin": {"null"}}, 403},
	} {
		if w := get(p, "/view.json", c.header); w.Code != c.want {
			t.Errorf("%v: %d, want %d", c.header, w.Code, c.want)
		}
	}
}

// The history has a point a second, and what became of the requests is in it.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := newGate(t, 4)
		p := newPage(t, Named{"wiki", gate})
		for range history + 10 {
			ticket := gate.enter(t, admission.Request{Route: "GET html /page", ClientKey: 0x1234})
			time.Sleep(250 * time.Millisecond)
			ticket.Done()
			time.Sleep(750 * time.Millisecond)
		}
		ticket := gate.enter(t, admission.Request{Route: "GET any /poll", ClientKey: 0xabc, Long: true})
		time.Sleep(1500 * time.Millisecond)
		var v View
		if err := json.Unmarshal(get(p, "/view.json", nil).Body.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		a := v.Applications[0]
		if len(a.Points) != history || a.Points[0].Time != a.Points[history-1].Time-history+1 {
			t.Errorf("%d points, from %d to %d", len(a.Points), a.Points[0].Time, a.Points[len(a.Points)-1].Time)
		}
		middle := a.Points[history/2]
		if middle.Ended[admission.Short] != 1 || middle.P50[admission.Long] != nil || *middle.P50[admission.Short] < 200 || *middle.P99[admission.Short] > 260 {
			t.Errorf("%+v, %v", middle, *middle.P50[admission.Short])
		}
		want := Request{Number: uint64(history + 11), Age: 1.5, Lane: "long", State: "long", Route: "GET any /poll", Client: admission.ClientKeyName(0xabc)}
		if len(a.InFlight) != 1 || a.InFlight[0] != want {
			t.Errorf("in flight: %+v, want %+v", a.InFlight, want)
		}
		if w := a.Workers; w != (Workers{All: 4, Idle: 3, Long: 1, Reserve: 2, LongCap: w.LongCap}) {
			t.Errorf("workers: %+v", w)
		}
		if len(a.Routes) != 2 || len(a.Clients) != 2 {
			t.Errorf("%+v %+v", a.Routes, a.Clients)
		}
		ticket.Done()
		p.Close()
	})
}

// All viewers are sent the same bytes once a second, one too many gets 503, and no viewer costs no
// encoding.
func TestStream(t *testing.T) {
	p := newPage(t, Named{"wiki", newGate(t, 4)})
	server := httptest.NewServer(p)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func() *http.Response {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	first, second, third := open(), open(), open()
	if first.StatusCode != 200 || first.Header.Get("Content-Type") != "text/event-stream" || third.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%d %d %v", first.StatusCode, third.StatusCode, first.Header)
	}
	read := func(res *http.Response) (state string) {
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if text, is := strings.CutPrefix(lines.Text(), "data: "); is {
				return text
			}
		}
		t.Fatalf("the stream has ended: %v", lines.Err())
		return ""
	}
	one, other := read(first), read(second)
	if one != other || !json.Valid([]byte(one)) || !strings.Contains(one, `"wiki"`) || strings.Contains(one, `"history"`) {
		t.Errorf("%s\n%s", one, other)
	}
	p.Close() // ends the streams
	if lines := bufio.NewScanner(first.Body); lines.Scan() && strings.HasPrefix(lines.Text(), "data: {") {
		t.Error("the stream goes on")
	}
	server.Close() // waits for the handlers
	if p.stream.watched() {
		t.Error("viewers are left")
	}
}

// A viewer that takes nothing gets the latest state when it does.
func TestSlowViewer(t *testing.T) {
	s := stream{viewers: make(map[chan []byte]struct{}), most: 1}
	v, _ := s.enter()
	for i := range 5 {
		s.send(fmt.Append(nil, i))
	}
	if got := string(<-v); got != "data: 4\n\n" {
		t.Errorf("%q", got)
	}
	s.leave(v)
}

// When another application comes in place of the first, with its name, nothing has ended or was refused between
// the two.
func TestAnotherApplication(t *testing.T) {
	var r ring
	now := time.Now()
	add := func(ended, refused uint64) {
		now = now.Add(every)
		s := admission.Sample{Capacity: 2}
		s.Ended[admission.Short][3], s.Refused[0] = ended, refused
		r.add(now, s)
	}
	add(100, 40)
	add(107, 42)
	add(1, 0) // of the other one
	add(4, 1)
	for _, p := range r.all() {
		if p.Ended[admission.Short] < 0 || p.Refused[0] < 0 {
			t.Errorf("%d have ended, %d were refused", p.Ended[admission.Short], p.Refused[0])
		}
	}
	if last := r.latest(1)[0]; len(r.all()) != 2 || last.Ended[admission.Short] != 3 || last.Refused[0] != 1 {
		t.Errorf("%d points, the last is %+v", len(r.all()), last)
	}
}

// busyPage has an application with 10,000 requests in flight, and 4,096 routes.
func busyPage(b *testing.B) *Page {
	cfg := admission.Defaults(14_000)
	cfg.LongMin = 10_000
	g, err := admission.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(g.Close)
	gate := gateOnly{g}
	for i := range 4096 {
		gate.enter(b, admission.Request{Route: fmt.Sprintf("GET html /page/%d", i), ClientKey: uint64(i + 1)}).Done()
	}
	for i := range 10_000 {
		if _, err := gate.gate.Enter(&admission.Request{Route: "GET any /events", ClientKey: uint64(i + 1), Long: true}, nobody{}); err != nil {
			b.Fatal(err)
		}
	}
	if n := len(gate.gate.InFlight()); n < 10_000 {
		b.Fatalf("%d are in flight", n)
	}
	p := New(Options{Applications: func() []Named { return []Named{{"wiki", gate}} }})
	b.Cleanup(p.Close)
	return p
}

type nobody struct{}

func (nobody) Settle(error) {}

// BenchmarkState is what one state costs: it is taken once a second while somebody looks.
func BenchmarkState(b *testing.B) {
	p := busyPage(b)
	b.Run("10,000 in flight", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.SetBytes(int64(len(encode(p.sampler.view(time.Now(), false)))))
		}
	})
	b.Run("sample", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.sampler.sample(time.Now())
		}
	})
}
