package blocking

import (
	"fmt"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/spool"
)

// There are never more bodies discarded than may be, of one client or of all.
func TestDiscardsAreBounded(t *testing.T) {
	var d Discards
	var begun []spool.Client
	begin := func(addr string) bool {
		c := spool.ClientOf(addr)
		if !d.begin(c) {
			return false
		}
		begun = append(begun, c)
		return true
	}
	for i := range discardsOfOne {
		if !begin(fmt.Sprintf("2001:db8::%d", i)) {
			t.Fatalf("the first client may not have %d", i+1)
		}
	}
	if begin("2001:db8::1:1") {
		t.Error("the first client has too many")
	}
	for i := range discardsMost / 2 {
		if !begin(fmt.Sprintf("192.0.2.%d", i%256)) {
			t.Fatalf("client %d may have none", i)
		}
	}
	for len(begun) < discardsMost {
		if !begin("unix:") {
			t.Fatalf("those of whom nothing is known may not have %d", len(begun)+1)
		}
	}
	if begin("198.51.100.1") {
		t.Error("there are too many")
	}
	for _, c := range begun {
		d.end(c)
	}
	if d.all != 0 || len(d.of) != 0 {
		t.Errorf("left at the end: %d, %v", d.all, d.of)
	}
}
