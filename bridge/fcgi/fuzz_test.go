package fcgi_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// Three things hold for every decoder and every input: it does not look at or
// change a byte that is not its input, it fails only with ErrShort or a
// FormatError, and what it accepts encodes to bytes that mean the same.

// inputs returns b twice, once with nothing after it in memory and once with
// bytes after it that a decoder must neither depend on nor change.
func inputs(b []byte) (exact, guarded, guard []byte) {
	exact = bytes.Clone(b)
	memory := append(bytes.Clone(b), bytes.Repeat([]byte{1}, 300)...)
	return exact[:len(b):len(b)], memory[:len(b)], memory[len(b):]
}

// same fails if the two decodings differ, or if the input or the guard changed.
func same(t *testing.T, b []byte, exact, guarded, guard []byte, x, y any) {
	t.Helper()
	if !reflect.DeepEqual(x, y) {
		t.Fatalf("depends on what follows the input: %+v, %+v", x, y)
	}
	if !bytes.Equal(exact, b) || !bytes.Equal(guarded, b) || !bytes.Equal(guard, bytes.Repeat([]byte{1}, 300)) {
		t.Fatal("changed its input")
	}
}

// within fails unless part is what lies at off in b, and cannot grow.
func within(t *testing.T, b, part []byte, off int) {
	t.Helper()
	if len(part) > 0 && &part[0] != &b[off] {
		t.Fatalf("does not alias the input at %d", off)
	}
	if cap(part) != len(part) {
		t.Fatalf("%d bytes with room for %d", len(part), cap(part))
	}
}

// refused reports whether err is set, and fails if it is of an unknown kind.
func refused(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*fcgi.FormatError](err); !ok && !errors.Is(err, fcgi.ErrShort) {
		t.Fatalf("error of an unknown kind: %v", err)
	}
	return true
}

func FuzzDecodeHeader(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		h, err := fcgi.DecodeHeader(exact)
		h2, err2 := fcgi.DecodeHeader(guarded)
		same(t, b, exact, guarded, guard, []any{h, err}, []any{h2, err2})
		if refused(t, err) {
			if errors.Is(err, fcgi.ErrShort) != (len(b) < fcgi.HeaderLen) {
				t.Fatalf("%d bytes: %v", len(b), err)
			}
			return
		}
		got := fcgi.AppendHeader(nil, h)
		if !bytes.Equal(got[:7], b[:7]) || got[7] != 0 {
			t.Fatalf("%q encodes to %q", b[:8], got)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		rec, rest, err := fcgi.DecodeRecord(exact)
		rec2, rest2, err2 := fcgi.DecodeRecord(guarded)
		same(t, b, exact, guarded, guard, []any{rec, rest, err}, []any{rec2, rest2, err2})
		if refused(t, err) {
			if len(rest) != len(b) || rec.Content != nil {
				t.Fatalf("failed and consumed: %+v, %d of %d bytes left", rec, len(rest), len(b))
			}
			return
		}
		within(t, exact, rec.Content, fcgi.HeaderLen)
		size := fcgi.HeaderLen + int(rec.ContentLength) + int(rec.PaddingLength)
		if len(rec.Content) != int(rec.ContentLength) || len(rest) != len(b)-size || !bytes.Equal(rest, b[size:]) {
			t.Fatalf("%+v, %d of %d bytes left", rec.Header, len(rest), len(b))
		}
		again := append(fcgi.AppendHeader(nil, rec.Header), rec.Content...)
		again = append(again, make([]byte, rec.PaddingLength)...)
		rec3, rest3, err := fcgi.DecodeRecord(again)
		if err != nil || len(rest3) > 0 || rec3.Header != rec.Header || !bytes.Equal(rec3.Content, rec.Content) {
			t.Fatalf("%+v encodes to %+v, %d bytes left, %v", rec, rec3, len(rest3), err)
		}
		// Without its last byte it is short, whatever follows in other cases.
		if _, _, err := fcgi.DecodeRecord(again[:len(again)-1]); !errors.Is(err, fcgi.ErrShort) {
			t.Fatalf("without its last byte: %v", err)
		}
	})
}

func FuzzDecodePair(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		name, value, rest, err := fcgi.DecodePair(exact)
		name2, value2, rest2, err2 := fcgi.DecodePair(guarded)
		same(t, b, exact, guarded, guard, []any{name, value, rest, err}, []any{name2, value2, rest2, err2})
		if refused(t, err) {
			if name != nil || value != nil || len(rest) != len(b) {
				t.Fatalf("failed and consumed: %q = %q, %d of %d bytes left", name, value, len(rest), len(b))
			}
			return
		}
		end := len(b) - len(rest)
		within(t, exact, value, end-len(value))
		within(t, exact, name, end-len(value)-len(name))
		if !bytes.Equal(rest, b[end:]) {
			t.Fatalf("left %q", rest)
		}
		again := fcgi.AppendPair(nil, string(name), string(value))
		if len(again) != fcgi.PairSize(string(name), string(value)) || len(again) > end {
			t.Fatalf("encodes to %d bytes, PairSize %d, read %d", len(again), fcgi.PairSize(string(name), string(value)), end)
		}
		name3, value3, rest3, err := fcgi.DecodePair(again)
		if err != nil || len(rest3) > 0 || !bytes.Equal(name3, name) || !bytes.Equal(value3, value) {
			t.Fatalf("%q = %q encodes to %q = %q, %v", name, value, name3, value3, err)
		}
	})
}

func FuzzDecodeBeginRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		m, err := fcgi.DecodeBeginRequest(exact)
		m2, err2 := fcgi.DecodeBeginRequest(guarded)
		same(t, b, exact, guarded, guard, []any{m, err}, []any{m2, err2})
		if refused(t, err) == (len(b) == 8) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		want := append([]byte("\x01\x01\x00\x01\x00\x08\x00\x00"), b[0], b[1], b[2], 0, 0, 0, 0, 0)
		if got := fcgi.AppendBeginRequest(nil, 1, m); !bytes.Equal(got, want) {
			t.Fatalf("%q encodes to %q", b, got)
		}
	})
}

func FuzzDecodeEndRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		m, err := fcgi.DecodeEndRequest(exact)
		m2, err2 := fcgi.DecodeEndRequest(guarded)
		same(t, b, exact, guarded, guard, []any{m, err}, []any{m2, err2})
		if refused(t, err) == (len(b) == 8) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		want := append([]byte("\x01\x03\x00\x01\x00\x08\x00\x00"), b[0], b[1], b[2], b[3], b[4], 0, 0, 0)
		if got := fcgi.AppendEndRequest(nil, 1, m); !bytes.Equal(got, want) {
			t.Fatalf("%q encodes to %q", b, got)
		}
	})
}

func FuzzDecodeGetValues(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		names, err := fcgi.DecodeGetValues(exact)
		names2, err2 := fcgi.DecodeGetValues(guarded)
		same(t, b, exact, guarded, guard, []any{names, err}, []any{names2, err2})
		if refused(t, err) || len(b) > fcgi.MaxContent {
			return
		}
		rec, _, err := fcgi.DecodeRecord(fcgi.AppendGetValues(nil, names...))
		if err != nil || rec.Type != fcgi.TypeGetValues || rec.RequestID != fcgi.ManagementID {
			t.Fatalf("%q encodes to %+v, %v", names, rec, err)
		}
		if again, err := fcgi.DecodeGetValues(rec.Content); err != nil || !reflect.DeepEqual(again, names) {
			t.Fatalf("%q encodes to %q, %v", names, again, err)
		}
	})
}

func FuzzDecodeGetValuesResult(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		values, err := fcgi.DecodeGetValuesResult(exact)
		values2, err2 := fcgi.DecodeGetValuesResult(guarded)
		same(t, b, exact, guarded, guard, []any{values, err}, []any{values2, err2})
		if refused(t, err) || len(b) > fcgi.MaxContent {
			return
		}
		rec, _, err := fcgi.DecodeRecord(fcgi.AppendGetValuesResult(nil, values...))
		if err != nil || rec.Type != fcgi.TypeGetValuesResult || rec.RequestID != fcgi.ManagementID {
			t.Fatalf("%q encodes to %+v, %v", values, rec, err)
		}
		if again, err := fcgi.DecodeGetValuesResult(rec.Content); err != nil || !reflect.DeepEqual(again, values) {
			t.Fatalf("%q encodes to %q, %v", values, again, err)
		}
	})
}

func FuzzDecodeUnknownType(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		exact, guarded, guard := inputs(b)
		typ, err := fcgi.DecodeUnknownType(exact)
		typ2, err2 := fcgi.DecodeUnknownType(guarded)
		same(t, b, exact, guarded, guard, []any{typ, err}, []any{typ2, err2})
		if refused(t, err) == (len(b) == 8) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		want := append([]byte("\x01\x0b\x00\x00\x00\x08\x00\x00"), b[0], 0, 0, 0, 0, 0, 0, 0)
		if got := fcgi.AppendUnknownType(nil, typ); !bytes.Equal(got, want) {
			t.Fatalf("%q encodes to %q", b, got)
		}
	})
}
