package bridge

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// A drained instance finishes what it has, and gets nothing until it is resumed.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Backends: []string{"a:1", "b:2"}}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			if strings.HasPrefix(q.Param("REQUEST_URI"), "/wait") {
				<-release
			}
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		first, second := r.start("GET", "/wait", nil), r.start("GET", "/wait", nil) // one at each
		drained, err := r.b.Application().Drain("a:1")
		if err != nil {
			t.Fatal(err)
		}
		r.wantPage(r.get("/"))
		if o := r.outcome(); o.Instance != "b:2" {
			t.Errorf("answered by %s", o.Instance)
		}
		select {
		case <-drained:
			t.Error("drained while a request is there")
		default:
		}
		close(release)
		r.wantPage(first())
		r.wantPage(second())
		<-drained
		if err := r.b.Application().Resume("a:1"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.b.Application().Drain("b:2"); err != nil {
			t.Fatal(err)
		}
		r.wantPage(r.get("/"))
		if o := r.outcome(); o.Instance != "a:1" {
			t.Errorf("answered by %s", o.Instance)
		}
		if _, err := r.b.Application().Drain("c:3"); err == nil || err.Error() != `there is no backend "c:3"` {
			t.Errorf("%v", err)
		}
		if err := r.b.Application().Resume("c:3"); err == nil {
			t.Error("resumed what is not there")
		}
	})
}
