package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
)

// ready asks an instance for the path that SpawnConfig.Ready names, as the site would that
// came last, on a connection of its own: the instance is not among those that requests are
// sent to yet. It is ready if the answer is no server error.
func (b *backend) ready(ctx context.Context, name string) error {
	path, site := b.settings.Load().Spawn.Ready, b.sites.last()
	if site == nil {
		return fmt.Errorf("asking %s for %s: there is no site to ask for", name, path)
	}
	request, err := readyRequest(path, site)
	if err != nil {
		return err
	}
	network, addr, err := config.ParseAddress(name)
	if err != nil {
		return err
	}
	c, err := b.hooks.dial(ctx, network, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	status, err := b.askReady(c, request, name, path, site.MaxResponseHeader)
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

// readyID is the request's id: it is the only one on its connection.
const readyID = 1

// readyRequest is a whole request, as it is sent.
func readyRequest(path string, site *site) (request []byte, err error) {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: path, Host: "localhost",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:0",
		Header: http.Header{"User-Agent": {"sluice"}},
	}
	mapper, err := cgi.NewMapper(site.cgi()) // sites come and go
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, mapper.Close()) }()
	vars, err := mapper.Vars(nil, r, mapper.Client(r), 0)
	if err != nil {
		return nil, err
	}
	dst := fcgi.AppendBeginRequest(nil, readyID, fcgi.BeginRequest{Role: fcgi.RoleResponder})
	params := fcgi.NewParamsWriter(dst, readyID)
	for _, v := range vars {
		if err := params.Add(v.Name, v.Value); err != nil {
			return nil, err
		}
	}
	return fcgi.AppendStreamEnd(params.End(), fcgi.TypeStdin, readyID), nil
}

// askReady sends the request and reads the answer to its end, so that the application is
// not cut short.
func (b *backend) askReady(c net.Conn, request []byte, name, path string, limit int) (status int, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	stderr := b.stderrOf(path, name)
	defer stderr.End()
	a := readyAnswer{limit: limit, stderr: &stderr}
	var in []byte
	for !a.ended {
		in, err = readMore(c, in)
		switch {
		case err != nil && a.status != 0 && a.content.whole():
			return a.status, nil // it is complete, however the application has ended
		case err != nil:
			return 0, err
		}
		if in, err = a.take(in); err != nil {
			return 0, err
		}
	}
	return a.status, nil
}

// readMore appends what there is. The end of the connection is an error: an answer ends
// with a record.
func readMore(c net.Conn, in []byte) ([]byte, error) {
	buf := make([]byte, 16<<10)
	n, err := c.Read(buf)
	if n > 0 {
		return append(in, buf[:n]...), nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return in, err
}

// readyAnswer is what has come of an answer.
type readyAnswer struct {
	limit   int           // of the header, in bytes
	stderr  *lines.Source // where the application's standard error goes
	head    []byte
	status  int // 0: the header has not come yet
	content content
	ended   bool // the application has ended it
}

// take decodes the records in in, and returns what is left.
func (a *readyAnswer) take(in []byte) ([]byte, error) {
	for !a.ended {
		rec, rest, err := fcgi.DecodeRecord(in)
		switch {
		case errors.Is(err, fcgi.ErrShort):
			return in, nil
		case err != nil:
			return nil, err
		}
		if err := a.record(rec); err != nil {
			return nil, err
		}
		in = rest
	}
	return nil, nil
}

func (a *readyAnswer) record(rec fcgi.Record) error {
	switch rec.Type {
	case fcgi.TypeStderr:
		_, _ = a.stderr.Write(rec.Content)
	case fcgi.TypeStdout:
		return a.output(rec.Content)
	case fcgi.TypeEndRequest:
		return a.end(rec.Content)
	}
	return nil
}

func (a *readyAnswer) output(p []byte) error {
	switch {
	case a.status != 0 && len(p) == 0:
		a.content.close()
	case a.status == 0:
		a.head = append(a.head, p...)
		resp, _, end, err := cgi.ParseFinal(a.head)
		switch {
		case err != nil:
			return err
		case end < 0 && len(a.head) > a.limit:
			return fmt.Errorf("the header is larger than max_response_header allows (%d bytes)", a.limit)
		case end < 0:
			return nil
		}
		a.status, a.content = resp.Status, newContent(resp, hasNoBody(resp.Status))
		p = a.head[end:]
	}
	for len(p) > 0 {
		_, rest, err := a.content.next(p)
		if err != nil {
			return err
		}
		p = rest
	}
	return nil
}

func (a *readyAnswer) end(content []byte) error {
	m, err := fcgi.DecodeEndRequest(content)
	switch {
	case err != nil:
		return err
	case m.ProtocolStatus != fcgi.StatusRequestComplete:
		return fmt.Errorf("the request was ended with %v", m.ProtocolStatus)
	case a.status == 0:
		return errors.New("the answer ended before its header did")
	}
	a.ended = true
	return nil
}
