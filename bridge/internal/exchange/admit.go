package exchange

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// identify finds out who asks, and whether requests of that client key are refused here.
func (x *Exchange) identify() error {
	x.setKey()
	addresses := x.site.Addresses
	if addresses == nil || x.Ask.Shared || x.Ask.ClientKey == 0 {
		return nil
	}
	tell, err := addresses.Admit(&x.Ask, x.driver.Now())
	if tell {
		limit := &x.site.Config.Client
		x.site.Log.Warn("a client key is used from more addresses than client.max_addresses",
			"client_key", admission.ClientKeyName(x.Ask.ShownKey()), "max_addresses", limit.MaxAddresses, "per", time.Duration(limit.Per), "excess", limit.Excess, "advice", "ask the account's owner, or raise client.max_addresses")
	}
	return err
}

func (x *Exchange) setKey() {
	x.client.SetKey(&x.Ask, &x.Who)
	x.Out.ClientKey = x.Ask.ShownKey()
}

// enter has the request wait for a worker.
func (x *Exchange) enter() Wait {
	x.Out.QueuedAt, x.Out.GrantedAt, x.Out.SentAt = x.driver.Now(), time.Time{}, time.Time{}
	if err := x.available(); err != nil {
		return x.notAdmitted(err)
	}
	x.app.Processes().Wanted() // now: the body may have taken long
	return Wait{For: Grant}
}

func (x *Exchange) notAdmitted(err error) Wait {
	x.Out.Queued += x.driver.Now().Sub(x.Out.QueuedAt)
	return x.fail(err)
}

// Granted reports that the gate has granted a worker, or why it has not.
//
// From now on the request waits for a connection: a short one for as long as queue.timeout
// has left for it since it began to wait, a long one, which may have waited for longer
// already, for all of queue.timeout.
func (x *Exchange) Granted(t admission.Ticket, err error) Wait {
	if err != nil {
		return x.notAdmitted(x.notServed(err))
	}
	x.held.ticket = t
	lane := t.Lane()
	x.Out.Lane, x.Out.LongPoll = lane.String(), x.Ask.Long
	patience, now, since := x.app.Patience(), x.driver.Now(), x.Out.QueuedAt
	x.Out.GrantedAt = now
	if lane == admission.Mixed || lane == admission.Long || now.Sub(since) > patience {
		since = now
	}
	x.deadline, x.pause = since.Add(patience), fullPause
	body := x.driver.Body()
	x.Demand = pool.Demand{
		Buffered: body.Inline,
		Body:     body.Length > 0,
		NoReplay: !x.repeatable() || body.Streamed, // it could not be sent again
	}
	return Wait{For: Connection, Until: x.deadline}
}

// Leased reports that the pool has leased a connection, or why it has not.
func (x *Exchange) Leased(l Lease, err error) Wait {
	x.sentAt = x.driver.Now()
	if x.attempts == 0 {
		x.Out.Queued += x.sentAt.Sub(x.Out.QueuedAt)
		x.Out.Leasing += x.sentAt.Sub(x.Out.GrantedAt)
	}
	if err != nil {
		return x.fail(x.notServed(err))
	}
	x.Out.SentAt = x.sentAt
	x.held.begin(l, x.app, &x.Ask, x.sentAt)
	limit := time.Duration(x.site.Config.Timeouts.Request)
	if x.asking {
		limit = x.app.Patience() // which is the authorizer's whole time
	}
	if limit > 0 && x.end.IsZero() {
		x.end = x.sentAt.Add(limit)
	}
	x.attempts++
	x.Out.Attempts++
	x.Out.Instance, x.Out.Reused = l.Addr(), !l.Fresh()
	if err := x.fatten(); err != nil {
		return x.attemptOver(err)
	}
	return Wait{For: Send}
}

// paramsError refuses a request whose meta-variables are too large together.
type paramsError struct{ size, limit int }

func (e *paramsError) Error() string {
	return fmt.Sprintf("the request's CGI variables take %d bytes, more than max_params allows (%d)", e.size, e.limit)
}
