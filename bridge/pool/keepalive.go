package pool

import (
	"log/slog"
	"time"
)

// KeepAlive says whether connections carry more than one request.
type KeepAlive uint8

const (
	// KeepOn: connections are kept for further requests.
	KeepOn KeepAlive = iota
	// KeepOff: each connection carries one request.
	KeepOff
	// KeepAuto: connections are kept if the application was seen to take that. Programs
	// written with libfcgi may not: FCGX_Accept_r reads a kept connection instead of
	// accepting others. If threads hold a lock around it, or one thread accepts for all, an
	// unused connection stops the whole program, and a request on a kept one may never be
	// read.
	KeepAuto
)

const (
	// trialTimeout is how long the application may take to reply on a new connection beside
	// a kept one, or to close others so that there is room for that one, before the kept one is
	// closed. A request waits for it.
	trialTimeout = 200 * time.Millisecond
	// refusedFor is how long connections are not kept at first. On a busy machine the
	// refusal may be a mistake, and to find out again costs little. Each time it is twice
	// as long, up to refusedMax.
	refusedFor = 2 * time.Second
	refusedMax = 10 * time.Minute
)

// keepState is what is known of whether an instance takes kept connections.
//
//	unknown -> querying: a request was answered, and a query is sent on its connection
//	querying -> taken: the query was read, and the reply is not that of libfcgi
//	querying -> trial: the reply is that of libfcgi, whose programs are of both kinds
//	trial -> taken: a query on another connection was answered meanwhile
//	querying, trial -> unknown: the connection ended, or its room was needed
//	querying, trial, taken -> refused: kept connections are not read, or stop others
//	taken -> unknown: it may be another application now
//	refused -> unknown: time has passed, or it may be another application
//
// Connections are kept in state taken only. Those that were kept before it became unknown
// are used up. In a trial there is one, which no request gets.
type keepState uint8

const (
	keepUnknown keepState = iota
	keepQuerying
	keepTrial
	keepTaken
	keepRefused
)

func (s keepState) String() string {
	return [...]string{"unknown", "unknown", "unknown", "on", "off"}[s]
}

// keepTracker is the keepState of an instance, and what it depends on. Only KeepAuto uses it.
type keepTracker struct {
	state     keepState
	trialConn *conn     // in a trial: the connection that is kept, idle
	trialDial *dial     // in a trial: the dial of another connection, on which a query is sent
	until     time.Time // in a trial: when the reply must have come, or room for the dial; zero: neither is waited for
	since     time.Time // in taken: when it began
	why       string    // in refused: the reason
	retryAt   time.Time // in refused: when it ends
	pause     time.Duration
	logged    keepState // what the log was told last: taken or refused
}

// setKeepState is the one place where the keepState of an instance changes.
func (p *Pool) setKeepState(in *instance, to keepState, why string) {
	k := &in.keep
	if k.state == keepTaken && time.Since(k.since) > refusedMax {
		k.pause = 0 // the refusals before are long ago
	}
	k.state, k.trialConn, k.trialDial, k.until, k.why = to, nil, nil, time.Time{}, why
	switch to {
	case keepTaken:
		k.since = time.Now()
		if k.logged == keepRefused {
			p.log(in, slog.LevelInfo, "connections to the application are kept")
		}
		k.logged = keepTaken
	case keepRefused:
		k.pause = min(max(2*k.pause, refusedFor), refusedMax)
		k.retryAt = time.Now().Add(k.pause)
		if k.logged != keepRefused {
			p.log(in, slog.LevelInfo, "connections to the application are not kept", slog.String("why", why))
		}
		k.logged = keepRefused
		p.schedule(time.Now()) // maintainKeep closes those that are kept
	}
}

// keeps reports whether a connection that was used is kept.
func (p *Pool) keeps(in *instance) bool {
	switch p.config().KeepAlive {
	case KeepOn:
		return true
	case KeepAuto:
		return in.keep.state == keepTaken
	}
	return false
}

// noKeepAlive reports whether a connection is for one request only, and the application is
// told so.
func (p *Pool) noKeepAlive(in *instance) bool {
	switch p.config().KeepAlive {
	case KeepOn:
		return false
	case KeepAuto:
		if in.keep.state == keepRefused && !time.Now().Before(in.keep.retryAt) {
			p.setKeepState(in, keepUnknown, "")
		}
		return in.keep.state == keepRefused
	}
	return true
}

// resetKeep is called when the instance may be another application now, or certainly is
// (gone). Without certainty, a refusal lasts as long as it would have.
func (p *Pool) resetKeep(in *instance, gone bool) {
	switch {
	case gone:
		in.keep.pause = 0
		p.setKeepState(in, keepUnknown, "")
	case in.keep.state == keepTaken:
		p.setKeepState(in, keepUnknown, "")
	}
}

// startTrial notes that a connection is being dialled, and reports whether it decides a
// trial. Then a query is sent on it: an application that reads a kept connection instead of
// accepting others replies only when that is closed.
func (p *Pool) startTrial(d *dial) bool {
	k := &d.conn.inst.keep
	if k.state != keepTrial || k.trialDial != nil {
		return false
	}
	k.trialDial, k.until = d, time.Now().Add(trialTimeout)
	p.schedule(k.until)
	return true
}

// endTrial notes the reply on a connection that was dialled.
func (p *Pool) endTrial(d *dial, r reply) {
	in := d.conn.inst
	k := &in.keep
	switch {
	case k.trialDial != d: // it decides nothing: it was too late, or the kept connection is gone
	case r.proof() && k.trialConn.usable():
		p.setKeepState(in, keepTaken, "")
	default:
		k.trialDial, k.until = nil, time.Time{} // nothing is known: the next dial decides
	}
}

// limitTrials is called when a request waits for the room of connections that are being closed. Of
// an application in a trial they may be closed only after the connection that is kept: its threads
// that would close them may be stopped.
func (p *Pool) limitTrials(now time.Time) {
	for _, in := range p.instances {
		if k := &in.keep; k.state == keepTrial && k.until.IsZero() && in.count[closing] > 0 {
			k.until = now.Add(trialTimeout)
			p.schedule(k.until)
		}
	}
}

// maintainKeep ends a trial in which no reply or no room came in time, and closes connections that
// were kept before a refusal.
func (p *Pool) maintainKeep(in *instance, now time.Time) {
	k := &in.keep
	switch {
	case k.state == keepTrial && k.until.IsZero():
	case k.state == keepTrial && now.Before(k.until):
		p.schedule(k.until)
	case k.trialDial != nil:
		p.stopTrial(in, "a new connection was not answered while one was kept")
	case k.state == keepTrial && in.count[closing] > 0 && !in.room():
		p.stopTrial(in, "no room for a new connection: the others were not closed while one was kept")
	case k.state == keepTrial:
		k.until = time.Time{} // there is room: the next dial decides
	case k.state == keepRefused && p.config().KeepAlive == KeepAuto:
		p.evictExclusive(in)
	}
}

// stopTrial ends a trial that kept connections have failed.
func (p *Pool) stopTrial(in *instance, why string) {
	p.evictExclusive(in)
	p.setKeepState(in, keepRefused, why)
}

// stopKeeping closes the idle connections, because they stop new ones, and refuses to keep
// others.
func (p *Pool) stopKeeping(in *instance, why string) {
	in.counters.ShedIdle += uint64(p.evictExclusive(in))
	p.setKeepState(in, keepRefused, why)
}
