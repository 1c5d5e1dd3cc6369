package fcgi_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// wire has one record of each of the eleven types, byte for byte as section 8
// lays them out, and how it is encoded.
var wire = []struct {
	bytes  string
	append func(dst []byte) []byte
	want   fcgi.Header
}{
	{
		"\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00",
		func(dst []byte) []byte {
			return fcgi.AppendBeginRequest(dst, 1, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
		},
		fcgi.Header{Type: fcgi.TypeBeginRequest, RequestID: 1, ContentLength: 8},
	},
	{
		"\x01\x02\x12\x34\x00\x00\x00\x00",
		func(dst []byte) []byte { return fcgi.AppendAbortRequest(dst, 0x1234) },
		fcgi.Header{Type: fcgi.TypeAbortRequest, RequestID: 0x1234},
	},
	{
		"\x01\x03\x00\x01\x00\x08\x00\x00" + "\x00\x00\x03\xaa\x00\x00\x00\x00",
		func(dst []byte) []byte { return fcgi.AppendEndRequest(dst, 1, fcgi.EndRequest{AppStatus: 938}) },
		fcgi.Header{Type: fcgi.TypeEndRequest, RequestID: 1, ContentLength: 8},
	},
	{
		"\x01\x04\x00\x01\x00\x0f\x00\x00" + "\x0b\x02SERVER_PORT80",
		func(dst []byte) []byte {
			return fcgi.AppendStream(dst, fcgi.TypeParams, 1, []byte("\013\002SERVER_PORT80"))
		},
		fcgi.Header{Type: fcgi.TypeParams, RequestID: 1, ContentLength: 15},
	},
	{
		"\x01\x05\xff\xff\x00\x19\x00\x00" + "quantity=100&item=3047936",
		func(dst []byte) []byte {
			return fcgi.AppendStream(dst, fcgi.TypeStdin, 65535, []byte("quantity=100&item=3047936"))
		},
		fcgi.Header{Type: fcgi.TypeStdin, RequestID: 65535, ContentLength: 25},
	},
	{
		"\x01\x06\x00\x01\x00\x1b\x00\x00" + "Content-type: text/html\r\n\r\n",
		func(dst []byte) []byte {
			return fcgi.AppendStream(dst, fcgi.TypeStdout, 1, []byte("Content-type: text/html\r\n\r\n"))
		},
		fcgi.Header{Type: fcgi.TypeStdout, RequestID: 1, ContentLength: 27},
	},
	{
		"\x01\x07\x00\x01\x00\x1d\x00\x00" + "config error: missing SI_UID\n",
		func(dst []byte) []byte {
			return fcgi.AppendStream(dst, fcgi.TypeStderr, 1, []byte("config error: missing SI_UID\n"))
		},
		fcgi.Header{Type: fcgi.TypeStderr, RequestID: 1, ContentLength: 29},
	},
	{
		"\x01\x08\x00\x02\x00\x04\x00\x00" + "file",
		func(dst []byte) []byte { return fcgi.AppendStream(dst, fcgi.TypeData, 2, []byte("file")) },
		fcgi.Header{Type: fcgi.TypeData, RequestID: 2, ContentLength: 4},
	},
	{
		"\x01\x09\x00\x00\x00\x11\x07\x00" + "\x0f\x00FCGI_MPXS_CONNS" + "\x00\x00\x00\x00\x00\x00\x00",
		func(dst []byte) []byte { return fcgi.AppendGetValues(dst, fcgi.MpxsConns) },
		fcgi.Header{Type: fcgi.TypeGetValues, ContentLength: 17, PaddingLength: 7},
	},
	{
		"\x01\x0a\x00\x00\x00\x23\x00\x00" + "\x0f\x01FCGI_MPXS_CONNS0" + "\x0e\x01FCGI_MAX_CONNS2",
		func(dst []byte) []byte {
			return fcgi.AppendGetValuesResult(dst, fcgi.Value{Name: fcgi.MpxsConns, Value: "0"}, fcgi.Value{Name: fcgi.MaxConns, Value: "2"})
		},
		fcgi.Header{Type: fcgi.TypeGetValuesResult, ContentLength: 35},
	},
	{
		"\x01\x0b\x00\x00\x00\x08\x00\x00" + "\x2a\x00\x00\x00\x00\x00\x00\x00",
		func(dst []byte) []byte { return fcgi.AppendUnknownType(dst, 42) },
		fcgi.Header{Type: fcgi.TypeUnknown, ContentLength: 8},
	},
}

func TestElevenTypes(t *testing.T) {
	if len(wire) != 11 {
		t.Fatalf("%d types in the table", len(wire))
	}
	for i, tt := range wire {
		t.Run(tt.want.Type.String(), func(t *testing.T) {
			if tt.want.Type != fcgi.Type(i+1) {
				t.Fatalf("type %d at place %d", tt.want.Type, i+1)
			}
			// Encoders append: what is before stays.
			if got := tt.append([]byte("before")); string(got) != "before"+tt.bytes {
				t.Errorf("encoded\n%q, want\n%q", got[6:], tt.bytes)
			}
			rec, rest, err := fcgi.DecodeRecord([]byte(tt.bytes + "after"))
			if err != nil || rec.Header != tt.want || string(rec.Content) != tt.bytes[8:len(tt.bytes)-int(tt.want.PaddingLength)] || string(rest) != "after" {
				t.Errorf("decoded %+v, rest %q, %v", rec, rest, err)
			}
		})
	}
}

// A connection may end anywhere.
func TestEveryTruncatedRecord(t *testing.T) {
	padded := "\x01\x06\x00\x01\x00\x02\x03\x00" + "ok" + "\x00\x00\x00"
	inputs := []string{padded}
	for _, tt := range wire {
		inputs = append(inputs, tt.bytes)
	}
	for _, whole := range inputs {
		for n := range len(whole) {
			rec, rest, err := fcgi.DecodeRecord([]byte(whole[:n]))
			if !errors.Is(err, fcgi.ErrShort) || len(rest) != n || rec.Content != nil {
				t.Errorf("%d of %d bytes of %q: %+v, rest %q, %v", n, len(whole), whole, rec, rest, err)
			}
			if _, err := fcgi.DecodeHeader([]byte(whole[:n])); (err == nil) != (n >= fcgi.HeaderLen) {
				t.Errorf("header in %d bytes of %q: %v", n, whole, err)
			}
		}
	}
}

func TestDecodeHeader(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes string
		want  fcgi.Header
	}{
		{"largest of everything", "\x01\x0b\xff\xff\xff\xff\xff\x00", fcgi.Header{Type: 11, RequestID: 65535, ContentLength: 65535, PaddingLength: 255}},
		{"bytes in network order", "\x01\x06\x01\x02\x03\x04\x05\x00", fcgi.Header{Type: 6, RequestID: 0x0102, ContentLength: 0x0304, PaddingLength: 5}},
		{"reserved byte not zero", "\x01\x06\x00\x01\x00\x00\x00\xff", fcgi.Header{Type: 6, RequestID: 1}},
		{"type 0", "\x01\x00\x00\x01\x00\x00\x00\x00", fcgi.Header{RequestID: 1}},
		{"type 12", "\x01\x0c\x00\x00\x00\x00\x00\x00", fcgi.Header{Type: 12}},
		{"type 255", "\x01\xff\x00\x00\x00\x00\x00\x00", fcgi.Header{Type: 255}},
	} {
		got, err := fcgi.DecodeHeader([]byte(tt.bytes))
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
	if got := fcgi.AppendHeader(nil, fcgi.Header{Type: 6, RequestID: 0x0102, ContentLength: 0x0304, PaddingLength: 5}); string(got) != "\x01\x06\x01\x02\x03\x04\x05\x00" {
		t.Errorf("encoded %q", got)
	}
}

func TestWrongVersion(t *testing.T) {
	for _, tt := range []struct{ bytes, want string }{
		{"\x00\x06\x00\x01\x00\x00\x00\x00", "version is 0"},
		{"\x02\x06\x00\x01\x00\x00\x00\x00", "version is 2"},
		{"\xff\x06\x00\x01\x00\x00\x00\x00", "version is 255"},
		{"HTTP/1.1 400 Bad Request\r\n", "version is 72"},
	} {
		rec, rest, err := fcgi.DecodeRecord([]byte(tt.bytes))
		bad, ok := errors.AsType[*fcgi.FormatError](err)
		if !ok || bad.What != "record header" || !strings.Contains(err.Error(), tt.want) || len(rest) != len(tt.bytes) || rec.Content != nil {
			t.Errorf("%q: %+v, rest %q, %v", tt.bytes, rec, rest, err)
		}
	}
}

func TestPaddingIsSkipped(t *testing.T) {
	for _, padding := range []int{1, 7, 255} {
		b := append([]byte("\x01\x06\x00\x01\x00\x05"), byte(padding), 0)
		b = append(b, "hello"...)
		// Padding is not said to be zero (section 3.3).
		b = append(b, bytes.Repeat([]byte{0x55}, padding)...)
		b = append(b, "\x01\x06\x00\x01\x00\x00\x00\x00"...)
		rec, rest, err := fcgi.DecodeRecord(b)
		if err != nil || string(rec.Content) != "hello" || string(rest) != "\x01\x06\x00\x01\x00\x00\x00\x00" {
			t.Errorf("%d bytes of padding: %+v, rest %q, %v", padding, rec, rest, err)
		}
	}
}

func TestLargestRecord(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 65535)
	b := append([]byte("\x01\x06\x00\x01\xff\xff\x00\x00"), content...)
	rec, rest, err := fcgi.DecodeRecord(b)
	if err != nil || !bytes.Equal(rec.Content, content) || len(rest) != 0 {
		t.Errorf("%d bytes of content, rest %d, %v", len(rec.Content), len(rest), err)
	}
}

func TestAppendStreamSplits(t *testing.T) {
	for _, tt := range []struct {
		size    int
		records []int // content of each
	}{
		{0, nil}, // an empty record would end the stream
		{1, []int{1}},
		{65528, []int{65528}},
		{65529, []int{65528, 1}},
		{65535, []int{65528, 7}},
		{65536, []int{65528, 8}},
		{200_000, []int{65528, 65528, 65528, 3416}},
	} {
		data := make([]byte, tt.size)
		for i := range data {
			data[i] = byte(i % 251)
		}
		rest := fcgi.AppendStream(nil, fcgi.TypeStdin, 3, data)
		var joined []byte
		for _, n := range tt.records {
			rec, r, err := fcgi.DecodeRecord(rest)
			if err != nil || rec.Type != fcgi.TypeStdin || rec.RequestID != 3 || len(rec.Content) != n || rec.PaddingLength != 0 {
				t.Fatalf("%d bytes: %+v, %v, want %d bytes of content", tt.size, rec.Header, err, n)
			}
			joined, rest = append(joined, rec.Content...), r
		}
		if len(rest) > 0 || !bytes.Equal(joined, data) {
			t.Errorf("%d bytes: %d bytes too much, or content differs", tt.size, len(rest))
		}
	}
}

func TestAppendStreamEnd(t *testing.T) {
	for typ, want := range map[fcgi.Type]string{
		fcgi.TypeParams: "\x01\x04\x00\x01\x00\x00\x00\x00",
		fcgi.TypeStdin:  "\x01\x05\x00\x01\x00\x00\x00\x00",
		fcgi.TypeStdout: "\x01\x06\x00\x01\x00\x00\x00\x00",
		fcgi.TypeStderr: "\x01\x07\x00\x01\x00\x00\x00\x00",
		fcgi.TypeData:   "\x01\x08\x00\x01\x00\x00\x00\x00",
	} {
		if got := fcgi.AppendStreamEnd(nil, typ, 1); string(got) != want {
			t.Errorf("%v: %q, want %q", typ, got, want)
		}
	}
}

func TestTypeNames(t *testing.T) {
	for typ, want := range map[fcgi.Type]string{
		0: "type 0", 1: "BEGIN_REQUEST", 2: "ABORT_REQUEST", 3: "END_REQUEST", 4: "PARAMS", 5: "STDIN", 6: "STDOUT",
		7: "STDERR", 8: "DATA", 9: "GET_VALUES", 10: "GET_VALUES_RESULT", 11: "UNKNOWN_TYPE", 12: "type 12", 255: "type 255",
	} {
		if typ.String() != want || typ.Known() != (typ >= 1 && typ <= 11) {
			t.Errorf("type %d: %q, known %v, want %q", uint8(typ), typ, typ.Known(), want)
		}
	}
}

func wantPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := recover(); !strings.Contains(fmt.Sprint(got), text) {
			t.Errorf("panic: %v, want %q", got, text)
		}
	}()
	f()
}
