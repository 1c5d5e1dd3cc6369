//go:build linux

package loop

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// The methods of exchange.Client that View does not have.

func (k *call) Context() context.Context { return k.ctx }
func (k *call) BodyLength() int64        { return int64(len(k.body)) }
func (k *call) Authorizer() bool         { return false }
func (k *call) ErrorLog() io.Writer      { return nil }
func (k *call) PassesSendfile() bool     { return false }
func (k *call) Header() http.Header      { return k.header }

func (k *call) TakeHeader(said http.Header) http.Header {
	room := k.header
	if room == nil || len(room) > 0 {
		return nil
	}
	k.header = said
	return room
}

func (k *call) Redirect() {
	k.body = k.body[:0]
	k.Retarget(k.ctx)
}

// Gone implements exchange.Client. The connection is not kept for it.
func (k *call) Gone(target string) {
	k.Site.Gone(k.R.Clone(context.WithValue(context.Background(), http.LocalAddrContextKey, k.conn.local)), target)
}

// The methods of exchange.Driver.

func (k *call) Now() time.Time { return k.loop.now }

func (k *call) Watch() { k.watched = true }

func (k *call) Interruption() error {
	if k.gone == nil {
		return pool.ErrInterrupted
	}
	return k.gone
}

func (k *call) Quiesce() { k.watched = false }

func (k *call) Abandon(h *exchange.Hold) {
	l := k.lease
	k.lease = nil
	k.loop.abandon(k.Site, h, l)
}

func (k *call) Body() exchange.BodyState {
	return exchange.BodyState{Length: int64(len(k.sendable())), Inline: true}
}

// sendable is the body of what is sent: an authorizer is asked without one.
func (k *call) sendable() []byte {
	if k.x.Asking() {
		return nil
	}
	return k.body
}

// CloseFile is for a file that a loop never opens.
func (k *call) CloseFile() {}

var _ interface {
	exchange.Client
	exchange.Driver
	admission.Peer
	admission.Waiter
} = (*call)(nil)
