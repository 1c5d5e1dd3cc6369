package framing

import (
	"math"
	"strings"
	"testing"
)

// followed is a request as a scanner has followed it.
type followed struct {
	head, body string
	whole      bool // its body has ended
}

// follow has a scanner read text byte by byte.
func follow(text string) (list []followed, refused *Error) {
	s := scanner{maxHeader: maxHeader}
	var head strings.Builder
	for i := range len(text) {
		was := s.state
		if was == start {
			head.Reset()
		}
		b := []byte{text[i]}
		n, err := s.scan(b)
		if err != nil {
			return list, err
		}
		switch {
		case was <= headerLine:
			if n > 0 {
				head.WriteByte(text[i])
			}
			if s.state > headerLine || was == headerLine && s.state == start {
				list = append(list, followed{head: head.String(), whole: s.state == start})
			}
		case was == bodyData || was == chunkData:
			last := &list[len(list)-1]
			last.body += text[i : i+1]
			last.whole = s.state == start
		default:
			list[len(list)-1].whole = s.state == start
		}
	}
	return list, nil
}

// What net/http takes for requests are those that the scanner has followed, however their
// bytes come, and nothing that was refused or comes after it.
func FuzzSameRequests(f *testing.F) {
	const get, post = "GET / HTTP/1.1\r\nHost: a\r\n", "POST /p HTTP/1.1\r\nHost: a\r\n"
	for _, text := range []string{
		get + "\r\n" + get + "\r\n", "\r\n" + get + "\r\n\r\n" + get + "\r\n", "GET / HTTP/1.0\r\n\r\n", get + "Connection: close\r\n\r\n" + get + "\r\n",
		post + "Content-Length: 4\r\n\r\nbody" + get + "\r\n", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get + "\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n5 ;a=b\r\nhello\r\n0\r\n\r\n" + get + "\r\n", post + "Transfer-Encoding: chunked\r\n\r\n3;a=\"\\\"\"\r\nabc\r\n0\r\nX: y\r\n\r\n" + get + "\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\nabc", post + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nbody" + get + "\r\n",
		"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		get + " folded\r\n\r\n", get + "Content-Length : 1\r\n\r\n" + get + "\r\n", get + "Content-Length: +1\r\n\r\nx", post + "Content-Length: 1\n\n" + get + "\r\n",
		post + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" + get + "\r\n",
	} {
		f.Add(text, 3, uint8(255))
		f.Add(text, 100, uint8(0))
		f.Add(text, 7, uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, size int, read uint8) {
		if len(text) > 8<<10 {
			return
		}
		want, refused := follow(text)
		size = 1 + (size&0x7fffffff)%max(len(text), 1)
		w := newWire(pieces(text, size)...)
		most := int64(read) // of each body that the handler reads
		if read == 255 {
			most = math.MaxInt64
		}
		got := serveReading(t, w, most, nil)
		if len(got) > len(want) {
			t.Fatalf("net/http saw %d requests, the scanner %d (%v)\n%q", len(got), len(want), refused, w.out.String())
		}
		for i, g := range got {
			f := want[i]
			line := g.method + " " + g.target + " HTTP/1."
			switch {
			case !strings.HasPrefix(f.head, line):
				t.Fatalf("request %d is %q for net/http, and %q", i, line, f.head)
			case g.err == nil && most == math.MaxInt64 && (g.body != f.body || !f.whole):
				t.Fatalf("the body of request %d is %q for net/http, and %q, whole: %v", i, g.body, f.body, f.whole)
			case g.err != nil && f.whole:
				t.Fatalf("the body of request %d fails: %v", i, g.err)
			case !strings.HasPrefix(f.body, g.body):
				t.Fatalf("the body of request %d begins %q for net/http, and %q", i, g.body, f.body)
			}
		}
		// What was refused at first was answered as such.
		if refused != nil && len(want) == 0 && !strings.Contains(w.out.String(), refused.Reason) {
			t.Fatalf("%v was answered %q", refused, w.out.String())
		}
	})
}

// However its bytes come, a request is the same.
func FuzzPieces(f *testing.F) {
	f.Add("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 ; a = \"b\"\r\nabc\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.0\r\n\r\n", 5, 11)
	f.Add("0 * HTTP/1.1\r\nHost:0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r0", 1, 2)
	f.Fuzz(func(t *testing.T, text string, a, b int) {
		if len(text) > 8<<10 {
			return
		}
		whole, parts := scanner{maxHeader: maxHeader}, scanner{maxHeader: maxHeader}
		var keptWhole, keptParts string
		in := []byte(text)
		n, errWhole := whole.scan(in)
		keptWhole = string(in[:n])
		var errParts *Error
		for size := a; text != "" && errParts == nil; size ^= a ^ b {
			m := min(1+(size&0xff), len(text))
			piece := []byte(text[:m])
			n, errParts = parts.scan(piece)
			keptParts += string(piece[:n])
			text = text[m:]
		}
		if (errWhole == nil) != (errParts == nil) || errWhole != nil && *errWhole != *errParts {
			t.Errorf("%+v whole, %+v in pieces", errWhole, errParts)
		}
		// Of a trailer's line that begins with CR, and will be refused, that may be passed.
		if errWhole != nil || whole.state == trailerLine {
			keptParts = strings.TrimSuffix(keptParts, "\r")
			keptWhole = strings.TrimSuffix(keptWhole, "\r")
		}
		if keptWhole != keptParts || whole.state != parts.state {
			t.Errorf("%q whole, %q in pieces", keptWhole, keptParts)
		}
	})
}
