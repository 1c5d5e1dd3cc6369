package siphash

import (
	"hash/maphash"
	"strings"
	"testing"
)

// The vectors of the reference implementation (vectors.h, vectors_sip64): the key is 00 01 ... 0f, the text
// the first n of the bytes 00 01 02 ...
func TestReferenceVectors(t *testing.T) {
	var k Key
	var text []byte
	for i := range k {
		k[i] = byte(i)
	}
	for n, want := range []uint64{
		0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
		0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
		0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
	} {
		if got := Sum(&k, string(text)); got != want {
			t.Errorf("%d bytes: %016x, want %016x", n, got, want)
		}
		text = append(text, byte(n))
	}
}

func TestParse(t *testing.T) {
	k := Key{0xfe, 15: 1}
	if got, ok := Parse(k.String()); got != k || !ok {
		t.Errorf("%q is %v, %v", k, got, ok)
	}
	for _, bad := range []string{"", "0", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("g", 32)} {
		if _, ok := Parse(bad); ok {
			t.Errorf("%q is a key", bad)
		}
	}
}

// Keys for two uses are two keys.
func TestDerive(t *testing.T) {
	k := Key{1}
	if a, b := k.Derive("a"), k.Derive("b"); a == b || a == k || a != k.Derive("a") || a[0] == a[8] && a[1] == a[9] {
		t.Errorf("%v, %v", a, b)
	}
}

// Beside the hash of this process alone.
func BenchmarkSum(b *testing.B) {
	seed, key := maphash.MakeSeed(), Key{1}
	for name, text := range map[string]string{"address": "192.0.2.7", "session": "89abcdef0123456789abcdef01234567"} {
		for hash, sum := range map[string]func(){
			"siphash": func() { Sum(&key, text) },
			"maphash": func() { maphash.String(seed, text) },
		} {
			b.Run(name+"/"+hash, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					sum()
				}
			})
		}
	}
}
