package probe

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// values sends GET_VALUES, one name and one connection at a time. If the first is not answered,
// the others are not sent: uWSGI answers none, and waits on each.
func (p *prober) values(r *Report) {
	r.Values = make(map[string]Fact[string])
	for _, name := range valueNames {
		r.Values[name], r.AfterValues = p.value(name)
		if !r.Values[name].Known {
			break
		}
	}
	for _, name := range valueNames {
		if _, asked := r.Values[name]; !asked {
			r.Values[name] = unknown[string]("not asked, after " + valueNames[0] + " was not answered")
		}
	}
}

// value requests one name, and tests whether a request may follow on the connection.
func (p *prober) value(name string) (value Fact[string], usable Fact[bool]) {
	c, err := p.dial()
	if err != nil {
		return unknown[string](p.reason(err)), unknown[bool](p.reason(err))
	}
	defer p.hangUp(c)
	c.send(fcgi.AppendGetValues(nil, name), valuesTimeout)
	list, err := c.values(valuesTimeout)
	if err != nil {
		return unknown[string](p.reason(err)), unknown[bool]("GET_VALUES was not answered")
	}
	p.request(c, false)
	_, err = c.reply(p.timeout)
	return known(find(list, name)), measured(p, known(err == nil))
}

// values reads the answer to GET_VALUES.
func (c *conn) values(timeout time.Duration) ([]fcgi.Value, error) {
	for deadline := time.Now().Add(timeout); ; {
		rec, err := c.record(deadline)
		if err != nil {
			return nil, err
		}
		if rec.Type == fcgi.TypeGetValuesResult {
			return fcgi.DecodeGetValuesResult(rec.Content)
		}
	}
}

// find returns the value of name, "" if there is none.
func find(list []fcgi.Value, name string) string {
	for _, v := range list {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// claimsMultiplex reports whether the application says that it multiplexes.
func (r *Report) claimsMultiplex() bool { return is(r.Values[fcgi.MpxsConns], "1") }

// multiplexClaim says what the application says about multiplexing.
func (r *Report) multiplexClaim() string {
	v := r.Values[fcgi.MpxsConns]
	switch {
	case !v.Known:
		return "it does not answer GET_VALUES"
	case v.Value == "":
		return fmt.Sprintf("it answers GET_VALUES without %s", fcgi.MpxsConns)
	}
	return fmt.Sprintf("%s is %s", fcgi.MpxsConns, v.Value)
}
