package bridge

import (
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// The names of lower floors that the tests of a whole Handler use.
const (
	errLimit       = exchange.ErrorLimit
	errRefused     = exchange.ErrorRefused
	errUnavailable = exchange.ErrorUnavailable
	errDialTimeout = exchange.ErrorDialTimeout
	errIncomplete  = exchange.ErrorIncomplete
	errTimeout     = exchange.ErrorTimeout
	errProtocol    = exchange.ErrorProtocol
	errHeaderSize  = exchange.ErrorHeaderSize
	errRequest     = exchange.ErrorRequest
	errDenied      = exchange.ErrorDenied
	errInternal    = exchange.ErrorInternal

	refusedDrain  = exchange.RefusedDrain
	refusedLogins = exchange.RefusedLogins

	gatherFor    = exchange.GatherFor
	watchAfter   = exchange.WatchAfter
	maxRedirects = exchange.MaxRedirects
	noticesMax   = exchange.NoticesMax

	refusalsEvery = app.RefusalsEvery
	stallLines    = app.StallLines
	stallPath     = app.StallPath

	sendChunk    = blocking.SendChunk
	discardFor   = blocking.DiscardFor
	discardPause = blocking.DiscardPause
)
