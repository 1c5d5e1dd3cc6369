package pool

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// BenchmarkExchange has requests answered on a kept connection, its own and a shared one.
func BenchmarkExchange(b *testing.B) {
	for name, p := range map[string]*Pool{
		"own":    poolFor(b, fcgitest.Start(b, fcgitest.Hello), 4),
		"shared": muxPool(b, fcgitest.Start(b, fcgitest.MuxPage), 4),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l := leaseFor(b, p, whole)
				if out, err := converse(l); err != nil || out != fcgitest.Page {
					b.Fatal(out, err)
				}
				l.Release()
			}
		})
	}
}

// BenchmarkLease leases a kept connection and gives it back.
func BenchmarkLease(b *testing.B) {
	p := poolFor(b, fcgitest.Start(b, fcgitest.Hello), 4)
	serve(b, p)
	b.ReportAllocs()
	for b.Loop() {
		l, err := p.Lease(context.Background(), Demand{})
		if err != nil {
			b.Fatal(err)
		}
		l.ended, l.sent = true, true
		l.Release()
	}
}

// BenchmarkDispatch looks at all waiters when nothing can be done for any.
func BenchmarkDispatch(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, err := New(Config{Codec: codec, Instances: []Instance{{Addr: "app", Dial: func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}}, Workers: 20000, Multiplex: MultiplexOn})
			if err != nil {
				b.Fatal(err)
			}
			p.mu.Lock()
			p.instances[0].observed.now = 1
			p.instances[0].count[busy] = 1
			for range n {
				w := &waiter{demand: whole, done: make(chan struct{})}
				w.elem = p.waiters.PushBack(w)
			}
			for b.Loop() {
				p.dispatchWaiters()
			}
			p.instances[0].count[busy] = 0
			p.mu.Unlock()
			p.Close()
		})
	}
}
