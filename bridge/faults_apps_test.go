package bridge

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// page is the body of the answer to a request.
func (l *faultLab) page(uri string) string {
	page := fmt.Sprintf("This answers %s %s", l.method, uri)
	if l.method == http.MethodPost {
		page += " with body of " + uri
	}
	return page
}

// answer is the answer to a request, in records of each kind. Header is further
// fields.
func (l *faultLab) answer(id uint16, uri, page, header string) []byte {
	return bytes.Join([][]byte{
		fcgitest.Record(fcgitest.Stderr, id, []byte("w\n")),
		fcgitest.Padded(fcgitest.Stdout, id, fmt.Appendf(nil, "Content-Type: text/plain\nX-Uri: %s\n%s\n", uri, header), 4),
		fcgitest.Padded(fcgitest.Stdout, id, []byte(page), 7),
		fcgitest.Record(fcgitest.Stdout, id, nil),
		fcgitest.End(id),
	}, nil)
}

// think lets /2 take longer than /1.
func think(s *fcgitest.Session, uri string) {
	if uri == "/2" {
		s.HoldFor(50 * time.Millisecond)
	}
}

// orderly is an application whose answers end with END_REQUEST: it does not say how
// long they are. What makes no sense to it fails the test.
func orderly(l *faultLab, s *fcgitest.Session) {
	serve := func(s *fcgitest.Session, r *fcgitest.Request) {
		uri := r.Param("REQUEST_URI")
		l.mu.Lock()
		l.runs[uri]++
		l.mu.Unlock()
		if l.method == http.MethodPost && string(r.Stdin) != "body of "+uri {
			l.t.Errorf("the body of %s is %q", uri, r.Stdin)
		}
		think(s, uri)
		s.Send(l.answer(r.ID, uri, l.page(uri), ""))
	}
	if l.conn == shared {
		fcgitest.Multiplexed(serve)(s)
		return
	}
	fcgitest.Each(serve)(s)
}

// tolerant is an application that hangs up when it is sent what makes no sense, and
// says how long its answers are.
func tolerant(l *faultLab, s *fcgitest.Session) {
	type stream struct {
		params, stdin []byte
		paramsEnded   bool
	}
	live := make(map[uint16]*stream)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer s.Close()
	for {
		rec, err := readRecord(s)
		if err != nil {
			return
		}
		id, in := rec.RequestID, live[rec.RequestID]
		switch {
		case rec.Type == fcgi.TypeBeginRequest && in == nil && id != 0 && len(rec.Content) == 8:
			live[id] = new(stream)
		case rec.Type == fcgi.TypeAbortRequest:
		case rec.Type == fcgi.TypeParams && in != nil && !in.paramsEnded:
			in.params = append(in.params, rec.Content...)
			in.paramsEnded = len(rec.Content) == 0
		case rec.Type == fcgi.TypeStdin && in != nil && in.paramsEnded && len(rec.Content) > 0:
			in.stdin = append(in.stdin, rec.Content...)
		case rec.Type == fcgi.TypeStdin && in != nil && in.paramsEnded:
			delete(live, id)
			uri, err := requestURI(in.params)
			if err != nil {
				return
			}
			handlers.Go(func() {
				page := fmt.Sprintf("This answers %s %s", l.method, uri)
				if len(in.stdin) > 0 {
					page += " with " + string(in.stdin)
				}
				think(s, uri)
				s.Send(l.answer(id, uri, page, fmt.Sprintf("Content-Length: %d\n", len(page))))
			})
		default:
			return
		}
	}
}

// readRecord reads one record.
func readRecord(from io.Reader) (fcgi.Record, error) {
	head := make([]byte, fcgi.HeaderLen)
	if _, err := io.ReadFull(from, head); err != nil {
		return fcgi.Record{}, err
	}
	h, err := fcgi.DecodeHeader(head)
	if err != nil {
		return fcgi.Record{}, err
	}
	content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
	_, err = io.ReadFull(from, content)
	return fcgi.Record{Header: h, Content: content[:h.ContentLength]}, err
}

// requestURI returns the parameter of that name.
func requestURI(params []byte) (string, error) {
	for len(params) > 0 {
		name, value, rest, err := fcgi.DecodePair(params)
		if err != nil {
			return "", err
		}
		if string(name) == "REQUEST_URI" {
			return string(value), nil
		}
		params = rest
	}
	return "", io.ErrUnexpectedEOF
}
