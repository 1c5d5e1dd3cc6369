package probe

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// says writes a text as soon as something has come.
func says(text string) fcgitest.Script {
	return func(s *fcgitest.Session) {
		var b [4096]byte
		_, _ = s.Read(b[:])
		s.Send([]byte(text))
	}
}

// saysTo answers what begins with a prefix, and closes on everything else.
func saysTo(prefix, text string) fcgitest.Script {
	return func(s *fcgitest.Session) {
		var b [4096]byte
		n, _ := s.Read(b[:])
		if strings.HasPrefix(string(b[:n]), prefix) {
			s.Send([]byte(text))
		}
	}
}

// line answers a line, and waits for the end of one that does not end.
func line(s *fcgitest.Session) {
	var b [4096]byte
	n, _ := s.Read(b[:])
	if !strings.Contains(string(b[:n]), "\n") {
		s.Gone()
		return
	}
	s.Send([]byte("HTTP/1.0 200 OK\r\n\r\n"))
}

// What cannot be probed, why, and how long it takes to say so.
func TestUnusable(t *testing.T) {
	for _, c := range []struct {
		name   string
		script fcgitest.Script
		speaks string // of the ProtocolError; "-" if it is none
		want   string
		took   time.Duration
	}{
		{"HTTP", says("HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP", `it speaks HTTP, not FastCGI (it said "HTTP/1.1 400 Bad Request"): serve it with --backend http://app, and its threads or processes as --workers`, 0},
		{"HTTP that waits for a line", line, "HTTP", "it speaks HTTP", firstTimeout + 2*threadDelay},
		{"an error page of HTTP/0.9", says("<!DOCTYPE HTML>\n"), "HTTP", "it speaks HTTP", 0},
		{"TLS", says("\x15\x03\x01\x00\x02\x02\x46"), "TLS", "it speaks TLS", 0},
		{"a greeting", says("SSH-2.0-OpenSSH_9.2\r\n"), "", `it does not speak FastCGI (it said "SSH-2.0-OpenSSH_9.2"): is it the right address?`, 0},
		{"a short answer", says("-ERR\r\n"), "", `"-ERR"`, 0},
		{"SCGI", saysTo("", "Status: 200 OK\r\n\r\n"), "", "it does not speak FastCGI", 0},
		{"SCGI, which closes on FastCGI", saysTo("3", "Status: 200 OK\r\n\r\n"), "SCGI", "serve it with --backend scgi://app, and its threads or processes as --workers", 200*time.Millisecond + 2*threadDelay},
		{"SCGI, with a type first", saysTo("3", "Content-type: text/html\r\n\r\n"), "SCGI", "serve it with --backend scgi://app, and", 200*time.Millisecond + 2*threadDelay},
		{"uwsgi, which closes on FastCGI", saysTo("\x00", "HTTP/1.1 200 OK\r\n\r\n"), "uwsgi", "serve it with --backend uwsgi://app, and", 200*time.Millisecond + 3*threadDelay},
		{"full", fcgitest.AcceptThenClose, "-", "the connection was closed before an answer came: its workers may all be taken", 200*time.Millisecond + 3*threadDelay},
		{"silent", fcgitest.SilentForever, "-", "GET / takes more than 5s, then choose another --path", firstTimeout + 4*threadDelay},
		{"deaf", fcgitest.ReadsNothing, "-", "no answer came in time: its workers may be taken", firstTimeout + 3*minTimeout + 4*threadDelay},
		{"an answer without an end", fcgitest.Ticks(100, time.Second), "-", "an answer began and did not end in time: choose a --path whose page ends within 5s", firstTimeout},
		{"an answer that is cut", fcgitest.EOFInBody, "-", "closed in the middle of an answer: choose another --path", 0},
		{"a bad record", fcgitest.BadEndLength, "-", "END_REQUEST", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				r, err := run(t, fcgitest.Start(t, c.script), nil)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("%+v, %v, want %q", r, err, c.want)
				}
				speaks := "-"
				if foreign, ok := errors.AsType[*ProtocolError](err); ok {
					speaks = foreign.Speaks
				}
				if speaks != c.speaks {
					t.Errorf("it speaks %q, want %q", speaks, c.speaks)
				}
				if took := time.Since(begun).Round(threadDelay); took != c.took.Round(threadDelay) {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		peer.Close()
		_, err := run(t, peer, nil)
		if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "probe: dial app: connection refused (is the application running?)" {
			t.Errorf("%v", err)
		}
	})
}

// An end from outside closes everything at once, whatever is under way.
func TestCancel(t *testing.T) {
	for _, after := range []time.Duration{
		0, 100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second,
	} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := fcgitest.Start(t, fcgitest.Processes(3, hello))
				w := &watch{dial: peer.Dial}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(after, cancel)
				begun := time.Now()
				r, err := Run(ctx, Config{Address: "app", Dial: w.Dial})
				if !errors.Is(err, context.Canceled) || r != nil {
					t.Errorf("%+v, %v", r, err)
				}
				if took := time.Since(begun); took != after {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
				w.check(t, 3+1)
				if n := peer.Open(); n > 0 {
					t.Errorf("%d connections are open", n)
				}
			})
		})
	}
}

// When the time is over there is a report of what is known, and it blames the
// application for nothing that the end of the probe did.
func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration
		want    string
	}{
		{100 * time.Millisecond, "? ? ? ?, ?, ?, ?, ?"},
		{260 * time.Millisecond, "? ? ? ?, kept, ?, ?, ?"},
		{500 * time.Millisecond, "0 1 1 usable, kept, ?, ?, ?"},
		{2 * time.Second, "0 1 1 usable, kept, waits, no multiplexing, ?"},
		{time.Minute, "0 1 1 usable, kept, waits, no multiplexing, 3 waits"},
	} {
		t.Run(c.timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := fcgitest.Start(t, fcgitest.Processes(3, hello))
				begun := time.Now()
				r, err := run(t, peer, func(cfg *Config) { cfg.Timeout = c.timeout })
				if err != nil {
					t.Fatal(err)
				}
				if got := brief(r); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if took := time.Since(begun); took > c.timeout {
					t.Errorf("it took %v", took)
				}
				if reason := r.Capacity.Reason; !r.Capacity.Known && !strings.Contains(reason, "was over") {
					t.Errorf("the capacity is not known: %s", reason)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := run(t, fcgitest.Start(t, fcgitest.SilentForever), func(cfg *Config) { cfg.Timeout = time.Second })
		if want := "probe app: the time for the whole probe, 1s, was over, and no request has been answered"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		`path "index"`:         {Path: "index"},
		`path "/%zz"`:          {Path: "/%zz"},
		"script \"a.php\"":     {Script: "a.php"},
		"-1 connections":       {Max: -1},
		"timeout -1s":          {Timeout: -time.Second},
		`parameter "DOCUMENT_`: {Path: "/" + strings.Repeat("x", 70_000)},
	} {
		cfg.Dial = fcgitest.Listen(0).Dial
		if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := cfg.Check(); err == nil {
			t.Errorf("Check lets %q pass", want)
		}
	}
	if _, err := Run(t.Context(), Config{Network: "unix", Addr: t.TempDir() + "/absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without Dial: %v", err)
	}
}
