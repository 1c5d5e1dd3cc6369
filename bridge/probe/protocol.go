package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// ProtocolError reports an application that speaks something else than FastCGI.
type ProtocolError struct {
	Address string
	Speaks  string // "HTTP", "SCGI", "uwsgi", "TLS"; "" if that is not known
	Said    string // what it began with
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

// guess names what begins like that.
func guess(said []byte) string {
	text := strings.ToUpper(string(said[:min(len(said), 16)]))
	switch {
	case strings.HasPrefix(text, "HTTP/"), strings.HasPrefix(text, "<!DOCTYPE"), strings.HasPrefix(text, "<HTML"):
		return "HTTP"
	case strings.HasPrefix(text, "\x15\x03"): // an alert
		return "TLS"
	}
	return ""
}

// identify asks for the page in other protocols. Only an application that has not
// answered FastCGI is asked: to one that speaks it, and is busy, these are records
// of a wrong version, on which it closes.
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
			return p.protocol(guess(said), said)
		}
	}
	return nil
}

// ask sends bytes and returns the first that come back.
func (p *prober) ask(request []byte) []byte {
	c, err := p.dial()
	if err != nil {
		return nil
	}
	defer p.hangUp(c)
	c.send(request, leastPatience)
	_ = c.more(time.Now().Add(leastPatience)) // nothing is an answer, too
	return c.in
}

// scgi is the request in SCGI: a netstring of names and values.
func (p *prober) scgi() []byte {
	pairs := []byte("CONTENT_LENGTH\x000\x00SCGI\x001\x00")
	for _, v := range p.vars {
		pairs = append(append(append(append(pairs, v.Name...), 0), v.Value...), 0)
	}
	return fmt.Appendf(nil, "%d:%s,", len(pairs), pairs)
}

// uwsgi is the request in uwsgi: a modifier, a length, another modifier, pairs.
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
