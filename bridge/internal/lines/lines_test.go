package lines

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// newLog returns a log and what it wrote, one record a line, without time.
func newLog() (*Log, *bytes.Buffer) {
	var buf bytes.Buffer
	h := slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
	return NewLog(slog.New(h), "stderr"), &buf
}

func source(l *Log) *Source {
	s := l.Source(slog.String("path", "/"), slog.String("instance", "a"))
	return &s
}

func TestLines(t *testing.T) {
	for name, tc := range map[string]struct {
		writes []string
		want   []string // the line attributes, as the text handler writes them
	}{
		"one":               {[]string{"one\n"}, []string{"one"}},
		"two at once":       {[]string{"one\ntwo\n"}, []string{"one", "two"}},
		"across writes":     {[]string{"o", "n", "e\nt", "wo\n"}, []string{"one", "two"}},
		"without an end":    {[]string{"one\ntwo"}, []string{"one", "two"}},
		"CRLF":              {[]string{"one\r\ntwo\r", "\n"}, []string{"one", "two"}},
		"empty lines":       {[]string{"\n\n\r\none\n\n"}, []string{`""`, "one"}},
		"nothing":           {[]string{"", ""}, nil},
		"control character": {[]string{"a\x1b[31mb\x00c\n"}, []string{`"a\x1b[31mb\x00c"`}},
		"forged record":     {[]string{"x\" level=ERROR msg=\"y\n"}, []string{`"x\" level=ERROR msg=\"y"`}},
	} {
		t.Run(name, func(t *testing.T) {
			l, buf := newLog()
			s := source(l)
			for _, w := range tc.writes {
				if n, err := s.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			s.End()
			s.End()
			var want strings.Builder
			for _, line := range tc.want {
				fmt.Fprintf(&want, "msg=stderr line=%s path=/ instance=a\n", line)
			}
			if buf.String() != want.String() {
				t.Errorf("got\n%swant\n%s", buf, &want)
			}
		})
	}
}

// A line beyond MaxLine is cut, says by how much, and takes no more memory.
func TestLongLine(t *testing.T) {
	l, buf := newLog()
	s := source(l)
	const size = 10 << 20
	part := []byte(strings.Repeat("x", 1<<20))
	for range size / len(part) {
		s.Write(part)
	}
	if cap(s.partial) > 2*MaxLine {
		t.Errorf("%d bytes are held", cap(s.partial))
	}
	s.Write([]byte("\nnext\n"))
	want := fmt.Sprintf("msg=stderr line=%s path=/ instance=a cut_bytes=%d\nmsg=stderr line=next path=/ instance=a\n",
		strings.Repeat("x", MaxLine), size-MaxLine)
	if buf.String() != want {
		t.Errorf("got %d bytes, want %d, ending %q", buf.Len(), len(want), buf.String()[max(0, buf.Len()-100):])
	}
}

func TestExactlyMaxLine(t *testing.T) {
	l, buf := newLog()
	source(l).Write([]byte(strings.Repeat("x", MaxLine) + "\n"))
	if strings.Contains(buf.String(), "cut_bytes") || strings.Count(buf.String(), "x") != MaxLine {
		t.Errorf("a line of MaxLine bytes was cut")
	}
}

// 500 lines at once, then 50 a second; what is left out is counted.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, buf := newLog()
		a, b := source(l), source(l) // they share the rate
		count := func() int { return strings.Count(buf.String(), "msg=stderr line=") }
		for range 300 {
			a.Write([]byte("0123456789\n"))
			b.Write([]byte("0123456789\n"))
		}
		if n := count(); n != burst {
			t.Errorf("%d lines at once, want %d", n, burst)
		}
		time.Sleep(time.Second)
		buf.Reset()
		for range 60 {
			a.Write([]byte("0123456789\n"))
		}
		if n := count(); n != perSecond {
			t.Errorf("%d lines a second later, want %d", n, perSecond)
		}
		if first, _, _ := strings.Cut(buf.String(), "\n"); first != `msg="stderr: lines left out, there were too many" lines=100 bytes=1000 advice="have the application write less, or into a file of its own"` {
			t.Errorf("first %q, want what was left out before", first)
		}
		buf.Reset()
		l.Flush()
		l.Flush()
		if got := buf.String(); got != `msg="stderr: lines left out, there were too many" lines=10 bytes=100 advice="have the application write less, or into a file of its own"`+"\n" {
			t.Errorf("Flush wrote %q", got)
		}
	})
}
