package bridge

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// ledger is what became of each request.
type ledger struct {
	t *testing.T

	mu      sync.Mutex
	entries map[int]*entry
}

// entry is one request's.
type entry struct {
	plan     *plan
	runs     int // times the application executed it
	attempts int // times the bridge says that it sent it
	servings int // times the client's request reached the bridge: net/http sends some again
}

// executed notes that the application runs a request.
func (l *ledger) executed(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[n]
	if e == nil {
		l.t.Errorf("request %d, which nobody made, was executed", n)
		return
	}
	e.runs++
}

// received checks a body that the application takes for complete.
func (l *ledger) received(r *fcgitest.Request) {
	p, err := planOf(r.Param("QUERY_STRING"))
	if err != nil {
		return // begin says so
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[p.n]; e != nil && string(r.Stdin) != uploaded(p.n, e.plan.body) {
		l.t.Errorf("request %+v arrived with %d bytes of body", *e.plan, len(r.Stdin))
	}
}

// observe is the bridge's.
func (l *ledger) observe(r *http.Request, o *Outcome) {
	p, err := planOf(r.URL.RawQuery)
	if err != nil {
		l.t.Errorf("query %q: %v", r.URL.RawQuery, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[p.n]
	e.attempts += o.Attempts
	e.servings++
	if o.Attempts == 0 && e.servings == 1 && e.runs > 0 {
		l.t.Errorf("request %+v was executed and never sent", *e.plan)
	}
	if o.Status == http.StatusInternalServerError || errors.Is(o.Err, net.ErrClosed) {
		l.t.Errorf("request %+v ended with %v", *e.plan, o.Err)
	}
}

// close looks at what was executed.
func (l *ledger) close(day string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		limit := e.servings
		if e.plan.mayRepeat() {
			limit *= 2
		}
		if e.runs > limit || e.runs > e.attempts {
			l.t.Errorf("%s request %+v was executed %d times in %d attempts of %d servings", day, *e.plan, e.runs, e.attempts, e.servings)
		}
	}
}
