package main

import "testing"

// A program at rest is not collected again and again, nor one that is busy.
func TestRest(t *testing.T) {
	var r rest
	allocated := uint64(1 << 20)
	for i, look := range []struct {
		more   uint64
		begins bool
	}{
		{0, false},             // it was just started
		{0, false},             // and has done nothing worth a collection
		{restWorth, false},     // it is busy
		{restWorth, false},     // and still is
		{restBelow - 1, true},  // it comes to rest
		{restBelow - 1, false}, // and has been collected
		{restBelow, false},     // it does a little
		{restWorth, false},     // and more
		{0, true},              // and comes to rest
		{0, false},             // for long
	} {
		if allocated += look.more; r.begins(allocated) != look.begins {
			t.Errorf("look %d, after %d bytes more: not %v", i, look.more, look.begins)
		}
	}
}

// Many small things are worth a collection as well.
func TestRestAfterMuchLittle(t *testing.T) {
	var r rest
	n, allocated := 0, uint64(0)
	for range 2 * restWorth / (restBelow / 2) {
		if allocated += restBelow / 2; r.begins(allocated) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d collections for twice what is worth one", n)
	}
}
