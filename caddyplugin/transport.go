package caddyplugin

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

func init() { caddy.RegisterModule(new(Transport)) }

// Transport connects reverse_proxy to FastCGI applications through Sluice's gate, with reverse_proxy's
// load balancing, health checks and dynamic upstreams. Each upstream has a gate and connections of its
// own; `backends` must not be set. SCGI and uwsgi are possible with the handler only: in a
// transport's JSON, `protocol` is the name of the transport.
//
// The handler `sluice` does more and costs less: it knows how many requests each backend can hold, and
// balances by that.
type Transport struct {
	config.Config

	upstreams *registry.Upstreams
	sendfile  bool // reverse_proxy acts on X-Sendfile and the like
}

// CaddyModule returns the Caddy module information.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.sluice", New: func() caddy.Module { return new(Transport) }}
}

// Provision sets up t. The application of an upstream is acquired with the first request.
func (t *Transport) Provision(ctx caddy.Context) (err error) {
	warnRenamed(t.Written())
	defer func() { err = t.Written().In(err) }()
	if len(t.Backends) > 0 || t.Spawn != nil {
		return errors.New("backends, spawn: are not possible in a transport, whose upstreams are those of reverse_proxy")
	}
	if t.Static != "" || len(t.StaticTypes)+len(t.StaticDirs) > 0 {
		return errors.New("static, static_types, static_dirs: a transport sends no files (use the handler sluice, or file_server)")
	}
	if err := resolve(&t.Config); err != nil {
		return err
	}
	configuration, user, err := newUser(ctx)
	if err != nil {
		return err
	}
	t.sendfile = actsOnSendfile(ctx)
	t.upstreams, err = configuration.NewUpstreams(t.Config, hooksOf(&t.Config.Site), user)
	return err
}

// actsOnSendfile reports whether the reverse_proxy of the transport being provisioned has a
// handle_response for X-Sendfile or X-Accel-Redirect.
func actsOnSendfile(ctx caddy.Context) bool {
	for _, module := range ctx.Modules() {
		proxy, ok := module.(*reverseproxy.Handler)
		if !ok {
			continue
		}
		for _, handler := range proxy.HandleResponse {
			if handler.Match != nil && hasSendfile(handler.Match.Headers) {
				return true
			}
		}
	}
	return false
}

func hasSendfile(h http.Header) bool {
	for name := range h {
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "X-Sendfile", "X-Lighttpd-Send-File", "X-Accel-Redirect":
			return true
		}
	}
	return false
}

// Validate checks the settings, which are the same for all upstreams.
func (t *Transport) Validate() error {
	cfg := t.Config
	cfg.Backends = []string{"unix:/upstream"}
	return t.Written().In(validate(cfg, false))
}

// Cleanup releases the upstreams. Requests may still be in progress.
func (t *Transport) Cleanup() error {
	t.upstreams.Release()
	return nil
}

// UnmarshalCaddyfile sets up the transport from Caddyfile tokens. Syntax:
//
//	transport sluice {
//	    <options of the directive sluice, without backends>
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the transport's name
	p := newParser(d, &t.Config)
	if d.NextArg() {
		return d.Errf("unexpected '%s': the upstreams are named by reverse_proxy", d.Val())
	}
	// There is no next handler to send files, and the key protocol is reverse_proxy's.
	p.without = []string{"backends", "spawn", "protocol", "static", "static_types", "static_dirs"}
	if err := p.block(""); err != nil {
		return err
	}
	warnRenamed(&p.written)
	if err := setScriptDefaults(&t.Config, ""); err != nil {
		return p.locate(err)
	}
	if hasPlaceholder(t.Config) {
		return nil
	}
	return p.locate(t.Validate())
}

// RequiresContentLength returns true: the bridge reads a body of unknown length completely before it
// sends the request, because CONTENT_LENGTH must be right.
func (*Transport) RequiresContentLength() bool { return true }

// RoundTrip implements http.RoundTripper. A reverseproxy.DialError means that the application has not seen
// the request, and another upstream may be tried.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	info, ok := reverseproxy.GetDialInfo(r.Context())
	if !ok {
		info.Network, info.Address = "tcp", r.URL.Host
	}
	upstream, err := t.upstreams.Get(address(info.Network, info.Address))
	if err != nil {
		return nil, caddyhttp.Error(http.StatusBadGateway, err)
	}
	through := bridge.Transport{Handler: upstream.Handler(), ActsOnSendfile: t.sendfile}
	res, err := through.RoundTrip(withOriginalURI(r))
	if failed, ok := errors.AsType[*bridge.TransportError](err); ok {
		return nil, failure(failed, replayable(r))
	}
	return res, err
}

// address returns an address of reverse_proxy in the form of package bridge.
func address(network, addr string) string {
	if network == "unix" {
		return "unix:" + addr
	}
	return addr
}

// failure returns the error for reverse_proxy of a failed request.
func failure(err *bridge.TransportError, replayable bool) error {
	herr := caddyhttp.Error(err.Status, err.Err)
	if _, unavailable := errors.AsType[*pool.UnavailableError](err); replayable && unavailable {
		return unsentError{reverseproxy.NewDialError(err.Err), herr}
	}
	return herr
}

// replayable reports whether r's body can be read again after the bridge has read it. It can if
// reverse_proxy has the whole body in memory; each try then gets a reader.
func replayable(r *http.Request) bool {
	_, whole := r.Body.(io.WriterTo)
	return r.Body == nil || r.Body == http.NoBody || whole
}

// retryBuffer is the size in bytes up to which a body can be sent to another upstream if the first cannot
// be reached, unless request_buffers is set.
const retryBuffer = 64 << 10

// DefaultBufferSizes implements reverseproxy.BufferedTransport.
func (t *Transport) DefaultBufferSizes() (request, response int64) {
	if t.RequestBuffering == config.Off {
		return 0, 0
	}
	return retryBuffer, 0
}

// unsentError is an error with a status that permits a retry.
type unsentError struct {
	reverseproxy.DialError
	status caddyhttp.HandlerError
}

func (e unsentError) Unwrap() []error { return []error{e.DialError, e.status} }

// Interface guards
var (
	_ caddy.Provisioner     = (*Transport)(nil)
	_ caddy.Validator       = (*Transport)(nil)
	_ caddy.CleanerUpper    = (*Transport)(nil)
	_ caddyfile.Unmarshaler = (*Transport)(nil)
	_ http.RoundTripper     = (*Transport)(nil)

	_ reverseproxy.BufferedTransport              = (*Transport)(nil)
	_ reverseproxy.ContentLengthRequiredTransport = (*Transport)(nil)
)
