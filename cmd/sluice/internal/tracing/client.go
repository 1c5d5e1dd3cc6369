package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// client sends spans to a collector: OTLP over HTTP, as protobuf. It is an otlptrace.Client.
// OpenTelemetry's own needs gRPC in the binary, even for HTTP.
type client struct {
	endpoint string
	headers  map[string]string
	gzip     bool
	timeout  time.Duration
	http     *http.Client
}

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. What the collector cannot take just now is sent again
// within the time-out, as the protocol provides for.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := c.encode(spans)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for pause := firstPause; ; pause *= 2 {
		after, err := c.post(ctx, body)
		if after == never {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(max(pause, after)):
		}
	}
}

// encode returns the request's body. ExportTraceServiceRequest and TracesData have the same bytes;
// the former comes with gRPC.
func (c *client) encode(spans []*tracepb.ResourceSpans) ([]byte, error) {
	raw, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil || !c.gzip {
		return raw, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(raw)
	return b.Bytes(), errors.Join(err, w.Close())
}

const (
	firstPause = 500 * time.Millisecond
	never      = time.Duration(-1)
)

// post sends a body once. It returns after which time it may be sent again, or never.
func (c *client) post(ctx context.Context, body []byte) (again time.Duration, _ error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return never, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if c.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)) // for the connection to be used again
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // without one, the pause is ours
		return time.Duration(max(seconds, 0)) * time.Second, fmt.Errorf("%s: %s", c.endpoint, res.Status)
	}
	if res.StatusCode/100 != 2 {
		return never, fmt.Errorf("%s: %s", c.endpoint, res.Status)
	}
	return never, nil
}
