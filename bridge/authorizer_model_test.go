package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// TestAuthorizerModel plays random days of an authorizer that decides rightly, late, wrongly or not
// at all, and is restarted, with clients that leave. Users with even numbers may pass. Whatever
// happens, no other reaches the application, everybody is who the application takes them for, and
// the authorizer has no more connections than workers.
func TestAuthorizerModel(t *testing.T) {
	for seed := range seeds.Of(t, 100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { authorizedDay(t, rand.New(rand.NewPCG(seed, 9))) })
		})
	}
}

func authorizedDay(t *testing.T, rng *rand.Rand) {
	const users = 60
	workers := 1 + rng.IntN(4)
	manners := make([]string, users) // of the authorizer towards a user
	for i := range manners {
		manners[i] = oneOf(rng, "", "", "", "late", "cut", "garbage", "silent", "noisy")
	}
	script := fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
		user := strings.TrimPrefix(q.Param("HTTP_COOKIE"), "user=")
		n, err := strconv.Atoi(user)
		if err != nil || q.Role != 2 || len(q.Stdin) != 0 {
			t.Errorf("asked about %+v", q)
		}
		header := "Status: 403\r\n\r\nno"
		if n%2 == 0 {
			header = "Status: 200\r\nVariable-REMOTE_USER: " + user + "\r\n\r\n"
		}
		switch manners[n] {
		case "late":
			time.Sleep(400 * time.Millisecond)
		case "cut":
			s.Send(fcgitest.Out(q.ID, header[:len(header)-n%7]))
			s.Conn.Close()
			return
		case "garbage":
			header = "Oops: " + "\x00\n\n"
		case "silent":
			s.HoldFor(10 * time.Second)
		case "noisy":
			s.Send(fcgitest.Record(fcgitest.Stderr, q.ID, []byte("hm\n")))
		}
		s.Send(fcgitest.Out(q.ID, header), fcgitest.End(q.ID))
	})
	application := fcgitest.Start(t, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
		user := q.Param("REMOTE_USER")
		if n, err := strconv.Atoi(user); err != nil || n%2 != 0 || q.Param("REQUEST_URI") != "/"+user || q.Role != 1 {
			t.Errorf("%s is let pass as %q, in role %d", q.Param("REQUEST_URI"), user, q.Role)
		}
		s.Send(fcgitest.Out(q.ID, "X-User: "+user+"\n\n"+string(q.Stdin)), fcgitest.End(q.ID))
	}))
	authorizer := fcgitest.Start(t, script)
	authorizer.Values(oneOf(rng, fcgitest.ValuesNo, fcgitest.ValuesLibfcgi, fcgitest.ValuesSilent))
	var open atomic.Int64 // connections to the authorizer that the bridge has not closed
	cfg := Config{}
	cfg.Workers = 1 + rng.IntN(4)
	cfg.ApplicationConfig.Authorizer = &config.Authorizer{Address: "auth:1", Workers: workers}
	cfg.ApplicationConfig.Timeouts.Authorizer = config.Duration(2 * time.Second)
	cfg.SiteConfig.Timeouts.Abandoned = config.Duration(3 * time.Second)
	cfg.RequestBuffering = oneOf(rng, config.On, config.Off)
	cfg.dial = func(ctx context.Context, _, addr string) (net.Conn, error) {
		if addr != "auth:1" {
			return application.Dial(ctx)
		}
		c, err := authorizer.Dial(ctx)
		if err != nil {
			return nil, err
		}
		if n := open.Add(1); int(n) > workers {
			t.Errorf("%d connections to the authorizer, %d workers", n, workers)
		}
		return &countedConn{Conn: c, closed: sync.OnceFunc(func() { open.Add(-1) })}, nil
	}
	r := startRig(t, cfg)
	r.peer = application
	var clients, events sync.WaitGroup
	over := make(chan struct{})
	if rng.IntN(2) == 0 {
		other := rand.New(rand.NewPCG(rng.Uint64(), 1))
		events.Go(func() { restartAtTimes(authorizer, other, over) })
	}
	for n := range users {
		method, body := oneOf(rng, "GET", "HEAD", "POST", "PUT"), ""
		if method == "POST" || method == "PUT" {
			body = strings.Repeat(strconv.Itoa(n), 1+rng.IntN(20000))
		}
		at, leave := time.Duration(rng.Int64N(int64(4*time.Second))), time.Duration(rng.Int64N(int64(20*time.Second)))
		clients.Go(func() {
			time.Sleep(at)
			ctx, cancel := context.WithTimeout(context.Background(), leave)
			defer cancel()
			re := r.send(as(strconv.Itoa(n), method, "/"+strconv.Itoa(n), body).WithContext(ctx))
			switch passed := re.status == http.StatusOK; {
			case re.err != nil:
				if ctx.Err() == nil {
					t.Errorf("request %d: %v", n, re.err)
				}
			case passed && (n%2 != 0 || re.header.Get("X-User") != strconv.Itoa(n) || method != "HEAD" && re.body != body):
				t.Errorf("request %d got %+v", n, re)
			case !passed && !slices.Contains([]int{403, 502, 503, 504}, re.status), re.status == 403 && n%2 == 0:
				t.Errorf("request %d got %d %q", n, re.status, re.body)
			}
			for _, in := range r.b.app.app.Authorizer.Pool.Snapshot().Instances {
				if used := in.Dialing + in.Busy + in.Idle + in.AtWork + in.Closing; used > workers {
					t.Errorf("%d connections to the authorizer, %d workers", used, workers)
				}
			}
		})
	}
	clients.Wait()
	close(over)
	events.Wait()
	time.Sleep(time.Minute)
	r.wantNothingAsked()
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections to the authorizer are open at the end", n)
	}
}
