package bridge

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// under asks the bridge as a server does that gives each request a second.
func (r *rig) under(wrap func(http.Handler) http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	wrap(r.b).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func withCause(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeoutCause(r.Context(), time.Second, errors.New("that was enough"))
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// A deadline of whoever embeds the bridge is no client that has left: wherever it is met,
// the client gets a 504.
func TestDeadlineOfTheServer(t *testing.T) {
	for wrapped, wrap := range map[string]func(http.Handler) http.Handler{"deadline": withDeadline, "with a cause": withCause} {
		for name, busy := range map[string]bool{"while the application works": false, "in the queue": true} {
			t.Run(wrapped+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.AnswerAfter(20*time.Second, fcgitest.Page))
					if busy {
						answer := r.start("GET", "/slow", nil)
						defer answer()
						synctest.Wait()
					}
					start := time.Now()
					w := r.under(wrap, "/x")
					if w.Code != 504 || w.Header().Get("Proxy-Status") != "sluice; error="+errTimeout || time.Since(start) != time.Second {
						t.Errorf("%d %v after %v", w.Code, w.Header(), time.Since(start))
					}
					if o := r.outcome(); o.Status != 504 || string(o.ErrorType) != errTimeout || o.Aborted {
						t.Errorf("%+v", o)
					}
					time.Sleep(20 * time.Second) // the worker is at work for that long
				})
			})
		}
	}
}

// After the first byte there is nothing else to do than to cut the answer.
func TestDeadlineWithinTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Ticks(10, 300*time.Millisecond))
		defer func() {
			if cause := recover(); cause != http.ErrAbortHandler {
				t.Errorf("panic %v, want the connection to be cut", cause)
			}
			if o := r.outcome(); o.Status != 200 || !o.Aborted || string(o.ErrorType) != errTimeout {
				t.Errorf("%+v", o)
			}
			time.Sleep(10 * time.Second)
		}()
		r.under(withDeadline, "/x")
	})
}

// net/http's own: it answers 503 itself, and we do not take that for a client that left.
func TestTimeoutHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.AnswerAfter(20*time.Second, fcgitest.Page))
		w := r.under(func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Second, "too slow") }, "/x")
		if w.Code != 503 || w.Body.String() != "too slow" {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		if o := r.outcome(); o.Status != 504 || string(o.ErrorType) != errTimeout {
			t.Errorf("%+v", o)
		}
		time.Sleep(20 * time.Second)
	})
}

// What the application did before the deadline stays what it was, and a client that left
// is one under a deadline, too.
func TestNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.EOFBeforeHeader)
		if w := r.under(withDeadline, "/x"); w.Code != 502 {
			t.Errorf("%d, want 502", w.Code)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.AnswerAfter(20*time.Second, fcgitest.Page))
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, leave)
		withDeadline(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			defer func() { _ = recover() }()
			r.b.ServeHTTP(w, q)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil).WithContext(ctx))
		if o := r.outcome(); o.Status != StatusClientClosed {
			t.Errorf("%+v", o)
		}
		time.Sleep(20 * time.Second)
	})
}
