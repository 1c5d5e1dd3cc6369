package tracing

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

var propagator propagation.TraceContext

// Handler returns next with a span around each of its requests. The application gets the context of
// that span as the field traceparent, which is the variable HTTP_TRACEPARENT in the other protocols:
// in the trace of the client's context if that is valid, in a new one otherwise. On nil it returns
// next itself.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.String("url.path", r.URL.Path),
			attribute.String("url.scheme", scheme(r)),
			attribute.String("server.address", r.Host),
			attribute.String("network.protocol.version", strings.TrimPrefix(r.Proto, "HTTP/")),
			attribute.String("user_agent.original", r.UserAgent()),
		))
		defer span.End()
		r = r.Clone(ctx)
		for name := range propagated {
			r.Header.Del(name)
		}
		propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
		next.ServeHTTP(w, r)
	})
}

// propagated are the fields that Inject sets, or leaves as they are.
var propagated = map[string]bool{"Traceparent": true, "Tracestate": true}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// TraceID returns the trace id in a traceparent field, "" if it is none.
func TraceID(traceparent string) string {
	const id, idEnd, length = 3, 35, 55
	if len(traceparent) < length {
		return ""
	}
	if _, err := trace.TraceIDFromHex(traceparent[id:idEnd]); err != nil {
		return ""
	}
	return traceparent[id:idEnd]
}
