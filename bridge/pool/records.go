package pool

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// Event is the next thing the application said on a connection.
type Event struct {
	// Type is TypeStdout, TypeStderr or TypeEndRequest.
	Type fcgi.Type
	// Data is output: part of a record, or all of it. It is valid until the next
	// call, and empty only at the end of STDOUT.
	Data []byte
	// End is set if Type is TypeEndRequest.
	End fcgi.EndRequest
}

// recordReader cuts what arrives into events. It holds what was read and not yet
// taken in buf[r:w].
type recordReader struct {
	buf     []byte
	r, w    int
	header  fcgi.Header
	content int // bytes of the current record's content still to come
	padding int // bytes of its padding still to come
	total   int64
	asked   bool // the application was asked something, and may answer late
}

// take returns the next event if enough has arrived, and whether it has.
func (r *recordReader) take(id uint16) (ev Event, ok bool, err error) {
	for {
		if r.content == 0 {
			r.skipPadding()
			if r.padding > 0 || r.w-r.r < fcgi.HeaderLen {
				return Event{}, false, nil
			}
			if err := r.nextHeader(id); err != nil {
				return Event{}, false, err
			}
			if r.header.Type == fcgi.TypeStdout && r.content == 0 {
				return Event{Type: fcgi.TypeStdout}, true, nil
			}
			continue
		}
		have := r.buf[r.r:r.w]
		if r.header.Type == fcgi.TypeGetValuesResult || r.header.Type == fcgi.TypeUnknown {
			r.advance(min(len(have), r.content))
			if len(have) == 0 {
				return Event{}, false, nil
			}
			continue
		}
		if r.header.Type == fcgi.TypeEndRequest {
			if len(have) < r.content {
				return Event{}, false, nil
			}
			end, err := fcgi.DecodeEndRequest(have[:r.content])
			r.advance(r.content)
			r.skipPadding() // nobody takes anything after it
			return Event{Type: fcgi.TypeEndRequest, End: end}, err == nil, err
		}
		if len(have) == 0 {
			return Event{}, false, nil
		}
		have = have[:min(len(have), r.content)]
		r.advance(len(have))
		return Event{Type: r.header.Type, Data: have}, true, nil
	}
}

// nextHeader reads a record header and checks that the record belongs here.
func (r *recordReader) nextHeader(id uint16) error {
	h, err := fcgi.DecodeHeader(r.buf[r.r:r.w])
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
		if r.asked && isReply(h) {
			r.begin(h)
			return nil
		}
		fallthrough
	default:
		return &fcgi.FormatError{What: "record", Why: fmt.Sprintf("unexpected %v from an application", h.Type)}
	}
	if h.RequestID != id {
		return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("request id is %d, want %d", h.RequestID, id)}
	}
	r.begin(h)
	return nil
}

func (r *recordReader) begin(h fcgi.Header) {
	r.r += fcgi.HeaderLen
	r.header, r.content, r.padding = h, int(h.ContentLength), int(h.PaddingLength)
}

func (r *recordReader) advance(n int) {
	r.r += n
	r.content -= n
}

// skipPadding drops what has come of the padding after a record's content.
func (r *recordReader) skipPadding() {
	n := min(r.padding, r.w-r.r)
	r.r += n
	r.padding -= n
}

// space returns where the next read goes. It is never empty: what is held back
// is less than a header or an END_REQUEST.
func (r *recordReader) space() []byte {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	return r.buf[r.w:]
}

func (r *recordReader) filled(n int) {
	r.w += n
	r.total += int64(n)
}

// clean reports whether nothing of any record is left over, padding included.
func (r *recordReader) clean() bool { return r.r == r.w && r.content == 0 && r.padding == 0 }
