//go:build linux

package loop

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// lean gives back memory while the call waits: a client that waits for long is one of many.
func (k *call) lean() {
	k.leanAt = time.Time{}
	if k.workspace == nil || k.original == nil || k.R != k.original || len(k.header) > 0 { // it is lean, or was redirected
		return
	}
	k.raw, k.body = fitting(k.raw), fitting(k.body)
	if p, ok := k.x.Park(); k.wait.For == exchange.Grant && ok {
		k.parked = p
		k.clear()
		k.putWorkspace()
		return
	}
	if kits := &k.loop.kits; len(*kits) < workspacesMax {
		*kits = append(*kits, kit{k.header, k.buf, k.x.Lean()})
	} else {
		k.x.Lean()
	}
	k.original, k.R, k.header, k.buf = nil, nil, nil, nil
}

// fitting returns b in memory of about its size.
func fitting(b []byte) []byte {
	switch {
	case len(b) == 0:
		return nil
	case cap(b)-len(b) > len(b)/8:
		return append([]byte(nil), b...)
	}
	return b
}

// kit is the memory of a call that is not lean.
type kit struct {
	header   http.Header
	buf      []byte
	exchange *exchange.Memory
}

// fill gives memory to a workspace that has none.
func (w *workspace) fill() {
	kits := &w.loop.kits
	n := len(*kits)
	if n == 0 {
		w.header = make(http.Header, 16)
		w.x.Fill(exchange.NewMemory())
		return
	}
	m := (*kits)[n-1]
	(*kits)[n-1] = kit{}
	*kits = (*kits)[:n-1]
	w.header, w.buf = m.header, m.buf
	w.x.Fill(m.exchange)
}

// wake ends a wait.
func (k *call) wake() {
	k.waits, k.leanAt = false, time.Time{}
	if k.workspace != nil && k.original != nil {
		return
	}
	if k.workspace == nil {
		k.unpark()
		k.x.Unpark(&k.Site.Site, k, k, k.parked)
		return
	}
	k.original = k.parseAgain()
	k.R = k.original
	k.fill()
}

// unpark gives a call that has none a workspace, with its request.
func (k *call) unpark() {
	k.getWorkspace()
	k.take(k.parseAgain())
	k.Site.Identify(k.R, &k.x.Who)
}

// parseAgain parses the request, as it was before.
func (k *call) parseAgain() *http.Request {
	r := k.loop.parser.parse(k.raw, k.ctx)
	r.RemoteAddr, r.ContentLength = k.conn.from, int64(len(k.body))
	return r
}
