package exchange

import (
	"log/slog"
	"sync"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
	"github.com/sluice-proxy/sluice/bridge/internal/compress"
)

// Site is what the exchanges of one site have in common.
type Site struct {
	Config *config.Site // complete
	Log    *slog.Logger
	App    Application
	// Authorizer is asked before App; nil: there is none.
	Authorizer  Authorizer
	Addresses   *addresslimit.Table // nil: there is no limit
	Compression *compress.Site      // nil: no answer is compressed
	Holds       *Holds              // nil: the application may not have clients held
	// Open returns why no request is taken any more, or nil.
	Open func() error

	headers headerNotices
	unsent  unsentNotices
	cuts    cutNotices
	answers sync.Pool // of *[]byte: what exchanges have lent
}

// lendAnswer lets others have the memory of an answer's beginning, which was sent: the rest
// may take long.
func (x *Exchange) lendAnswer() {
	a := x.answer[:0]
	x.answer = nil
	if cap(a) <= keepMax {
		x.site.answers.Put(&a)
	}
}

// borrowAnswer is for an exchange that has lent its own.
func (x *Exchange) borrowAnswer() {
	if x.answer != nil {
		return
	}
	if a, ok := x.site.answers.Get().(*[]byte); ok {
		x.answer = *a
	}
}
