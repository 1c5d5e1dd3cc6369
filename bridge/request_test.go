package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// 80 KB of parameters are more than MaxParams allows unless it is raised. They
// cost no worker then.
func TestLargeParams(t *testing.T) {
	get := func(r *rig) reply {
		req, err := http.NewRequest("GET", "http://app.test/", nil)
		if err != nil {
			r.t.Fatal(err)
		}
		for i := range 80 {
			req.Header.Set(fmt.Sprintf("X-Filler-%d", i), strings.Repeat("x", 1000))
		}
		return r.send(req)
	}
	t.Run("by default", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{}, fcgitest.Hello)
			r.wantError(get(r), 431, errRequest)
			if n := r.peer.Accepted(); n != 0 {
				t.Errorf("%d connections to the application", n)
			}
			if s := r.b.Snapshot().Gate; s.Lanes["short"].Started != 0 {
				t.Error("it took a slot")
			}
		})
	})
	t.Run("allowed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{SiteConfig: SiteConfig{MaxParams: 128 << 10}}, fcgitest.Hello)
			r.wantPage(get(r))
			got := r.peer.Requests()[0] // the peer fails the test if a pair crosses records
			if len(got.ParamsRecords) != 2 {
				t.Errorf("pairs per record %v, want two records", got.ParamsRecords)
			}
			for i := range 80 {
				if v := got.Param(fmt.Sprintf("HTTP_X_FILLER_%d", i)); len(v) != 1000 {
					t.Errorf("HTTP_X_FILLER_%d has %d bytes", i, len(v))
				}
			}
		})
	})
}

// A pair that does not fit into a record is refused whatever MaxParams says.
func TestHugePair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{MaxParams: 1 << 20}}, fcgitest.Hello)
		req, err := http.NewRequest("GET", "http://app.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Filler", strings.Repeat("x", 65<<10))
		r.wantError(r.send(req), 431, errRequest)
		if !strings.Contains(r.log.String(), "HTTP_X_FILLER") {
			t.Errorf("the log does not name the parameter:\n%s", r.log)
		}
		req.Header.Set("X-Filler", strings.Repeat("x", 65_450))
		r.wantPage(r.send(req))
	})
}

func TestBodyOverTheLimit(t *testing.T) {
	for name, tc := range map[string]struct {
		buffering Switch
		chunked   bool
	}{
		"known length":    {On, false},
		"chunked":         {On, true},
		"streamed":        {Off, false},
		"chunked, off":    {Off, true},
		"length is a lie": {On, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{MaxBody: 1000, RequestBuffering: tc.buffering}}, fcgitest.Echo)
				do := func(n int) reply {
					req, err := http.NewRequest("POST", "http://app.test/", strings.NewReader(strings.Repeat("x", n)))
					if err != nil {
						t.Fatal(err)
					}
					if tc.chunked {
						req.ContentLength, req.GetBody = -1, nil
					}
					return r.send(req)
				}
				r.wantError(do(1001), 413, errRequest)
				if n := r.peer.Accepted(); n != 0 {
					t.Errorf("%d connections to the application", n)
				}
				if re := do(1000); re.status != 200 {
					t.Errorf("a body of the limit's size: %d %q, %v", re.status, re.body, re.err)
				}
			})
		})
	}
}

// The disk budget is used up: the client is told to come again.
func TestNoRoomForTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Spool: SpoolConfig{Buffer: 4 << 10, Memory: 64 << 10, Disk: 100 << 10}}}, fcgitest.Echo)
		r.wantError(r.post("/", strings.Repeat("x", 200<<10)), 503, errInternal)
		if re := r.post("/", strings.Repeat("x", 50<<10)); re.status != 200 {
			t.Errorf("a body that fits: %d %q", re.status, re.body)
		}
	})
}

// A client that sends all of its body before it reads the answer reads that, and no reset,
// although nobody wants the body. One that stops sending is not waited for.
func TestRefusedUploadsAreAnswered(t *testing.T) {
	const size = 5 << 20
	known := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("x", size))
	small := SpoolConfig{Buffer: 4 << 10, Memory: 4 << 10, Disk: 100 << 10}
	for name, tc := range map[string]struct {
		cfg    Config
		body   string
		status int
	}{
		"too large, announced": {Config{SiteConfig: SiteConfig{MaxBody: 1 << 20}}, known, 413},
		"too large, chunked":   {Config{SiteConfig: SiteConfig{MaxBody: 1 << 20}}, chunked, 413},
		"no room, announced":   {Config{ApplicationConfig: ApplicationConfig{Spool: small}}, known, 503},
		"no room, chunked":     {Config{ApplicationConfig: ApplicationConfig{Spool: small}}, chunked, 503},
	} {
		for part, sent := range map[string]int{"whole": len(tc.body), "half": len(tc.body) / 2} {
			t.Run(name+", "+part, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, tc.cfg, fcgitest.Hello)
					c := r.raw()
					begun := time.Now()
					if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\n"+tc.body[:sent]); err != nil {
						t.Fatalf("sending the body: %v", err)
					}
					resp, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						t.Fatal(err)
					}
					if text, err := io.ReadAll(resp.Body); resp.StatusCode != tc.status || err != nil {
						t.Errorf("%d %q, %v; want %d", resp.StatusCode, text, err, tc.status)
					}
					if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
						t.Errorf("then %d bytes, %v", n, err)
					}
					if d := time.Since(begun); d > discardPause+time.Second {
						t.Errorf("the connection ended after %v", d)
					}
				})
			})
		}
	}
}

// A client that sends for ever is not heard out.
func TestEndlessUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{MaxBody: 1000}}, fcgitest.Hello)
		c := r.raw()
		begun := time.Now()
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000000\r\n\r\n")
		for err == nil {
			_, err = io.WriteString(c, strings.Repeat("x", 10_000))
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(begun); d < discardFor || d > discardFor+5*time.Second {
			t.Errorf("it was listened to for %v", d)
		}
	})
}

// 100 Continue is sent when somebody wants the body, and not for one that is
// refused.
func TestExpectContinue(t *testing.T) {
	for name, buffering := range map[string]Switch{"spooled": On, "streamed": Off} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{MaxBody: 1000, RequestBuffering: buffering}}, fcgitest.Echo)
				c := r.raw()
				in := bufio.NewReader(c)
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
				if line, err := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" || err != nil {
					t.Fatalf("%q, %v, want 100", line, err)
				}
				if _, err := in.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				io.WriteString(c, "body")
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || !strings.HasSuffix(string(body), "\nbody") || err != nil {
					t.Errorf("%d %q, %v", resp.StatusCode, body, err)
				}
				if v := r.peer.Requests()[0].Param("HTTP_EXPECT"); v != "" {
					t.Errorf("HTTP_EXPECT is %q", v)
				}

				io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 4000\r\n\r\n")
				if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 413 {
					t.Errorf("%+v, %v, want 413 at once", resp, err)
				}
			})
		})
	}
}

// What a client says of its body's length and what it sends are two things.
func TestContentLengthOfTheRequest(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: app.test\r\n"
	for name, tc := range map[string]struct {
		text   string
		status int // of the first answer; 0: the connection is closed without one
		body   string
	}{
		"too short, then gone":  {head + "Content-Length: 10\r\n\r\n12345", 0, ""},
		"two lengths":           {head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\n12345", 400, ""},
		"negative":              {head + "Content-Length: -1\r\n\r\n", 400, ""},
		"bad chunk":             {head + "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400, ""},
		"chunk broken off":      {head + "Transfer-Encoding: chunked\r\n\r\n10\r\n12345", 0, ""},
		"length and chunked":    {head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n", 200, "12345"},
		"more than announced":   {head + "Content-Length: 4\r\n\r\nbodyGET nonsense\r\n\r\n", 200, "body"},
		"chunked with trailers": {head + "Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n4\r\nbody\r\n0\r\nX-A: 1\r\n\r\n", 200, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{}, fcgitest.Echo)
				c := r.raw()
				io.WriteString(c, tc.text)
				if tc.status == 0 {
					c.(*fcgitest.Conn).CloseWrite()
				}
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if tc.status == 0 {
					if err == nil {
						t.Errorf("answer %d, want none", resp.StatusCode)
					}
					r.wantKept(0)
					return
				}
				if err != nil || resp.StatusCode != tc.status {
					t.Fatalf("answer %+v, %v, want %d", resp, err, tc.status)
				}
				body, _ := io.ReadAll(resp.Body)
				if _, echoed, _ := strings.Cut(string(body), "\n"); tc.status == 200 && echoed != tc.body {
					t.Errorf("the application was sent %q, want %q", echoed, tc.body)
				}
				if got := r.peer.Requests(); tc.status == 200 && got[0].Param("CONTENT_LENGTH") != fmt.Sprint(len(tc.body)) {
					t.Errorf("CONTENT_LENGTH %q for %d bytes", got[0].Param("CONTENT_LENGTH"), len(tc.body))
				} else if tc.status == 400 && len(got) > 0 {
					t.Error("the application was sent the request")
				}
			})
		})
	}
}

// A request is what FastCGI says it is: role and flags, the parameters a
// responder needs, STDIN with its end.
func TestRequestOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Mount: "/app", Env: map[string]string{"APP_ENV": "test"}}}, fcgitest.Hello)
		r.wantPage(r.post("/app/page?q=1", "a=b"))
		got := r.peer.Requests()[0]
		if got.Role != 1 || got.Flags != fcgitest.KeepConn || got.ID != 1 || string(got.Stdin) != "a=b" || !got.StdinEnded {
			t.Errorf("request %+v", got)
		}
		for name, want := range map[string]string{
			"REQUEST_METHOD": "POST", "SCRIPT_NAME": "/app", "PATH_INFO": "/page", "QUERY_STRING": "q=1",
			"CONTENT_LENGTH": "3", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "app.test", "APP_ENV": "test",
		} {
			if v := got.Param(name); v != want {
				t.Errorf("%s is %q, want %q", name, v, want)
			}
		}
	})
}

// What cannot be mapped never reaches the application.
func TestRefusedPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Mount: "/app"}}, fcgitest.Hello)
		r.wantError(r.get("/app/a%00b"), 400, errRequest)
		r.wantError(r.get("/app/a%0Ab"), 400, errRequest)
		r.wantError(r.get("/elsewhere"), 404, errRequest)
		if n := r.peer.Accepted(); n != 0 {
			t.Errorf("%d connections to the application", n)
		}
	})
}

// A slow upload costs no worker: others are served meanwhile.
func TestSlowUploadHoldsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Echo)
		c := r.raw()
		io.WriteString(c, "POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n")
		for range 10 {
			time.Sleep(10 * time.Second)
			io.WriteString(c, "x")
			if re := r.get("/"); re.status != 200 || re.after != 0 {
				t.Fatalf("another request: %d after %v", re.status, re.after)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); !strings.HasSuffix(string(body), "\nxxxxxxxxxx") || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}
