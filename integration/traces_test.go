//go:build linux

package integration

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans in OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   map[string]*tracepb.Span // by name and status, the last ones
	service string
	header  http.Header
	refused int // exports to refuse first
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{spans: make(map[string]*tracepb.Span)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		data := new(tracepb.TracesData)
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, data) != nil {
			t.Errorf("%s %s: %v, %q", r.Method, r.URL, err, body)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.refused > 0 {
			c.refused--
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		c.header = r.Header
		for _, rs := range data.ResourceSpans {
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.name" {
					c.service = a.Value.GetStringValue()
				}
			}
			for _, ss := range rs.ScopeSpans {
				for _, span := range ss.Spans {
					c.spans[span.Name] = span
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// wait returns the spans when one of that name has come.
func (c *collector) wait(t *testing.T, name string) map[string]*tracepb.Span {
	t.Helper()
	var spans map[string]*tracepb.Span
	eventually(t, "a span "+name, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.spans[name] == nil {
			return fmt.Errorf("there are %d others", len(c.spans))
		}
		spans, c.spans = c.spans, make(map[string]*tracepb.Span)
		return nil
	})
	return spans
}

const tracedPHP = `<?php usleep(50000); echo $_SERVER['HTTP_TRACEPARENT'] ?? 'none', ' ', $_SERVER['HTTP_TRACESTATE'] ?? 'none';`

// startTraced runs PHP behind sluice with those variables.
func startTraced(t *testing.T, environ ...string) sluice {
	t.Helper()
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "index.php"), []byte(tracedPHP), 0o644); err != nil {
		t.Fatal(err)
	}
	return startSluiceCommand(t, exec.Command(need(t, "php-cgi")), "--preset", "php", "--root", root, "--workers", "4")
}

// The spans of a request are in the client's trace, in their order, and the application continues it.
func TestTraces(t *testing.T) {
	c := startCollector(t)
	c.refused = 1 // it is sent again
	gate := startTraced(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_SERVICE_NAME=wiki-gate", "OTEL_BSP_SCHEDULE_DELAY=50",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20abc")
	s := newSite(t, gate.url)
	const traceID, parentID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	r := s.request(t, http.MethodGet, "/index.php", nil)
	r.Header.Set("Traceparent", "00-"+traceID+"-"+parentID+"-01")
	r.Header.Set("Tracestate", "vendor=x")
	_, body := s.do(t, r)
	spans := c.wait(t, "GET")
	server := spans["GET"]
	if hex.EncodeToString(server.TraceId) != traceID || hex.EncodeToString(server.ParentSpanId) != parentID || server.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("%v", server)
	}
	if want := "00-" + traceID + "-" + hex.EncodeToString(server.SpanId) + "-01 vendor=x"; body != want {
		t.Errorf("the application got %q, want %q", body, want)
	}
	parents := map[string]*tracepb.Span{"wait": server, "lease": server, "exchange": server, "process": spans["exchange"]}
	for name, parent := range parents {
		span := spans[name]
		if span == nil || string(span.ParentSpanId) != string(parent.SpanId) || span.StartTimeUnixNano < parent.StartTimeUnixNano || span.EndTimeUnixNano > parent.EndTimeUnixNano {
			t.Errorf("%s: %v in %v", name, span, parent)
		}
	}
	if spans["wait"].EndTimeUnixNano > spans["lease"].StartTimeUnixNano || spans["lease"].EndTimeUnixNano > spans["exchange"].StartTimeUnixNano {
		t.Error("the steps overlap")
	}
	if took := time.Duration(spans["process"].EndTimeUnixNano - spans["process"].StartTimeUnixNano); took < 50*time.Millisecond {
		t.Errorf("process took %v", took)
	}
	if c.service != "wiki-gate" || c.header.Get("Authorization") != "Bearer abc" || c.header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("service %q, %v", c.service, c.header)
	}
	// Without a valid context there is a new trace, and no state of another one.
	for _, bad := range []string{"", "00-" + traceID + "-0000000000000000-01", "ff-x"} {
		r := s.request(t, http.MethodGet, "/index.php", nil)
		r.Header.Set("Tracestate", "vendor=x")
		if bad != "" {
			r.Header.Set("Traceparent", bad)
		}
		_, body := s.do(t, r)
		server := c.wait(t, "GET")["GET"]
		if want := fmt.Sprintf("00-%x-%x-01 none", server.TraceId, server.SpanId); body != want || hex.EncodeToString(server.TraceId) == traceID {
			t.Errorf("%q: the application got %q, want %q", bad, body, want)
		}
	}
}

// What is not sampled is not exported, and the application is told so. Without a configuration,
// fields pass as they are.
func TestTracesOff(t *testing.T) {
	c := startCollector(t)
	gate := startTraced(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_TRACES_SAMPLER=always_off", "OTEL_BSP_SCHEDULE_DELAY=50")
	if body := newSite(t, gate.url).get(t, "/index.php"); len(body) != len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00 none") || !strings.HasSuffix(body, "-00 none") {
		t.Errorf("not sampled: %q", body)
	}
	gate = startTraced(t, "OTEL_TRACES_EXPORTER=none")
	s := newSite(t, gate.url)
	if body := s.get(t, "/index.php"); body != "none none" {
		t.Errorf("off: %q", body)
	}
	r := s.request(t, http.MethodGet, "/index.php", nil)
	r.Header.Set("Traceparent", "as it is")
	if _, body := s.do(t, r); body != "as it is none" {
		t.Errorf("off: %q", body)
	}
	if len(c.spans) > 0 {
		t.Errorf("%v", c.spans)
	}
}
