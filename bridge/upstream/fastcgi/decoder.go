package fastcgi

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// decoder decodes the records that an application sends.
type decoder struct {
	id       uint16 // of the current request; 0: all ids are allowed
	header   fcgi.Header
	content  int    // bytes of the current record's content still to come
	padding  int    // bytes of its padding still to come
	replying bool   // the current record is a reply to a query
	reply    []byte // its content so far
}

func (d *decoder) Begin(id uint16, _ *upstream.Request) { d.id = id }

func (d *decoder) Next(in []byte) (ev upstream.Event, rest []byte, err error) {
	for {
		if d.content == 0 {
			in = d.skipPadding(in)
			switch {
			case d.padding > 0:
				return ev, in, nil
			case d.replying:
				return d.endReply(), in, nil
			case len(in) < fcgi.HeaderLen:
				return ev, in, nil
			}
			if err := d.begin(in); err != nil {
				return ev, in, &upstream.FormatError{Err: err}
			}
			in = in[fcgi.HeaderLen:]
			if d.header.Type == fcgi.TypeStdout && d.content == 0 {
				return upstream.Event{Kind: upstream.Output, ID: d.header.RequestID}, in, nil
			}
			continue
		}
		if len(in) == 0 || d.header.Type == fcgi.TypeEndRequest && len(in) < d.content {
			return ev, in, nil
		}
		part := in[:min(len(in), d.content)]
		d.content, in = d.content-len(part), in[len(part):]
		switch d.header.Type {
		case fcgi.TypeStdout:
			return upstream.Event{Kind: upstream.Output, ID: d.header.RequestID, Data: part}, in, nil
		case fcgi.TypeStderr:
			return upstream.Event{Kind: upstream.Log, ID: d.header.RequestID, Data: part}, in, nil
		case fcgi.TypeEndRequest:
			return d.end(part), d.skipPadding(in), nil // Next may not be called again for this request
		}
		d.reply = append(d.reply, part...)
	}
}

// Expects implements [upstream.Expecter].
func (d *decoder) Expects() int {
	if d.content == 0 {
		return 0
	}
	return d.content + d.padding + fcgi.HeaderLen
}

// skipPadding drops the padding after a record, as far as it has come.
func (d *decoder) skipPadding(in []byte) []byte {
	n := min(d.padding, len(in))
	d.padding -= n
	return in[n:]
}

// begin decodes a record header, and checks that the record is allowed here.
func (d *decoder) begin(in []byte) error {
	h, err := fcgi.DecodeHeader(in)
	if err != nil {
		return err
	}
	switch h.Type {
	case fcgi.TypeStdout, fcgi.TypeStderr:
	case fcgi.TypeEndRequest:
		if h.ContentLength != 8 {
			return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("content is %d bytes, want 8", h.ContentLength)}
		}
	case fcgi.TypeGetValuesResult, fcgi.TypeUnknown:
		// UNKNOWN_TYPE is the reply of an application without queries (section 4.2). It
		// proves, too, that somebody reads the connection.
		if d.replying = h.RequestID == fcgi.ManagementID; d.replying {
			break
		}
		fallthrough
	default:
		return &fcgi.FormatError{What: "record", Why: fmt.Sprintf("unexpected %v from an application", h.Type)}
	}
	if !d.replying && d.id != 0 && h.RequestID != d.id {
		return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("request id is %d, want %d", h.RequestID, d.id)}
	}
	d.header, d.content, d.padding = h, int(h.ContentLength), int(h.PaddingLength)
	return nil
}

// end decodes END_REQUEST. begin has checked its size.
func (d *decoder) end(content []byte) upstream.Event {
	ev := upstream.Event{Kind: upstream.End, ID: d.header.RequestID}
	m, err := fcgi.DecodeEndRequest(content)
	switch {
	case err != nil:
		ev.Err = &upstream.FormatError{Err: err}
	case m.ProtocolStatus == fcgi.StatusRequestComplete:
	case int(m.ProtocolStatus) < len(refusals):
		ev.Err = refusals[m.ProtocolStatus]
	default:
		ev.Err = &upstream.FormatError{Err: &fcgi.FormatError{What: "END_REQUEST", Why: m.ProtocolStatus.String()}}
	}
	return ev
}

// refusals are the protocol statuses of requests that were not run.
var refusals = [...]error{
	fcgi.StatusCantMpxConn: fmt.Errorf("%w (FCGI_CANT_MPX_CONN)", upstream.ErrCantMultiplex),
	fcgi.StatusOverloaded:  fmt.Errorf("%w (FCGI_OVERLOADED)", upstream.ErrOverloaded),
	fcgi.StatusUnknownRole: fmt.Errorf("%w (FCGI_UNKNOWN_ROLE)", upstream.ErrUnknownRole),
}

// endReply ends a reply. UNKNOWN_TYPE has no data.
func (d *decoder) endReply() upstream.Event {
	ev := upstream.Event{Kind: upstream.Reply, Data: d.reply}
	if d.header.Type == fcgi.TypeUnknown {
		ev.Data = nil
	}
	d.replying, d.reply = false, nil
	return ev
}

// EOF returns nothing: an answer ends with END_REQUEST.
func (d *decoder) EOF() upstream.Event { return upstream.Event{} }

func (d *decoder) Clean() bool { return d.content == 0 && d.padding == 0 && !d.replying }
