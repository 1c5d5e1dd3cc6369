package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// ready asks an instance for the path that Spawn.Ready names, as the site would that
// came last, over a pool of its own: the instance is not among those that requests are sent
// to yet. It is ready if the answer is no server error.
func (a *Application) ready(ctx context.Context, name string) error {
	path, site := a.settings.Load().Spawn.Ready, a.sites.last()
	if site == nil {
		return fmt.Errorf("asking %s for %s: there is no site to ask for", name, path)
	}
	request, err := a.readyRequest(path, site)
	if err != nil {
		return err
	}
	in, err := a.hooks.instance(name)
	if err != nil {
		return err
	}
	status, err := a.askReady(ctx, request, path, site.MaxResponseHeader, pool.Instance{Addr: name, Dial: in.Dial})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("asking %s for %s: %w", name, path, err)
	case status >= http.StatusInternalServerError:
		return fmt.Errorf("asking %s for %s: the answer is %d", name, path, status)
	}
	return nil
}

// readyRequest is the request that is sent.
func (a *Application) readyRequest(path string, site *Site) (request *upstream.Request, err error) {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: path, Host: "localhost",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:0",
		Header: http.Header{"User-Agent": {"sluice"}},
	}
	mapper, err := cgi.NewMapper(site.Mapping) // sites come and go
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, mapper.Close()) }()
	request = new(upstream.Request)
	if a.Codec().TakesHTTP() {
		err = mapper.HTTP(&request.HTTP, r, new(mapper.Client(r)), 0)
	} else {
		request.Vars, err = mapper.Vars(nil, r, new(mapper.Client(r)), 0)
	}
	return request, err
}

// askReady sends the request and reads the answer to its end, so that the application is
// not cut short.
func (a *Application) askReady(ctx context.Context, request *upstream.Request, path string, headerMax int, in pool.Instance) (status int, err error) {
	settings := a.settings.Load()
	patience := time.Duration(settings.Spawn.StartTimeout) // ctx ends before
	p, err := pool.New(pool.Config{
		Instances: []pool.Instance{in}, Codec: codecOf(settings), Workers: 1, KeepAlive: pool.KeepOff,
		DialTimeout: patience, WaitTimeout: patience,
	})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	lease, err := p.Lease(ctx, pool.Demand{})
	if err != nil {
		return 0, err
	}
	defer lease.Release()
	defer context.AfterFunc(ctx, lease.Interrupt)()
	if _, err := lease.Begin(nil, request, nil, true); err != nil {
		return 0, err
	}
	stderr := a.Stderr(path, in.Addr)
	defer stderr.End()
	answer := readyAnswer{limit: headerMax, parse: a.Codec().ParseHeader, stderr: &stderr}
	for !answer.ended {
		ev, err := lease.Next(time.Time{})
		switch {
		case err != nil && answer.status != 0 && answer.content.Whole():
			return answer.status, nil // it is complete, however the application has ended
		case errors.Is(err, io.EOF):
			return 0, fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
		case err != nil:
			return 0, err
		}
		if err := answer.take(ev); err != nil {
			return 0, err
		}
	}
	return answer.status, nil
}

// readyAnswer is what has come of an answer.
type readyAnswer struct {
	limit   int           // of the header, in bytes
	stderr  *lines.Source // where the application's standard error goes
	parse   func(block []byte, h http.Header) (cgi.Response, error)
	head    []byte
	status  int // 0: the header has not come yet
	content content.Content
	ended   bool // the application has ended it
}

func (a *readyAnswer) take(ev upstream.Event) error {
	switch ev.Kind {
	case upstream.Log:
		_, _ = a.stderr.Write(ev.Data)
	case upstream.Output:
		return a.output(ev.Data)
	case upstream.End:
		if a.status == 0 {
			return errors.New("the answer ended before its header did")
		}
		a.ended = true
	}
	return nil
}

func (a *readyAnswer) output(p []byte) error {
	switch {
	case a.status != 0 && len(p) == 0:
		a.content.CloseOutput()
	case a.status == 0:
		a.head = append(a.head, p...)
		resp, _, end, err := cgi.ParseFinal(a.head, a.parse)
		switch {
		case err != nil:
			return err
		case end < 0 && len(a.head) > a.limit:
			return fmt.Errorf("the header is larger than max_response_header allows (%d bytes)", a.limit)
		case end < 0:
			return nil
		}
		a.status, a.content = resp.Status, content.Of(resp, content.None(resp.Status))
		p = a.head[end:]
	}
	for len(p) > 0 {
		_, rest, err := a.content.Next(p)
		if err != nil {
			return err
		}
		p = rest
	}
	return nil
}
