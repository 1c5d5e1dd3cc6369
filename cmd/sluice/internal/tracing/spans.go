package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
)

// Observe adds to the span of a request what became of it, and a span for each step of it:
//
//	wait      for a worker
//	lease     for a connection
//	exchange  from sending the request to the end of the application's answer
//	process   of that, the part until the header of the answer: the application works
//
// It is for bridge.SiteHooks.Observe.
func (t *Tracing) Observe(r *http.Request, o *bridge.Outcome) {
	if t == nil {
		return
	}
	span := trace.SpanFromContext(r.Context())
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attributes(o)...)
	if o.Status >= http.StatusInternalServerError || o.Aborted {
		span.SetStatus(codes.Error, string(o.ErrorType))
	}
	if o.Err != nil {
		span.RecordError(o.Err)
	}
	if o.QueuedAt.IsZero() {
		return // it was refused before
	}
	steps := &steps{t.tracer, r.Context(), time.Now()}
	if whole, ok := span.(sdktrace.ReadOnlySpan); ok {
		steps.base = whole.StartTime()
	}
	steps.add(o)
}

// steps are the spans within that of a request.
type steps struct {
	tracer trace.Tracer
	ctx    context.Context // with the request's span
	base   time.Time       // when that began
}

func (s *steps) add(o *bridge.Outcome) {
	now := time.Now()
	switch {
	case o.GrantedAt.IsZero():
		s.span(s.ctx, "wait", o.QueuedAt, now)
		return
	case o.SentAt.IsZero():
		s.span(s.ctx, "wait", o.QueuedAt, o.GrantedAt)
		s.span(s.ctx, "lease", o.GrantedAt, now)
		return
	}
	s.span(s.ctx, "wait", o.QueuedAt, o.GrantedAt)
	s.span(s.ctx, "lease", o.GrantedAt, o.GrantedAt.Add(o.Leasing))
	if o.FirstByte == 0 { // there was no header
		s.span(s.ctx, "exchange", o.SentAt, now)
		return
	}
	ctx := s.span(s.ctx, "exchange", o.SentAt, o.SentAt.Add(o.FirstByte+o.Answer))
	s.span(ctx, "process", o.SentAt, o.SentAt.Add(o.FirstByte))
}

// span makes a span, and returns a context for spans within it.
func (s *steps) span(ctx context.Context, name string, from, to time.Time) context.Context {
	ctx, span := s.tracer.Start(ctx, name, trace.WithTimestamp(s.at(from)))
	span.End(trace.WithTimestamp(s.at(to)))
	return ctx
}

// at is t by the monotonic clock: the other one may be set meanwhile, and steps would overlap.
func (s *steps) at(t time.Time) time.Time { return s.base.Add(t.Sub(s.base)) }

func attributes(o *bridge.Outcome) []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.Int("http.response.status_code", o.Status),
		attribute.Int64("http.request.body.size", o.BytesIn),
		attribute.Int64("http.response.body.size", o.BytesOut),
		attribute.String("client.address", o.Client),
		attribute.String("sluice.lane", o.Lane),
		attribute.String("sluice.instance", o.Instance),
		attribute.Int("sluice.attempts", o.Attempts),
	}
	if o.ErrorType != "" {
		list = append(list, attribute.String("error.type", string(o.ErrorType)))
	}
	if o.Refused != "" {
		list = append(list, attribute.String("sluice.refused", string(o.Refused)))
	}
	if o.ClientKey != 0 {
		list = append(list, attribute.String("sluice.client_key", admission.ClientKeyName(o.ClientKey)))
	}
	return list
}
