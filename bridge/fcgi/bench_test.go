package fcgi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// A GET with 30 parameters: BEGIN_REQUEST, PARAMS and the end of STDIN.
func BenchmarkAppendRequest(b *testing.B) {
	var names, values [30]string
	for i := range names {
		names[i], values[i] = fmt.Sprintf("HTTP_HEADER_%02d", i), strings.Repeat("v", 5*i)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = fcgi.AppendBeginRequest(buf[:0], 1, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
		w := fcgi.NewParamsWriter(buf, 1)
		for i := range names {
			if err := w.Add(names[i], values[i]); err != nil {
				b.Fatal(err)
			}
		}
		buf = fcgi.AppendStreamEnd(w.End(), fcgi.TypeStdin, 1)
	}
	b.SetBytes(int64(len(buf)))
}

// An answer of 200 bytes: STDOUT, its end, END_REQUEST.
func BenchmarkDecodeResponse(b *testing.B) {
	in := fcgi.AppendStream(nil, fcgi.TypeStdout, 1, make([]byte, 200))
	in = fcgi.AppendStreamEnd(in, fcgi.TypeStdout, 1)
	in = fcgi.AppendEndRequest(in, 1, fcgi.EndRequest{})
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		for rest := in; len(rest) > 0; {
			var rec fcgi.Record
			var err error
			if rec, rest, err = fcgi.DecodeRecord(rest); err != nil {
				b.Fatal(err)
			}
			if rec.Type != fcgi.TypeEndRequest {
				continue
			}
			if _, err := fcgi.DecodeEndRequest(rec.Content); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// The application's side of 30 parameters.
func BenchmarkDecodePairs(b *testing.B) {
	var in []byte
	for i := range 30 {
		in = fcgi.AppendPair(in, fmt.Sprintf("HTTP_HEADER_%02d", i), strings.Repeat("v", 5*i))
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		for rest := in; len(rest) > 0; {
			var err error
			if _, _, rest, err = fcgi.DecodePair(rest); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkAppendStream(b *testing.B) {
	data := make([]byte, 256<<10)
	var buf []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		buf = fcgi.AppendStream(buf[:0], fcgi.TypeStdin, 1, data)
	}
}
