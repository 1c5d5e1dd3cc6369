//go:build linux

package loop

import (
	"net/http"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// lean gives back memory while the call waits: a client that waits for long is one of many.
func (k *call) lean() {
	k.leanAt = time.Time{}
	if k.original == nil || k.R != k.original || len(k.header) > 0 { // it is lean, or was redirected
		return
	}
	if kits := &k.loop.kits; len(*kits) < spareMax {
		*kits = append(*kits, kit{k.header, k.buf, k.raw, k.x.Lean()})
	} else {
		k.x.Lean()
	}
	k.raw, k.body = slices.Clone(k.raw), slices.Clone(k.body)
	k.original, k.R, k.header, k.buf = nil, nil, nil, nil
}

// kit is the memory of a call that is not lean.
type kit struct {
	header   http.Header
	buf, raw []byte
	exchange exchange.Memory
}

// fill gives memory to a call that has none.
func (k *call) fill() {
	kits := &k.loop.kits
	n := len(*kits)
	if n == 0 {
		k.header = make(http.Header, 16)
		return
	}
	m := (*kits)[n-1]
	(*kits)[n-1] = kit{}
	*kits = (*kits)[:n-1]
	k.header, k.buf = m.header, m.buf
	if k.raw == nil {
		k.raw = m.raw
	}
	k.x.Fill(m.exchange)
}

// wake ends a wait.
func (k *call) wake() {
	k.waits, k.leanAt = false, time.Time{}
	if k.original != nil {
		return
	}
	r := k.loop.parser.parse(k.raw) // as it did before
	r.RemoteAddr, r.ContentLength = k.conn.from, int64(len(k.body))
	k.original = r.WithContext(k.ctx)
	k.R = k.original
	k.fill()
}
