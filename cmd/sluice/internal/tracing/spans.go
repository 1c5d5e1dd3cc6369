package tracing

import (
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
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
	granted := o.GrantedAt
	if granted.IsZero() {
		granted = time.Now()
	}
	t.step(r, "wait", o.QueuedAt, granted)
	if o.GrantedAt.IsZero() {
		return
	}
	if o.SentAt.IsZero() {
		t.step(r, "lease", granted, time.Now())
		return
	}
	t.step(r, "lease", granted, granted.Add(o.Leasing))
	exchange := t.begin(r, "exchange", o.SentAt)
	if o.FirstByte > 0 {
		process := t.begin(r.WithContext(trace.ContextWithSpan(r.Context(), exchange)), "process", o.SentAt)
		process.End(trace.WithTimestamp(o.SentAt.Add(o.FirstByte)))
		exchange.End(trace.WithTimestamp(o.SentAt.Add(o.FirstByte + o.Answer)))
		return
	}
	exchange.End()
}

func (t *Tracing) begin(r *http.Request, name string, at time.Time) trace.Span {
	_, span := t.tracer.Start(r.Context(), name, trace.WithTimestamp(at))
	return span
}

func (t *Tracing) step(r *http.Request, name string, from, to time.Time) {
	t.begin(r, name, from).End(trace.WithTimestamp(to))
}

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
