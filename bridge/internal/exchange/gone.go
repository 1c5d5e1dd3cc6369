package exchange

import "strings"

// The application may name where it is told that a held client is gone: Grip-Link with rel=gone. That is
// a request of this program's own, which begins when the client's is over, whatever has ended it. Who
// sends it, and when, is the site's affair; here is only what it is about.

// nameGone takes what an order says of that. For a stream it is what its beginning has said, whatever it
// goes on with. A client that waits for one answer may be held several times; each time it is another
// one for the application.
func (x *Exchange) nameGone(o *order) {
	if o.over || x.continues() {
		return
	}
	if o.Gone != x.gone {
		x.tellGone()
	}
	x.gone = strings.Clone(o.Gone) // which is a part of a header
}

// tellGone has the application told that the client is gone which it has named a target for, if it has.
func (x *Exchange) tellGone() {
	if x.gone != "" {
		x.client.Gone(x.gone)
		x.gone = ""
	}
}

// Over says that the exchange has ended, and all of the answer was sent that will be.
func (x *Exchange) Over() { x.tellGone() }

// Tell begins an exchange for a request of this program's own, by which the application is told that a
// client is gone. Who is set. It goes the way of a client's request, but for what the site says only to
// clients: that it takes no more of them. Of the answer, only the status is of interest. Nobody waits for
// it, so it must not take the last workers.
func (x *Exchange) Tell(site *Site, client Client, driver Driver) Wait {
	x.site, x.client, x.driver, x.app, x.tells = site, client, driver, site.App, true
	x.Out.Client, x.Out.User, x.Out.Gone = x.Who.Addr, x.Who.User, true
	if x.Who.Refused != nil {
		return x.fail(x.Who.Refused)
	}
	x.setKey()
	x.classify()
	if x.guarded() {
		return x.authorize()
	}
	x.Ask.Long = true
	return x.proceed()
}

// told ends an exchange that Tell has begun, with the status of the answer that has come.
func (x *Exchange) told() Wait {
	x.Out.Status = x.resp.Status
	return Wait{}
}
