package pool

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// demultiplexer cuts what comes on a connection into records and hands them to
// their streams, headers included. It belongs to the connection's reader.
type demultiplexer struct {
	head    [fcgi.HeaderLen]byte
	got     int     // bytes of head
	to      *stream // whose record it is; nil if nobody wants it
	content int     // bytes of the record's content still to come
	padding int     // bytes of its padding still to come
	touched []*stream
}

// route hands out b. Its error means that the connection makes no sense any more.
func (d *demultiplexer) route(m *mux, b []byte) (err error) {
	for len(b) > 0 && err == nil {
		switch {
		case d.content > 0:
			n := min(d.content, len(b))
			d.pass(b[:n])
			d.content -= n
			b = b[n:]
		case d.padding > 0:
			n := min(d.padding, len(b))
			d.padding -= n
			b = b[n:]
		default:
			n := copy(d.head[d.got:], b)
			d.got += n
			b = b[n:]
			if d.got == fcgi.HeaderLen {
				d.got = 0
				err = d.begin(m)
			}
		}
	}
	for i, s := range d.touched {
		s.touched = false
		s.signal()
		d.touched[i] = nil
	}
	d.touched = d.touched[:0]
	return err
}

// begin looks whose record it is that d.head begins.
func (d *demultiplexer) begin(m *mux) error {
	h, err := fcgi.DecodeHeader(d.head[:])
	if err != nil {
		return err
	}
	d.to, d.content, d.padding = nil, int(h.ContentLength), int(h.PaddingLength)
	switch h.Type {
	case fcgi.TypeStdout, fcgi.TypeStderr:
	case fcgi.TypeEndRequest:
		if h.ContentLength != 8 {
			return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("content is %d bytes, want 8", h.ContentLength)}
		}
	case fcgi.TypeGetValuesResult, fcgi.TypeUnknown:
		if isReply(h) {
			return nil // Go's server answers twice, others late
		}
		fallthrough
	default:
		return &fcgi.FormatError{What: "record", Why: fmt.Sprintf("unexpected %v from an application", h.Type)}
	}
	if d.to, err = m.streamOf(h); err != nil || d.to == nil {
		return err
	}
	h.PaddingLength = 0
	d.pass(fcgi.AppendHeader(d.head[:0], h))
	return nil
}

func (d *demultiplexer) pass(b []byte) {
	if d.to == nil {
		return
	}
	if !d.to.touched {
		d.to.touched = true
		d.touched = append(d.touched, d.to)
	}
	if !d.to.deliver(b) {
		d.to = nil
	}
}

// streamOf returns the stream that a record is for, nil if its request is over: an
// application may end a request twice that it was asked to abort, or go on with it.
// Such an id is not used again.
func (m *mux) streamOf(h fcgi.Header) (*stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[h.RequestID]
	switch {
	case s != nil && !s.over:
		s.over = h.Type == fcgi.TypeEndRequest
		return s, nil
	case s == nil && !m.ids.known(h.RequestID):
		return nil, &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("request id is %d, which no request has had", h.RequestID)}
	}
	m.ids.quarantine(h.RequestID)
	return nil, nil
}
