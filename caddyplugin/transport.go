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

// Transport lets reverse_proxy speak to FastCGI applications through Sluice's gate, for
// those who want its balancing, health checks and dynamic upstreams. Each upstream has a
// gate and connections of its own; `backends` must not be set. For SCGI and uwsgi there is
// the handler: in a transport's JSON, `protocol` is the name of the transport.
//
// The handler `sluice` does more, and costs less: it knows how many requests each backend
// can hold, and balances by that.
type Transport struct {
	config.Config

	upstreams *registry.Upstreams
	sendfile  bool // reverse_proxy acts on X-Sendfile and the like
}

// CaddyModule returns the Caddy module information.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.sluice", New: func() caddy.Module { return new(Transport) }}
}

// Provision sets up t. Upstreams are taken into use when the first request goes there.
func (t *Transport) Provision(ctx caddy.Context) (err error) {
	warnRenamed(t.Written())
	defer func() { err = t.Written().In(err) }()
	if len(t.Backends) > 0 || t.Spawn != nil {
		return errors.New("backends, spawn: the applications are reverse_proxy's to name, not its transport's")
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

// actsOnSendfile reports whether the reverse_proxy that a transport is provisioned for has a
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

// Validate checks what all upstreams have in common.
func (t *Transport) Validate() error {
	cfg := t.Config
	cfg.Backends = []string{"unix:/upstream"}
	return t.Written().In(validate(cfg))
}

// Cleanup gives the upstreams back. Requests may still be on their way through t.
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
	if err := scripts(&t.Config, ""); err != nil {
		return p.locate(err)
	}
	if hasPlaceholder(t.Config) {
		return nil
	}
	return p.locate(t.Validate())
}

// RequiresContentLength says that a body of unknown length cannot be sent on as it
// arrives: the bridge reads it whole, because CONTENT_LENGTH must be true.
func (*Transport) RequiresContentLength() bool { return true }

// RoundTrip implements http.RoundTripper. An error that is a reverseproxy.DialError was
// met before the application could see the request: another upstream may be tried.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	info, ok := reverseproxy.GetDialInfo(r.Context())
	if !ok {
		info.Network, info.Address = "tcp", r.URL.Host
	}
	upstream, err := t.upstreams.Get(address(info.Network, info.Address))
	if err != nil {
		return nil, caddyhttp.Error(http.StatusBadGateway, err)
	}
	through := bridge.Transport{Handler: upstream.Bridge(), ActsOnSendfile: t.sendfile}
	res, err := through.RoundTrip(asAsked(r))
	if failed, ok := errors.AsType[*bridge.TransportError](err); ok {
		return nil, failure(failed, replayable(r))
	}
	return res, err
}

// address is how package bridge writes what reverse_proxy dials.
func address(network, addr string) string {
	if network == "unix" {
		return "unix:" + addr
	}
	return addr
}

// failure is what reverse_proxy is told of a request that has failed.
func failure(err *bridge.TransportError, replayable bool) error {
	herr := caddyhttp.Error(err.Status, err.Err)
	if _, unavailable := errors.AsType[*pool.UnavailableError](err); replayable && unavailable {
		return unsentError{reverseproxy.NewDialError(err.Err), herr}
	}
	return herr
}

// replayable reports whether r's body, which the bridge has read, can be had again. It
// can if reverse_proxy has the whole of it in memory: then it gives each try a reader.
func replayable(r *http.Request) bool {
	_, whole := r.Body.(io.WriterTo)
	return r.Body == nil || r.Body == http.NoBody || whole
}

// retryBuffer is how large a body may be to go to another upstream when the first cannot
// be reached, in bytes, unless request_buffers says otherwise.
const retryBuffer = 64 << 10

// DefaultBufferSizes implements reverseproxy.BufferedTransport.
func (t *Transport) DefaultBufferSizes() (request, response int64) {
	if t.RequestBuffering == config.Off {
		return 0, 0
	}
	return retryBuffer, 0
}

// unsentError is an error that may be retried and keeps its status.
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
