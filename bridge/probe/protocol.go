package probe

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/scgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/uwsgi"
)

// ProtocolError reports an application that does not speak FastCGI.
type ProtocolError struct {
	Address string
	Speaks  string // "HTTP", "SCGI", "uwsgi", "TLS"; "" if that is not known
	Said    string // the beginning of its answer
	// Backend is the address for --backend of sluice serve, with the protocol; "" if Sluice does not
	// support the protocol.
	Backend string
}

func (e *ProtocolError) Error() string {
	what := "it does not speak FastCGI"
	if e.Speaks != "" {
		what = "it speaks " + e.Speaks + ", not FastCGI"
	}
	return fmt.Sprintf("probe %s: %s (it said %q): %s", e.Address, what, e.Said, e.remedy())
}

func (e *ProtocolError) remedy() string {
	if e.Backend != "" {
		return "serve it with --backend " + e.Backend + ", and its threads or processes as --workers; sluice probe measures FastCGI only"
	}
	return "is it the right address?"
}

func (p *prober) protocol(speaks string, said []byte) error {
	line, _, _ := bytes.Cut(said, []byte("\n"))
	line = bytes.TrimSpace(line[:min(len(line), 60)])
	e := &ProtocolError{Address: p.cfg.Address, Speaks: speaks, Said: string(line)}
	if scheme := strings.ToLower(speaks); scheme == "scgi" || scheme == "uwsgi" || scheme == "http" {
		e.Backend = scheme + "://" + cmp.Or(p.cfg.Addr, p.cfg.Address)
		if p.cfg.Network == "unix" {
			e.Backend = scheme + "+unix:" + p.cfg.Addr
		}
	}
	return e
}

// protocolOf names the protocol of an answer that begins with said, "" if it is not known.
func protocolOf(said []byte) string {
	text := strings.ToUpper(string(said[:min(len(said), 16)]))
	switch {
	case strings.HasPrefix(text, "HTTP/"), strings.HasPrefix(text, "<!DOCTYPE"), strings.HasPrefix(text, "<HTML"):
		return "HTTP"
	case strings.HasPrefix(text, "\x15\x03"): // an alert
		return "TLS"
	}
	return ""
}

// identify requests the page in other protocols, from an application that has not answered in
// FastCGI. A busy application that speaks FastCGI sees records of a wrong version and closes the
// connection.
func (p *prober) identify() error {
	r := upstream.Request{Vars: p.vars}
	// What cannot be encoded is not sent, and brings no answer.
	inSCGI, _ := scgi.AppendHeader(nil, len(r.Vars), r.Var)
	inUWSGI, _ := uwsgi.AppendHeader(nil, len(r.Vars), r.Var)
	for _, q := range []struct {
		speaks  string
		request []byte
	}{
		{"HTTP", fmt.Appendf(nil, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", p.cfg.Path)},
		{"SCGI", inSCGI},
		{"uwsgi", inUWSGI},
	} {
		said := p.ask(q.request)
		switch {
		case bytes.HasPrefix(said, []byte("HTTP/")), q.speaks != "HTTP" && isCGIHeader(said):
			return p.protocol(q.speaks, said)
		case len(said) > 0 && said[0] != 1:
			return p.protocol(protocolOf(said), said)
		}
	}
	return nil
}

// isCGIHeader reports whether an answer begins with a field that the header of a CGI program has.
func isCGIHeader(said []byte) bool {
	name, _, _ := strings.Cut(string(said[:min(len(said), 16)]), ":")
	switch strings.ToLower(name) {
	case "status", "content-type", "location":
		return true
	}
	return false
}

// ask sends request and returns the first bytes of the answer.
func (p *prober) ask(request []byte) []byte {
	c, err := p.dial()
	if err != nil {
		return nil
	}
	defer p.hangUp(c)
	c.send(request, minTimeout)
	_ = c.fill(time.Now().Add(minTimeout)) // no answer is a result, too
	return c.buf
}
