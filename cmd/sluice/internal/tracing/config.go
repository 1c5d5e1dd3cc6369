package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing makes and exports spans. Its methods do nothing on nil.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// Start returns what the OTEL_ variables of the environment ask for, nil if they do not ask for traces:
// OTEL_TRACES_EXPORTER is otlp, or is not set and an endpoint is. The sampler, the limits, the batches
// and the exporter are configured by their standard variables. What fails later is told to log.
func Start(ctx context.Context, version string, log *slog.Logger) (*Tracing, error) {
	wanted, err := isWanted(os.Getenv)
	if err != nil || !wanted {
		return nil, err
	}
	collector, err := environ(os.Getenv).client()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, collector)
	if err != nil {
		return nil, fmt.Errorf("the exporter of traces: %w", err)
	}
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "sluice"), attribute.String("service.version", version),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&reporter{log: log})
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	return &Tracing{provider, provider.Tracer("github.com/sluice-proxy/sluice", trace.WithInstrumentationVersion(version))}, nil
}

// isWanted reports whether the environment asks for traces. What Sluice cannot do is an error.
func isWanted(env func(string) string) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	_, endpoint := environ(env).get("ENDPOINT")
	switch exporter := env("OTEL_TRACES_EXPORTER"); {
	case exporter == "none", exporter == "" && endpoint == "":
		return false, nil
	case exporter != "otlp" && exporter != "":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: want otlp or none", exporter)
	}
	if name, protocol := environ(env).get("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return false, fmt.Errorf("%s is %q: want http/protobuf", name, protocol)
	}
	return true, nil
}

// stopTime is how long exporting the last spans may take.
const stopTime = 2 * time.Second

// Stop exports the spans that are left.
func (t *Tracing) Stop() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// reporter tells the log of failures, once a minute at most.
type reporter struct {
	log  *slog.Logger
	mu   sync.Mutex
	last time.Time
}

const reportEvery = time.Minute

// Handle implements otel.ErrorHandler.
func (r *reporter) Handle(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.last.IsZero() || now.Sub(r.last) >= reportEvery {
		r.last = now
		r.log.Warn("traces cannot be exported", "error", err.Error(), "advice", "see whether the collector runs at OTEL_EXPORTER_OTLP_ENDPOINT")
	}
}
