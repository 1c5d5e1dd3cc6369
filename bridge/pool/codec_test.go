package pool

import (
	"errors"
	"strings"
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

// untilEOFCodec has answers that end with their connection, although connections may be kept.
type untilEOFCodec struct{ plainCodec }

func (untilEOFCodec) NewDecoder() upstream.Decoder { return new(upstream.UntilEOF) }

// A connection whose end was the end of the answer is given back as one that is used up: it is
// neither kept nor counted as broken.
func TestAnswerUntilEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{
			Instances: []Instance{visible(fcgitest.Start(t, fcgitest.CloseAfterEnd))}, Codec: untilEOFCodec{plainCodec{codec}}, Workers: 3,
		})
		for range 5 {
			l := mustLease(t, p)
			if out, err := converse(l); err != nil || !strings.Contains(out, fcgitest.Page) {
				t.Errorf("answer %q, %v", out, err)
			}
			l.Release()
			time.Sleep(lingerTimeout)
			wantCounts(t, p, counts{})
		}
		if s := p.Snapshot().Instances[0]; s.Dials != 5 || s.Discarded != 0 || s.Reuses != 0 || s.Stale != 0 {
			t.Errorf("%+v, want 5 dials and nothing discarded", s)
		}
	})
}

// A new connection that is reset unread may carry an idempotent request once more if the
// protocol keeps no connections: its requests have no other ones. An end without a reset says
// nothing.
func TestResetOfOneRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		codec  upstream.Codec
		script fcgitest.Script
		want   Replay
	}{
		"reset, one request": {shortCodec{plainCodec{codec}}, fcgitest.ResetBeforeReading, ReplayIdempotent},
		"end, one request":   {shortCodec{plainCodec{codec}}, fcgitest.EOFBeforeHeader, ReplayNever},
		"reset, kept ones":   {plainCodec{codec}, fcgitest.ResetBeforeReading, ReplayNever},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, Config{Instances: []Instance{visible(fcgitest.Start(t, tc.script))}, Codec: tc.codec, Workers: 1})
				l := mustLease(t, p)
				defer l.Release()
				_, err := converse(l)
				if e, ok := errors.AsType[*Error](err); !ok || e.Replay != tc.want || e.Full {
					t.Errorf("%v: %+v, want replay %v", err, e, tc.want)
				}
			})
		})
	}
}

// What a protocol has not got is not used, whatever the pool is told.
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
