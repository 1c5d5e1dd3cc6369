package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// The slow log says what was waited for longest, and all that was waited for.
func TestSlowLog(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		o    bridge.Outcome
		want string // waited_for; "": no line
	}{
		{bridge.Outcome{Total: s, FirstByte: s}, ""},
		{bridge.Outcome{Total: 9 * s, FirstByte: 9 * s, LongPoll: true}, ""},
		{bridge.Outcome{Total: 5 * s, Upload: 4 * s, Queued: s}, "the client's body"},
		{bridge.Outcome{Total: 5 * s, Authorizing: 4 * s, FirstByte: s}, "the authorizer"},
		{bridge.Outcome{Total: 5 * s, Queued: 4 * s, Leasing: s}, "a worker"},
		{bridge.Outcome{Total: 5 * s, Queued: 4 * s, Leasing: 3 * s}, "a connection"},
		{bridge.Outcome{Total: 5 * s, Queued: s, FirstByte: 4 * s}, "the first byte"},
		{bridge.Outcome{Total: 5 * s, FirstByte: s, Answer: 4 * s}, "the rest of the answer"},
		{bridge.Outcome{Total: 5 * s, Queued: s, FirstByte: s, Answer: s}, "the client"},
	} {
		var out bytes.Buffer
		l := newSlowLog(slog.New(slog.NewJSONHandler(&out, nil)))
		l.after.Store(int64(2 * s))
		l.observe(httptest.NewRequest("GET", "/a?secret", nil), &c.o)
		if c.want == "" {
			if out.Len() > 0 {
				t.Errorf("%+v: %s", c.o, out.String())
			}
			continue
		}
		var line struct {
			For    string `json:"waited_for"`
			Advice string
			Path   string
			Queue  float64 `json:"queue_ms"`
			Client float64 `json:"client_ms"`
			Total  float64 `json:"total_ms"`
		}
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.For != c.want || line.Advice == "" || line.Path != "/a" || line.Total != 5000 || line.Queue != milliseconds(c.o.Queued-c.o.Leasing) {
			t.Errorf("%s, want %q", out.String(), c.want)
		}
	}
}

// A flood of slow requests does not flood the log, and the lines that are left out are counted.
func TestSlowLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	l := newSlowLog(slog.New(slog.NewTextHandler(&out, nil)))
	l.after.Store(int64(time.Second))
	o := &bridge.Outcome{Total: 2 * time.Second}
	for range 10 * slowLinesBurst {
		l.observe(httptest.NewRequest("GET", "/", nil), o)
	}
	lines := strings.Count(out.String(), "\n")
	if lines < slowLinesBurst || lines > 2*slowLinesBurst {
		t.Errorf("%d lines", lines)
	}
	left := l.left.Load()
	l.allow.SetBurst(10 * slowLinesBurst)
	l.allow.SetLimit(1e9)
	time.Sleep(time.Millisecond)
	l.observe(httptest.NewRequest("GET", "/", nil), o)
	if !strings.Contains(out.String(), fmt.Sprintf("left_out=%d", left)) {
		t.Errorf("no left_out=%d", left)
	}
}
