package bridge

import (
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// BenchmarkAdmit is what the gate adds to a request that need not wait: who asks, for
// what, a slot, and its return.
func BenchmarkAdmit(b *testing.B) {
	for _, lanes := range []Switch{Off, On} {
		b.Run("lanes="+string(lanes), func(b *testing.B) {
			bridge, err := New(Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}, Workers: 16, Lanes: lanes}})
			if err != nil {
				b.Fatal(err)
			}
			defer bridge.Close()
			r := requestFor(b, "GET", "/wiki/Start?version=3", "Accept", acceptOfPage, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document",
				"Cookie", "theme=dark; trac_session=0123456789abcdef01234567; trac_auth=89abcdef0123456789abcdef01234567")
			x := &exchange{b: bridge, r: r, client: cgi.Client{Addr: "192.0.2.7"}}
			b.ReportAllocs()
			for b.Loop() {
				if err := x.identify(); err != nil {
					b.Fatal(err)
				}
				x.describe()
				if _, err := x.admit(time.Time{}); err != nil {
					b.Fatal(err)
				}
				x.held.ticket.At("unix:/run/app.sock")
				x.held.ticket.Done()
			}
		})
	}
}
