package bridge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// plan is one request of a simulated day: how the client behaves, and how the
// application is to answer. The application's part travels in the query, so that
// it does not depend on which goroutine runs first.
type plan struct {
	n      int // the request's own number
	method string
	at     time.Duration // when it comes
	leave  time.Duration // when its client leaves, counted from at; 0: it stays
	body   int           // bytes
	upload upload

	manner manner
	work   time.Duration // before the answer begins
	size   int           // of the answer's body, at least
}

// upload is how a client sends its body.
type upload string

const (
	announced upload = "announced" // with its length
	chunked   upload = "chunked"   // without
	trickled  upload = "trickled"  // with its length, in pieces, with pauses
)

// manner is how the application answers.
type manner string

const (
	whole      manner = "whole"    // at once, with its length
	bare       manner = "bare"     // at once, without
	streamed   manner = "streamed" // in pieces, with pauses, without its length
	measured   manner = "measured" // in pieces, with pauses, with its length
	noisy      manner = "noisy"    // after lines on STDERR
	early      manner = "early"    // before it reads the body
	unreadBody manner = "unread"   // and leaves the body unread, and closes
	silent     manner = "silent"   // after longer than anybody waits
	short      manner = "short"    // with less than it announces
	tailed     manner = "tailed"   // and again a moment later, as a stray answer of the same number
)

// pieces is how many parts a streamed answer comes in, and pieceEvery the time
// between them.
const (
	pieces     = 4
	pieceEvery = 30 * time.Millisecond
)

func (p *plan) query() string {
	return fmt.Sprintf("n=%d&manner=%s&work=%d&size=%d", p.n, p.manner, p.work, p.size)
}

// planOf reads a query.
func planOf(query string) (*plan, error) {
	v, err := url.ParseQuery(query)
	if err != nil {
		return nil, err
	}
	p := &plan{manner: manner(v.Get("manner"))}
	var work int
	for key, to := range map[string]*int{"n": &p.n, "work": &work, "size": &p.size} {
		if *to, err = strconv.Atoi(v.Get(key)); err != nil {
			return nil, err
		}
	}
	p.work = time.Duration(work)
	return p, nil
}

// request is the plan's request as the client sends it.
func (p *plan) request(ctx context.Context, preset string) *http.Request {
	var body io.Reader
	if p.body > 0 {
		body = strings.NewReader(uploaded(p.n, p.body))
	}
	url := fmt.Sprintf("http://app.test/%c?%s", 'a'+rune(p.n%4), p.query())
	if preset == "php" {
		url = "http://app.test/index.php?" + p.query()
	}
	req, err := http.NewRequestWithContext(ctx, p.method, url, body)
	if err != nil {
		panic(err) // the test's own mistake
	}
	if p.n%3 > 0 {
		req.AddCookie(&http.Cookie{Name: "sid", Value: fmt.Sprint(p.n % 3)})
	}
	switch {
	case p.body == 0:
	case p.upload == chunked:
		req.ContentLength = -1
	case p.upload == trickled:
		req.Body, req.GetBody = io.NopCloser(&trickle{r: body}), nil
	}
	return req
}

// trickle hands out pieces of a body, with pauses.
type trickle struct{ r io.Reader }

func (s *trickle) Read(p []byte) (int, error) {
	time.Sleep(pieceEvery)
	return s.r.Read(p[:min(len(p), 30_000)])
}

// text is what request n is answered, at least size bytes. No two requests' texts
// are equal, nor is one the beginning of another.
func text(n, size int) string {
	word := fmt.Sprintf("%d ", n)
	return fmt.Sprintf("begin %d\n%s\nend %d\n", n, strings.Repeat(word, size/len(word)), n)
}

// answer is text as the plan's answer has it.
func (p *plan) answer() string { return text(p.n, p.size) }

// uploaded is what the body of request n is, n bytes of it.
func uploaded(n, size int) string {
	word := fmt.Sprintf("%d,", n)
	return strings.Repeat(word, size/len(word)+1)[:size]
}

// header is the CGI header of an answer, with its length or without.
func (p *plan) header(length bool) string {
	h := fmt.Sprintf("Content-Type: text/plain\nX-Number: %d\n", p.n)
	if length {
		announced := len(p.answer())
		if p.manner == short {
			announced++
		}
		h += fmt.Sprintf("Content-Length: %d\n", announced)
	}
	return h + "\n"
}

// simApp is one instance of a simulated application. It obeys the plans that requests
// carry, as far as its kind can.
type simApp struct {
	kind     kind
	capacity int
	ledger   *ledger

	mu      sync.Mutex
	serving map[*fcgitest.Session]int // requests in progress on multiplexed connections
	total   int
}

// kind is how an application treats its connections.
type kind string

const (
	threads     kind = "threads"     // closes at once what it has no thread for
	processes   kind = "processes"   // a connection pins a process, and others wait
	acceptMutex kind = "acceptMutex" // who is silent stops everybody
	unlimited   kind = "unlimited"   // a thread per connection
	retiring    kind = "retiring"    // closes a connection after some requests
	closing     kind = "closing"     // closes after each
	multiplexed kind = "multiplexed" // serves many on one connection
	refusing    kind = "refusing"    // pretends to, and says FCGI_CANT_MPX_CONN
	overloaded  kind = "overloaded"  // says FCGI_OVERLOADED
)

func (a *simApp) script() fcgitest.Script {
	switch a.kind {
	case threads:
		return fcgitest.Threads(a.capacity, time.Millisecond, a.serve)
	case processes:
		return fcgitest.Processes(a.capacity, a.serve)
	case acceptMutex:
		return fcgitest.AcceptMutex(a.serve)
	case retiring:
		return a.upTo(a.capacity)
	case closing:
		return a.upTo(1)
	case multiplexed, refusing, overloaded:
		return fcgitest.Multiplexed(a.share)
	}
	return a.headFirst
}

// upTo serves n requests of a connection and closes in the instant of the last
// one's end.
func (a *simApp) upTo(n int) fcgitest.Script {
	return func(s *fcgitest.Session) {
		for range n {
			a.serve(s, s.Request())
		}
	}
}

// headFirst looks at a request before its body.
func (a *simApp) headFirst(s *fcgitest.Session) {
	for {
		r := s.Head()
		p := a.begin(r)
		switch {
		case p == nil:
			return
		case p.manner == early || p.manner == unreadBody:
			s.HoldFor(p.work)
			s.Send(fcgitest.Out(r.ID, p.header(true)+p.answer()), fcgitest.End(r.ID))
			if p.manner == unreadBody {
				return
			}
			a.drain(s, r)
		default:
			a.drain(s, r)
			a.reply(s, r, p)
		}
	}
}

func (a *simApp) drain(s *fcgitest.Session, r *fcgitest.Request) {
	for s.Stdin(r) != nil {
	}
	a.ledger.received(r)
}

// serve answers a request that was read whole.
func (a *simApp) serve(s *fcgitest.Session, r *fcgitest.Request) {
	a.ledger.received(r)
	if p := a.begin(r); p != nil {
		a.reply(s, r, p)
	}
}

// share is serve on a connection that requests share.
func (a *simApp) share(s *fcgitest.Session, r *fcgitest.Request) {
	if status := a.enter(s); status != fcgitest.RequestComplete {
		s.Send(fcgitest.EndStatus(r.ID, status))
		return
	}
	defer a.leave(s)
	a.serve(s, r)
}

// enter counts a request, or returns why it is refused.
func (a *simApp) enter(s *fcgitest.Session) (status byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.kind == refusing && a.serving[s] > 0:
		return fcgitest.CantMpxConn
	case a.kind == overloaded && a.total >= a.capacity:
		return fcgitest.Overloaded
	}
	a.serving[s]++
	a.total++
	return fcgitest.RequestComplete
}

func (a *simApp) leave(s *fcgitest.Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.serving[s]--; a.serving[s] == 0 {
		delete(a.serving, s)
	}
	a.total--
}

// begin notes that a request is executed, and returns its plan.
func (a *simApp) begin(r *fcgitest.Request) *plan {
	p, err := planOf(r.Param("QUERY_STRING"))
	if err != nil {
		a.ledger.t.Errorf("query %q: %v", r.Param("QUERY_STRING"), err)
		return nil
	}
	a.ledger.executed(p.n)
	return p
}

// reply answers as the plan says.
func (a *simApp) reply(s *fcgitest.Session, r *fcgitest.Request, p *plan) {
	if p.manner == silent {
		p.work += time.Minute
	}
	if p.manner == noisy {
		s.Send(fcgitest.Record(fcgitest.Stderr, r.ID, []byte(strings.Repeat("a warning\n", 100))))
	}
	if a.aborted(s, r, p.work) {
		return
	}
	switch p.manner {
	case streamed, measured:
		s.Send(fcgitest.Out(r.ID, p.header(p.manner == measured)))
		rest := p.answer()
		for part := len(rest)/pieces + 1; len(rest) > 0; rest = rest[min(part, len(rest)):] {
			s.HoldFor(pieceEvery)
			s.Send(fcgitest.Out(r.ID, rest[:min(part, len(rest))]))
		}
	default:
		s.Send(fcgitest.Out(r.ID, p.header(p.manner != bare)+p.answer()))
	}
	s.Send(fcgitest.End(r.ID))
	if p.manner == tailed {
		s.HoldFor(pieceEvery)
		s.Send(fcgitest.Out(r.ID, p.header(true)+p.answer()), fcgitest.End(r.ID))
	}
}

// aborted waits for d. A request that is aborted meanwhile is ended as Go's
// net/http/fcgi does it: at once, and again with its answer.
func (a *simApp) aborted(s *fcgitest.Session, r *fcgitest.Request, d time.Duration) bool {
	if a.kind != multiplexed {
		s.HoldFor(d)
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-r.Aborted():
	}
	s.Send(fcgitest.End(r.ID))
	s.HoldFor(pieceEvery)
	s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
	return true
}

// mayRepeat reports whether the method is one that may be executed twice.
func (p *plan) mayRepeat() bool { return p.method != http.MethodPost }
