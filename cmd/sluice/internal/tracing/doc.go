// Package tracing makes spans of requests and exports them with OpenTelemetry, if the standard
// environment variables ask for it (config.go), and hands each request the W3C trace context that
// its application continues (handler.go). What happened within a request becomes spans when it has
// ended, from its bridge.Outcome (spans.go): nothing is added to its way.
package tracing
