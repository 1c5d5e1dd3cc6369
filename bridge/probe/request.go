package probe

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
)

const (
	headMax   = 64 << 10 // bytes of an answer's STDOUT that are kept
	stderrMax = 4 << 10  // bytes of its STDERR that are kept
)

// variables returns the CGI variables of the request that every connection carries.
func (c *Config) variables() ([]cgi.Var, error) {
	u, err := url.ParseRequestURI(c.Path)
	if err != nil {
		return nil, fmt.Errorf("probe: path %q: %w", c.Path, err)
	}
	env := map[string]string{}
	if c.Script != "" {
		env["SCRIPT_FILENAME"] = c.Script
		env["SCRIPT_NAME"] = "/" + path.Base(c.Script)
		env["DOCUMENT_ROOT"] = path.Dir(c.Script)
		env["REDIRECT_STATUS"] = "200" // as with presets php and cgi
	}
	m, err := cgi.NewMapper(cgi.Config{Env: env})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	r := &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: c.Path, Host: "localhost",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:0",
		Header: http.Header{"User-Agent": {"sluice probe"}},
	}
	return m.Vars(nil, r, new(m.Client(r)), 0)
}

// codec encodes the requests, as it does those of clients.
var codec fastcgi.Codec

// head appends a request up to the end of PARAMS.
func (p *prober) head(dst []byte, id uint16, keep bool) []byte {
	dst, _, _ = codec.AppendHead(dst, id, keep, &upstream.Request{Vars: p.vars}) // Run has checked that each fits
	return dst
}

// request sends one complete request, in one write.
func (p *prober) request(c *conn, keep bool) {
	c.id++
	c.sent = time.Now()
	c.send(codec.AppendBody(p.head(nil, c.id, keep), c.id, nil, true), p.timeout)
}

// reply is the answer to one request.
type reply struct {
	head   []byte // the beginning of STDOUT
	stderr []byte
	bytes  int
	end    fcgi.EndRequest
	took   time.Duration // from the request to END_REQUEST
}

// reply reads the answer to the last request, up to END_REQUEST.
func (c *conn) reply(timeout time.Duration) (*reply, error) {
	begun := time.Now()
	r := &reply{}
	for some := false; ; {
		rec, err := c.record(begun.Add(timeout))
		switch {
		case some && err == errSilent:
			return nil, errSlow
		case some && err == errClosed:
			return nil, errCut
		case err != nil:
			return nil, err
		case rec.RequestID != c.id:
			continue
		}
		some = true
		switch rec.Type {
		case fcgi.TypeStdout:
			r.bytes += len(rec.Content)
			r.head = appendUpTo(r.head, rec.Content, headMax)
		case fcgi.TypeStderr:
			r.stderr = appendUpTo(r.stderr, rec.Content, stderrMax)
		case fcgi.TypeEndRequest:
			r.took = time.Since(c.sent)
			r.end, err = fcgi.DecodeEndRequest(rec.Content)
			return r, err
		}
	}
}

func appendUpTo(dst, b []byte, most int) []byte {
	return append(dst, b[:min(len(b), most-len(dst))]...)
}

// answer returns the report of the reply.
func (r *reply) answer() Answer {
	a := Answer{Bytes: r.bytes, TookMS: milliseconds(r.took)}
	line, _, _ := bytes.Cut(bytes.TrimSpace(r.stderr), []byte("\n"))
	a.Stderr = strings.ToValidUTF8(string(line[:min(len(line), 200)]), "?")
	if parsed, h, end, err := cgi.ParseFinal(r.head, cgi.ParseResponse); end >= 0 && err == nil {
		a.Status, a.ContentType = parsed.Status, h.Get("Content-Type")
	}
	switch {
	case r.end.ProtocolStatus == fcgi.StatusOverloaded:
		a.Note = "it ended the request with OVERLOADED: it has no worker to spare now"
	case r.end.ProtocolStatus != fcgi.StatusRequestComplete:
		a.Note = fmt.Sprintf("it ended the request with %v", r.end.ProtocolStatus)
	case bytes.Contains(r.stderr, []byte("Primary script unknown")), bytes.Contains(r.head, []byte("No input file specified")):
		a.Note = "PHP was given no script that it can see, so it ran none; that is enough for a probe (--script FILE names one to run)"
		a.Preset = "php"
	case a.Status == 0:
		a.Note = "its header is not a CGI header; is this the right application?"
	}
	return a
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
