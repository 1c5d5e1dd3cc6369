//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// lasting is how long a test puts load on a server: short by default, full where
// soakVariable is set.
func lasting(short, full time.Duration) time.Duration {
	if os.Getenv(soakVariable) != "" {
		return full
	}
	return short
}

// question is a request with a nonce, so that its answer shows whose it is.
type question struct {
	method, route string
	nonce         string
	body          []byte
	answer        []byte // the right one; nil for HEAD
	header        bool   // the answer carries the nonce in X-Nonce

	leaves time.Duration // the client does so after this time; 0: it waits
	pace   time.Duration // what the client takes for each 16 KiB it sends or reads
}

// load asks questions of one site and keeps account of the answers. A ledger
// is a file that the application adds a nonce to each time it runs a request.
type load struct {
	site
	ledger string
	filler []byte // what bodies are cut from

	mu        sync.Mutex
	asked     map[string][]string // nonces by method
	right     map[string]int      // answers by method
	failed    []failure
	left      int // clients that did
	slowest   time.Duration
	slowestOf string

	// silence is the longest time that some question was open and none was
	// answered; since is when such a time began.
	open    int
	since   time.Time
	silence time.Duration
}

// failure is a question without its answer.
type failure struct {
	question
	begun, ended time.Time
	status       int    // 0 if there was none
	kind         string // Proxy-Status
	wrong        bool   // an answer that looks complete and is not the right one
	err          error
}

func (f failure) String() string {
	return fmt.Sprintf("%s (%d bytes) after %v: status %d, wrong %t, Proxy-Status %q, error %v",
		f.nonce, len(f.body), f.ended.Sub(f.begun).Round(time.Millisecond), f.status, f.wrong, f.kind, f.err)
}

func newLoad(t testing.TB, url string) *load {
	return &load{
		site: newSite(t, url), ledger: filepath.Join(t.TempDir(), "ledger"), filler: random(1 << 20),
		asked: map[string][]string{}, right: map[string]int{},
	}
}

// nonce names the next question with a method.
func (l *load) nonce(method string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	nonce := fmt.Sprintf("%s-%d", method, len(l.asked[method]))
	l.asked[method] = append(l.asked[method], nonce)
	return nonce
}

// once asks for /once, which keeps the ledger and takes that many milliseconds.
func (l *load) once(method string, body []byte, ms int) question {
	nonce := l.nonce(method)
	q := question{
		method: method, nonce: nonce, body: body, header: true,
		route: fmt.Sprintf("/once?t=%s&ledger=%s&ms=%d", nonce, l.ledger, ms),
	}
	if method != http.MethodHead {
		q.answer = slices.Concat([]byte(nonce), []byte("\n"), body)
	}
	return q
}

// echo asks for what the applications of all kinds serve: /token or /echo.
func (l *load) echo(method string, body []byte) question {
	nonce := l.nonce(method)
	if method == http.MethodGet {
		return question{method: method, nonce: nonce, route: "/token?t=" + nonce, answer: []byte(nonce)}
	}
	body = slices.Concat([]byte(nonce), []byte("\n"), body)
	return question{method: method, nonce: nonce, route: "/echo?t=" + nonce, body: body, answer: body}
}

// ask asks and keeps account.
func (l *load) ask(ctx context.Context, q question) {
	if q.leaves > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.leaves)
		defer cancel()
	}
	begun := l.begin()
	f := l.exchange(ctx, q)
	left := q.leaves > 0 && errors.Is(f.err, context.DeadlineExceeded)
	ended := l.end(!left)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case f.err == nil:
		l.right[q.method]++
		if took := ended.Sub(begun); took > l.slowest {
			l.slowest, l.slowestOf = took, fmt.Sprintf("%s of %d bytes", q.nonce, len(q.body))
		}
	case left:
		l.left++
	default:
		f.question, f.begun, f.ended = q, begun, ended
		l.failed = append(l.failed, f)
	}
}

func (l *load) begin() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.open == 0 {
		l.since = now
	}
	l.open++
	return now
}

// end closes a question; one that was answered breaks the silence.
func (l *load) end(answered bool) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.open--
	if answered {
		l.silence = max(l.silence, now.Sub(l.since))
		l.since = now
	}
	return now
}

// exchange returns why q has no answer, or a failure without error.
func (l *load) exchange(ctx context.Context, q question) failure {
	var sent io.Reader
	if q.body != nil {
		sent = paced(bytes.NewReader(q.body), q.pace)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, l.url+q.route, sent)
	if err != nil {
		return failure{err: err}
	}
	r.ContentLength = int64(len(q.body))
	resp, err := l.client.Do(r)
	if err != nil {
		return failure{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(paced(resp.Body, q.pace))
	got := string(body)
	f := failure{status: resp.StatusCode, kind: resp.Header.Get("Proxy-Status"), err: err}
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		f.err = errors.New(strings.ReplaceAll(head(got), "\n", " "))
	case q.header && resp.Header.Get("X-Nonce") != q.nonce:
		f.wrong, f.err = true, fmt.Errorf("it is the answer to %q", resp.Header.Get("X-Nonce"))
	case got != string(q.answer):
		f.wrong, f.err = true, fmt.Errorf("%d bytes beginning with %.40q, want %d with %.40q", len(got), got, len(q.answer), q.answer)
	}
	return f
}

// paced takes its time for each 16 KiB.
func paced(r io.Reader, pace time.Duration) io.Reader {
	if pace == 0 {
		return r
	}
	return &pacedReader{r, pace}
}

type pacedReader struct {
	r    io.Reader
	pace time.Duration
}

func (p *pacedReader) Read(b []byte) (int, error) {
	time.Sleep(p.pace)
	return p.r.Read(b[:min(len(b), 16<<10)])
}

// callers keeps that many callers busy while during runs: each asks its next
// question as soon as the last is answered. next gets the caller's number and how
// many questions it has asked.
func (l *load) callers(t testing.TB, n int, next func(caller, i int) question, during func()) {
	t.Helper()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for caller := range n {
		wg.Go(func() {
			for i := 0; !closed(done); i++ {
				l.ask(t.Context(), next(caller, i))
			}
		})
	}
	defer wg.Wait()
	defer close(done)
	during()
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pause lets time pass, under load or without any.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// methods are what mixed asks with.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut}

// mixed is the i-th question of a caller who uses all methods in turn, with small
// bodies and, each eighth time, one that goes to disk.
func (l *load) mixed(caller, i int) question {
	if method := methods[(caller+i)%len(methods)]; takesBody(method) && (caller+i/len(methods))%8 == 0 {
		return l.once(method, l.filler[:300_000], i%10)
	}
	return l.small(caller, i)
}

// small is mixed with bodies that all fit in one write.
func (l *load) small(caller, i int) question {
	method := methods[(caller+i)%len(methods)]
	ms := (caller*7 + i*3) % 10
	if takesBody(method) {
		return l.once(method, l.filler[:caller*50+i%1000], ms)
	}
	return l.once(method, nil, ms)
}

func takesBody(method string) bool { return method == http.MethodPost || method == http.MethodPut }

// reads is the i-th question of a caller who uses only methods without a body.
func (l *load) reads(caller, i int) question {
	return l.once([]string{http.MethodGet, http.MethodHead}[i%2], nil, (caller*7+i*3)%10)
}

// longReads take so long that many are at the application together.
func (l *load) longReads(_, i int) question {
	return l.once([]string{http.MethodGet, http.MethodHead}[i%2], nil, 300)
}

// report logs the figures.
func (l *load) report(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	right := 0
	for _, n := range l.right {
		right += n
	}
	t.Logf("%d right answers %v, %d failures, %d clients left; slowest %v (%s), longest silence %v",
		right, l.right, len(l.failed), l.left, l.slowest.Round(time.Millisecond), l.slowestOf, l.silence.Round(time.Millisecond))
}

// wantAllRight fails if any question was not answered, or none was asked.
func (l *load) wantAllRight(t testing.TB) {
	t.Helper()
	l.report(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.right) == 0 {
		t.Error("no answers")
	}
	errorEach(t, l.failed)
}

// wantNoneStarved fails if a request waited much longer than the others: whoever is
// turned away must not stay behind those who came later.
func (l *load) wantNoneStarved(t testing.TB) {
	t.Helper()
	const starved = 3 * time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slowest > starved {
		t.Errorf("%s took %v", l.slowestOf, l.slowest)
	}
}

// errorEach makes errors of failures, the first few in full.
func errorEach(t testing.TB, failures []failure) {
	t.Helper()
	const enough = 10
	for _, f := range failures[:min(enough, len(failures))] {
		t.Error(f)
	}
	if len(failures) > enough {
		t.Errorf("and %d more", len(failures)-enough)
	}
}

// wantRunOnce fails if a request that is not idempotent was run twice, or if an
// answered one was not run at all. It returns how many idempotent ones were run
// more than once.
func (l *load) wantRunOnce(t testing.TB) (again int) {
	t.Helper()
	text, err := os.ReadFile(l.ledger)
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]int{}
	for nonce := range strings.Lines(string(text)) {
		runs[strings.TrimSuffix(nonce, "\n")]++
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, method := range slices.Sorted(maps.Keys(l.asked)) {
		ran := 0
		for _, nonce := range l.asked[method] {
			switch {
			case runs[nonce] > 1 && method == http.MethodPost:
				t.Errorf("%s ran %d times", nonce, runs[nonce])
			case runs[nonce] > 1:
				again++
			}
			if runs[nonce] > 0 {
				ran++
			}
		}
		if ran < l.right[method] {
			t.Errorf("%d %s requests were run, %d answered", ran, method, l.right[method])
		}
	}
	return again
}
