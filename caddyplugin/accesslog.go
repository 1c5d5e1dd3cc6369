package caddyplugin

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
)

// observe adds the outcome of a request to its line in the access log, as "sluice".
func observe(r *http.Request, o *bridge.Outcome) {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil || server.Logs == nil {
		return
	}
	if fields, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		fields.Set(zap.Object("sluice", outcome(*o)))
	}
}

// outcome is a bridge.Outcome for the access log, without empty fields.
type outcome bridge.Outcome

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (o outcome) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, f := range []struct{ key, value string }{
		{"authorizer", string(o.Authorizer)}, {"lane", o.Lane}, {"refused", string(o.Refused)}, {"error_type", string(o.ErrorType)}, {"instance", o.Instance},
	} {
		if f.value != "" {
			enc.AddString(f.key, f.value)
		}
	}
	if o.Err != nil {
		enc.AddString("error", o.Err.Error())
	}
	if o.ClientKey != 0 {
		enc.AddString("client_key", admission.ClientKeyName(o.ClientKey))
	}
	if o.Aborted {
		enc.AddBool("aborted", true)
	}
	if o.Attempts > 1 {
		enc.AddInt("attempts", o.Attempts)
	}
	for _, f := range []struct {
		key   string
		value time.Duration
	}{{"authorizing", o.Authorizing}, {"upload", o.Upload}, {"queued", o.Queued}, {"leasing", o.Leasing}, {"first_byte", o.FirstByte}, {"answer", o.Answer}} {
		if f.value > 0 {
			enc.AddDuration(f.key, f.value)
		}
	}
	return nil
}
