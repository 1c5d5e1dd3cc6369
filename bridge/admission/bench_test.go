package admission

import (
	"context"
	"testing"
)

func BenchmarkAcquireDone(b *testing.B) {
	for name, lanes := range map[string]bool{"lanes": true, "fifo": false} {
		b.Run(name, func(b *testing.B) {
			cfg := Defaults(16)
			cfg.Lanes = lanes
			g, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			r := Request{Route: "GET html /wiki/Start?action,version", Group: "GET html /wiki", ClientKey: 0x1234567, Method: "GET", Path: "/wiki/Start"}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				t, err := g.Acquire(ctx, &r)
				if err != nil {
					b.Fatal(err)
				}
				t.Done()
			}
		})
	}
}
