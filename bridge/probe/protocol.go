package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// ProtocolError reports an application that does not speak FastCGI.
type ProtocolError struct {
	Address string
	Speaks  string // "HTTP", "SCGI", "uwsgi", "TLS"; "" if that is not known
	Said    string // the beginning of its answer
}

func (e *ProtocolError) Error() string {
	what := "it does not speak FastCGI"
	if e.Speaks != "" {
		what = "it speaks " + e.Speaks + ", not FastCGI"
	}
	return fmt.Sprintf("probe %s: %s (it said %q): %s", e.Address, what, e.Said, e.remedy())
}

func (e *ProtocolError) remedy() string {
	switch e.Speaks {
	case "HTTP":
		return "give the address of its FastCGI socket, or put an HTTP proxy in front of it"
	case "SCGI":
		return "start it with FastCGI (uWSGI: --fastcgi-socket in place of --scgi-socket)"
	case "uwsgi":
		return "start it with FastCGI (uWSGI: --fastcgi-socket in place of --socket)"
	}
	return "is it the right address?"
}

func (p *prober) protocol(speaks string, said []byte) error {
	line, _, _ := bytes.Cut(said, []byte("\n"))
	line = bytes.TrimSpace(line[:min(len(line), 60)])
	return &ProtocolError{Address: p.cfg.Address, Speaks: speaks, Said: string(line)}
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
	for _, q := range []struct {
		speaks  string
		request []byte
	}{
		{"HTTP", fmt.Appendf(nil, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", p.cfg.Path)},
		{"SCGI", p.scgi()},
		{"uwsgi", p.uwsgi()},
	} {
		said := p.ask(q.request)
		switch {
		case bytes.HasPrefix(said, []byte("HTTP/")), bytes.HasPrefix(said, []byte("Status:")):
			return p.protocol(q.speaks, said)
		case len(said) > 0 && said[0] != 1:
			return p.protocol(protocolOf(said), said)
		}
	}
	return nil
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

// scgi encodes the request in SCGI: a netstring of names and values.
func (p *prober) scgi() []byte {
	pairs := []byte("CONTENT_LENGTH\x000\x00SCGI\x001\x00")
	for _, v := range p.vars {
		pairs = append(append(append(append(pairs, v.Name...), 0), v.Value...), 0)
	}
	return fmt.Appendf(nil, "%d:%s,", len(pairs), pairs)
}

// uwsgi encodes the request in uwsgi: a modifier, a length, another modifier, pairs.
func (p *prober) uwsgi() []byte {
	var pairs []byte
	for _, v := range p.vars {
		for _, s := range []string{v.Name, v.Value} {
			pairs = binary.LittleEndian.AppendUint16(pairs, uint16(len(s)))
			pairs = append(pairs, s...)
		}
	}
	b := binary.LittleEndian.AppendUint16([]byte{0}, uint16(len(pairs)))
	return append(append(b, 0), pairs...)
}
