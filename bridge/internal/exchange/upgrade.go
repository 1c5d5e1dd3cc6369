package exchange

import (
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// An upgraded connection carries another protocol, in both directions, once the application has
// answered with 101 (RFC 9110, section 7.8). The driver passes the bytes on. It holds a worker
// for as long as it lasts, and counts as a long request.

// isUpgrade reports whether the header at hand is the answer to an upgrade.
func (x *Exchange) isUpgrade() bool {
	return !x.asking && x.resp.Status == http.StatusSwitchingProtocols && x.Request.HTTP.Upgrade != ""
}

// upgrade has the client's connection go on with the other protocol. What the application has
// sent of that is in First.
func (x *Exchange) upgrade() Wait {
	x.Out.FirstByte = time.Since(x.sentAt)
	x.held.answered()
	x.held.ticket.Streaming()
	x.dropSendfile()
	x.merge()
	h := x.client.Header()
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{x.Request.HTTP.Upgrade}
	x.Out.Status, x.Reply = x.resp.Status, Answer{Status: x.resp.Status}
	x.First = x.answer[x.begin:]
	return Wait{For: Upgrade}
}

// UpgradeUntil is how long to wait for the application on an upgraded connection on which
// something was last passed on at a time.
func (x *Exchange) UpgradeUntil(active time.Time) time.Time {
	return x.within(active.Add(time.Duration(x.site.Config.Timeouts.Upgraded)))
}

// UpgradeEvent takes what the application has sent on an upgraded connection. It returns the
// bytes for the client, and whether the connection has ended.
func (x *Exchange) UpgradeEvent(ev upstream.Event, err error) (data []byte, over bool, _ error) {
	x.held.note(ev, err)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, true, nil
	case err != nil:
		return nil, true, err
	case ev.Kind == upstream.End:
		return nil, true, nil
	}
	return ev.Data, false, nil
}

// Upgraded reports that both sides of an upgraded connection are closed, or why the client
// could not be switched to the other protocol.
func (x *Exchange) Upgraded(err error) Wait {
	x.quiesce()
	x.stderr.End()
	x.held.release() // which closes the connection to the application: so it learns of the end
	x.First = nil
	x.Out.Err = err
	return Wait{}
}
