package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// plainCodec is FastCGI as if it had neither queries nor shared connections.
type plainCodec struct{ upstream.Codec }

// shortCodec is FastCGI as if a connection was for one request, too.
type shortCodec struct{ plainCodec }

func (shortCodec) KeepAlive() bool { return false }

// Features that the protocol does not have are not used, whatever the Config says.
func TestCapabilities(t *testing.T) {
	for name, tc := range map[string]struct {
		codec   upstream.Codec
		worksOn bool
		blind   bool // nobody can tell what an application has not read
		dials   uint64
		idle    int
	}{
		"plain":                          {codec: plainCodec{codec}, dials: 3, idle: 3},
		"plain, it works on, seen":       {codec: plainCodec{codec}, worksOn: true, dials: 3, idle: 3},
		"plain, it works on, not seen":   {codec: plainCodec{codec}, worksOn: true, blind: true, dials: 3 + 5},
		"one request":                    {codec: shortCodec{plainCodec{codec}}, dials: 3 + 5},
		"one request, it works on, seen": {codec: shortCodec{plainCodec{codec}}, worksOn: true, dials: 3 + 5},
	} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, fcgitest.Hello)
			in := visible(peer)
			if tc.blind {
				in.Unread = nil
			}
			p := newPool(t, Config{
				Instances: []Instance{in}, Codec: tc.codec, Workers: 3,
				KeepAlive: KeepAuto, Multiplex: MultiplexOn, ClosesWhenFull: true, WorksOn: tc.worksOn,
			})
			var leases []*Lease
			for range 3 {
				l := leaseFor(t, p, Demand{Buffered: true, NoReplay: true})
				if l.Shared() {
					t.Error("the connection is shared")
				}
				leases = append(leases, l)
			}
			for _, l := range leases {
				finish(t, l)
			}
			for range 5 {
				synctest.Wait()
				serve(t, p)
			}
			time.Sleep(lingerTimeout) // for the application to close them
			wantCounts(t, p, counts{idle: tc.idle})
			if s := p.Snapshot().Instances[0]; s.Dials != tc.dials || s.Discarded != 0 || len(peer.Asked()) != 0 {
				t.Errorf("%d dials, %d discarded, %d queries; want %d, 0, 0", s.Dials, s.Discarded, len(peer.Asked()), tc.dials)
			}
		})
	}
}
