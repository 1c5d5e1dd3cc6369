package spool

import "testing"

// What others hold counts as memory of answers: it leaves an eighth for requests, and is
// given back whole.
func TestReserve(t *testing.T) {
	const size = 1 << 20
	s, err := New(Config{Dir: t.TempDir(), Memory: size})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for s.Reserve(size / 16) {
		n += size / 16
	}
	if want := size - size/8; n != want || s.Stats().Memory != int64(want) {
		t.Errorf("%d bytes were reserved, %+v, want %d", n, s.Stats(), want)
	}
	freed := s.whenFreed()
	s.Release(n)
	if s.Stats().Memory != 0 {
		t.Errorf("%+v", s.Stats())
	}
	select {
	case <-freed:
	default:
		t.Error("nobody was told")
	}
}
