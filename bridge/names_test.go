package bridge

import (
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// The names of lower floors that the tests of a whole Handler use.
const (
	errLimit       = string(exchange.ErrorLimit)
	errRefused     = string(exchange.ErrorRefused)
	errUnavailable = string(exchange.ErrorUnavailable)
	errDialTimeout = string(exchange.ErrorDialTimeout)
	errIncomplete  = string(exchange.ErrorIncomplete)
	errTimeout     = string(exchange.ErrorTimeout)
	errProtocol    = string(exchange.ErrorProtocol)
	errHeaderSize  = string(exchange.ErrorHeaderSize)
	errRequest     = string(exchange.ErrorRequest)
	errDenied      = string(exchange.ErrorDenied)
	errInternal    = string(exchange.ErrorInternal)

	refusedDrain  = string(exchange.RefusedDrain)
	refusedLogins = string(exchange.RefusedLogins)

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

// The types and values of package config, which the tests write often.
type (
	QueueConfig        = config.Queue
	AdmissionConfig    = config.Admission
	SpoolConfig        = config.Spool
	SpawnConfig        = config.Spawn
	SpawnBudget        = config.Budget
	ClientConfig       = config.Client
	TimeoutsConfig     = config.RequestTimeouts
	ConnectionTimeouts = config.ConnectionTimeouts
	PollAnswer         = config.PollAnswer

	Protocol = config.Protocol
	Switch   = config.Switch
	Excess   = config.Excess
	Duration = config.Duration
	Umask    = config.Umask
	Signal   = config.Signal
)

// The values of a Protocol, a Switch and an Excess.
const (
	FastCGI, SCGI, UWSGI, HTTP = config.FastCGI, config.SCGI, config.UWSGI, config.HTTP

	On, Off, Auto = config.On, config.Off, config.Auto
	Refuse, Evict = config.Refuse, config.Evict
)
