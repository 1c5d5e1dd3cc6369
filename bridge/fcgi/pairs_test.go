package fcgi_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// The four layouts of section 3.4: FCGI_NameValuePair11, 14, 41 and 44, and the
// lengths at which they change.
func TestPairLayouts(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	y := func(n int) string { return strings.Repeat("y", n) }
	for _, tt := range []struct {
		name, value string
		bytes       string
	}{
		{"SERVER_PORT", "80", "\013\002SERVER_PORT80"},
		{"SERVER_ADDR", "199.170.183.42", "\013\016SERVER_ADDR199.170.183.42"},
		{"", "", "\x00\x00"},
		{"QUERY_STRING", "", "\x0c\x00QUERY_STRING"},
		{"", "v", "\x00\x01v"},
		{x(127), y(127), "\x7f\x7f" + x(127) + y(127)},
		{x(127), y(128), "\x7f\x80\x00\x00\x80" + x(127) + y(128)},
		{x(128), y(127), "\x80\x00\x00\x80\x7f" + x(128) + y(127)},
		{x(128), y(128), "\x80\x00\x00\x80\x80\x00\x00\x80" + x(128) + y(128)},
		{"N", y(255), "\x01\x80\x00\x00\xffN" + y(255)},
		{"N", y(256), "\x01\x80\x00\x01\x00N" + y(256)},
		{"N", y(65500), "\x01\x80\x00\xff\xdcN" + y(65500)},
		{"N", y(65535), "\x01\x80\x00\xff\xffN" + y(65535)},
		{x(65536), "v", "\x80\x01\x00\x00\x01" + x(65536) + "v"},
	} {
		label := tt.bytes[:min(len(tt.bytes), 10)]
		if got := fcgi.AppendPair([]byte("before"), tt.name, tt.value); string(got) != "before"+tt.bytes {
			t.Errorf("%q: encoded %.40q", label, got[6:])
		}
		if got := fcgi.PairSize(tt.name, tt.value); got != len(tt.bytes) {
			t.Errorf("%q: PairSize %d, want %d", label, got, len(tt.bytes))
		}
		name, value, rest, err := fcgi.DecodePair([]byte(tt.bytes + "after"))
		if err != nil || string(name) != tt.name || string(value) != tt.value || string(rest) != "after" {
			t.Errorf("%q: decoded %.20q = %.20q, rest %.20q, %v", label, name, value, rest, err)
		}
	}
}

// A peer may write a short length in four bytes; nothing forbids it.
func TestDecodePairLongForm(t *testing.T) {
	for _, in := range []string{
		"\x80\x00\x00\x0b\x02SERVER_PORT80",
		"\x0b\x80\x00\x00\x02SERVER_PORT80",
		"\x80\x00\x00\x0b\x80\x00\x00\x02SERVER_PORT80",
	} {
		name, value, rest, err := fcgi.DecodePair([]byte(in))
		if err != nil || string(name) != "SERVER_PORT" || string(value) != "80" || len(rest) > 0 {
			t.Errorf("%q: %q = %q, rest %q, %v", in, name, value, rest, err)
		}
	}
}

func TestEveryTruncatedPair(t *testing.T) {
	long := strings.Repeat("y", 130)
	for _, whole := range []string{
		"\013\002SERVER_PORT80",
		"\x01\x80\x00\x00\x82N" + long,
		"\x80\x00\x00\x82\x01" + long + "v",
		"\x80\x00\x00\x82\x80\x00\x00\x82" + long + long,
	} {
		for n := range len(whole) {
			name, value, rest, err := fcgi.DecodePair([]byte(whole[:n]))
			if !errors.Is(err, fcgi.ErrShort) || name != nil || value != nil || len(rest) != n {
				t.Errorf("%d of %d bytes: %q = %q, rest %q, %v", n, len(whole), name, value, rest, err)
			}
		}
	}
}

// Lengths whose sum does not fit into 32 bits (CVE-2025-23016).
func TestDecodePairHugeLengths(t *testing.T) {
	for _, in := range []string{
		"\xff\xff\xff\xff\xff\xff\xff\xffshort",
		"\xff\xff\xff\xff\x00short",
		"\x00\xff\xff\xff\xffshort",
		"\xff\xff\xff\xff\x80\x00\x00\x05short",
		"\x80\x00\x00\x05\xff\xff\xff\xfbshort",
	} {
		if name, value, _, err := fcgi.DecodePair([]byte(in)); !errors.Is(err, fcgi.ErrShort) {
			t.Errorf("%q: %q = %q, %v", in, name, value, err)
		}
	}
}

func TestParamsWriter(t *testing.T) {
	w := fcgi.NewParamsWriter([]byte("before"), 1)
	for _, v := range [][2]string{{"SERVER_PORT", "80"}, {"SERVER_ADDR", "199.170.183.42"}} {
		if err := w.Add(v[0], v[1]); err != nil {
			t.Fatal(err)
		}
	}
	want := "before" +
		"\x01\x04\x00\x01\x00\x2a\x00\x00" + "\013\002SERVER_PORT80" + "\013\016SERVER_ADDR199.170.183.42" +
		"\x01\x04\x00\x01\x00\x00\x00\x00"
	if got := w.End(); string(got) != want {
		t.Errorf("encoded\n%q, want\n%q", got, want)
	}
}

// No parameters are an empty stream: its end alone.
func TestParamsWriterEmpty(t *testing.T) {
	w := fcgi.NewParamsWriter(nil, 2)
	if got := w.End(); string(got) != "\x01\x04\x00\x02\x00\x00\x00\x00" {
		t.Errorf("encoded %q", got)
	}
}

// Records end on a pair boundary, and are filled to the last byte.
func TestParamsWriterBoundary(t *testing.T) {
	// A pair of one byte of name and n of value takes 6+n bytes, for n >= 128.
	value := func(n int) string { return strings.Repeat("v", n-6) }
	for _, tt := range []struct {
		name    string
		pairs   []int // their sizes, encoded
		records []int // content of each
	}{
		{"one, as large as is allowed", []int{65500}, []int{65500}},
		{"exactly full", []int{65500 - 200, 235}, []int{65535}},
		{"one byte over", []int{65500 - 200, 236}, []int{65300, 236}},
		{"largest after another", []int{134, 65500}, []int{134, 65500}},
		{"largest before another", []int{65500, 134}, []int{65500, 134}},
		{"two largest", []int{65500, 65500}, []int{65500, 65500}},
		{"many", []int{30_000, 30_000, 30_000, 30_000, 30_000}, []int{60_000, 60_000, 30_000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fcgi.NewParamsWriter(nil, 9)
			for _, n := range tt.pairs {
				if err := w.Add("N", value(n)); err != nil {
					t.Fatal(err)
				}
			}
			records, contents := decodeStream(t, w.End(), fcgi.TypeParams, 9)
			if len(contents) != len(tt.records) {
				t.Fatalf("%d records, want %d", len(contents), len(tt.records))
			}
			pairs := 0
			for i, content := range contents {
				if len(content) != tt.records[i] {
					t.Errorf("record %d has %d bytes, want %d", i, len(content), tt.records[i])
				}
				for len(content) > 0 {
					_, value, rest, err := fcgi.DecodePair(content)
					if err != nil {
						t.Fatalf("record %d does not end on a pair: %v", i, err)
					}
					if len(value) != tt.pairs[pairs]-6 {
						t.Errorf("pair %d has a value of %d bytes", pairs, len(value))
					}
					content = rest
					pairs++
				}
			}
			if pairs != len(tt.pairs) || records != len(tt.records)+1 {
				t.Errorf("%d pairs in %d records", pairs, records)
			}
		})
	}
}

// decodeStream returns the contents of the records of one stream, which must end
// with its empty record and nothing after it.
func decodeStream(t *testing.T, b []byte, typ fcgi.Type, id uint16) (records int, contents [][]byte) {
	t.Helper()
	for {
		rec, rest, err := fcgi.DecodeRecord(b)
		if err != nil || rec.Type != typ || rec.RequestID != id {
			t.Fatalf("record %d: %+v, %v", records, rec.Header, err)
		}
		records++
		if len(rec.Content) == 0 {
			if len(rest) > 0 {
				t.Fatalf("%d bytes after the end of the stream", len(rest))
			}
			return records, contents
		}
		contents, b = append(contents, rec.Content), rest
	}
}

func TestParamsWriterRefuses(t *testing.T) {
	w := fcgi.NewParamsWriter(nil, 1)
	if err := w.Add("A", "1"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, value string
		size        int
	}{
		{"HTTP_COOKIE", strings.Repeat("c", 65485), 65501},
		{strings.Repeat("N", 65495), "1", 65501},
		{"HTTP_COOKIE", strings.Repeat("c", 1<<20), 1<<20 + 16},
	} {
		err := w.Add(tt.name, tt.value)
		large, ok := errors.AsType[*fcgi.PairTooLargeError](err)
		if !ok || large.Name != tt.name || large.Size != tt.size {
			t.Fatalf("Add: %.100v", err)
		}
		if text := err.Error(); !strings.Contains(text, tt.name[:11]) || !strings.Contains(text, "65500") || len(text) > 200 {
			t.Errorf("error of %d bytes: %.300s", len(text), text)
		}
	}
	// The stream is as if nothing had been tried.
	if err := w.Add("B", "2"); err != nil {
		t.Fatal(err)
	}
	want := "\x01\x04\x00\x01\x00\x08\x00\x00" + "\x01\x01A1\x01\x01B2" + "\x01\x04\x00\x01\x00\x00\x00\x00"
	if got := w.End(); string(got) != want {
		t.Errorf("encoded %q, want %q", got, want)
	}
}

// Appending to what a decoder returned must not write over its input.
func TestDecodedSlicesDoNotGrowIntoInput(t *testing.T) {
	in := []byte("\x01\x01A1\x01\x01B2")
	name, value, rest, err := fcgi.DecodePair(in)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = append(name, "xxx"...), append(value, "yyy"...)
	if string(rest) != "\x01\x01B2" || !bytes.Equal(in, []byte("\x01\x01A1\x01\x01B2")) {
		t.Errorf("input is %q now", in)
	}
}
