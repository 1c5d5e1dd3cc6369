//go:build linux

package loop

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/content"
)

// inlineMax is the largest body that is copied behind its header, in bytes. Larger ones go out in the
// same call without a copy.
const inlineMax = 8 << 10

// reply sends an answer that is here whole.
func (k *call) reply() error {
	a, l := &k.x.Reply, k.loop
	k.endConnection()
	a.SetFields(k.header)
	l.out = l.encoder.header(l.out[:0], k, l.now, a.Status, false)
	k.x.Out.BytesOut = int64(len(a.Body))
	if len(a.Body) > inlineMax {
		return writeError(k.conn.writeAll(l.out, a.Body))
	}
	l.out = append(l.out, a.Body...)
	return writeError(k.conn.write(l.out))
}

func writeError(err error) error {
	if err == nil {
		return nil
	}
	return clientError(err)
}

// endConnection decides whether the connection ends with the answer, as far as that does not depend
// on its length.
func (k *call) endConnection() {
	if k.Site.Draining() {
		k.header.Set("Connection", "close")
	}
	k.last = k.original.Close || saysClose(k.original.Header) || saysClose(k.header)
}

// saysClose reports whether a header has the connection end, as net/http understands it.
func saysClose(h http.Header) bool {
	lines := h["Connection"]
	return len(lines) > 0 && slices.ContainsFunc(strings.FieldsFunc(lines[0], func(c rune) bool { return c == ' ' || c == ',' || c == '\t' }),
		func(token string) bool { return strings.EqualFold(token, "close") })
}

// encoder writes the headers of answers.
type encoder struct {
	names []string // of fields
	date  date
}

// header appends the header of an answer, as net/http writes it.
func (e *encoder) header(b []byte, k *call, now time.Time, status int, chunked bool) []byte {
	h, old := k.header, !k.original.ProtoAtLeast(1, 1)
	_, hasLength := h["Content-Length"]
	if old {
		b = append(b, "HTTP/1.0 "...)
		k.last = k.last || !hasLength && k.original.Method != http.MethodHead && !content.None(status)
	} else {
		b = append(b, "HTTP/1.1 "...)
	}
	b = appendStatus(b, status)
	b = e.fields(b, h, chunked)
	if _, ok := h["Date"]; !ok {
		b = append(b, e.date.field(now)...)
	}
	if chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case k.last && !old:
		b = append(b, "Connection: close\r\n"...)
	case !k.last && old:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// fields appends the fields that are the answer's, and not the connection's.
func (e *encoder) fields(b []byte, h http.Header, chunked bool) []byte {
	e.names = e.names[:0]
	for name := range h {
		e.names = append(e.names, name)
	}
	slices.Sort(e.names)
	for _, name := range e.names {
		if name == "Connection" || name == "Transfer-Encoding" || chunked && name == "Content-Length" {
			continue
		}
		for _, v := range h[name] {
			b = appendField(b, name, v)
		}
	}
	clear(e.names)
	return b
}

func appendStatus(b []byte, status int) []byte {
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = append(b, "status code "...)
		b = strconv.AppendInt(b, int64(status), 10)
	}
	return append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	if strings.ContainsAny(value, "\r\n") {
		value = oneLine.Replace(value)
	}
	b = append(b, value...)
	return append(b, "\r\n"...)
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// date is the Date field of answers, which is made once a second.
type date struct {
	second int64
	text   []byte
}

func (d *date) field(now time.Time) []byte {
	if s := now.Unix(); s != d.second {
		d.second = s
		d.text = append(now.UTC().AppendFormat(append(d.text[:0], "Date: "...), http.TimeFormat), "\r\n"...)
	}
	return d.text
}

// Interim implements exchange.Client.
func (k *call) Interim(status int, said http.Header) {
	b := appendStatus(append(k.loop.out[:0], "HTTP/1.1 "...), status)
	for _, name := range slices.Sorted(maps.Keys(said)) {
		for _, v := range said[name] {
			b = appendField(b, name, v)
		}
	}
	k.loop.out = append(b, "\r\n"...)
	_ = k.conn.write(k.loop.out) // the answer finds out that the client has left
}
