package probe

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// values asks GET_VALUES, one name and one connection at a time. Who does not
// answer the first is not asked again: uWSGI answers none, and waits on each.
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

// value asks for one name, and tries whether a request may follow.
func (p *prober) value(name string) (value Fact[string], usable Fact[bool]) {
	c, err := p.dial()
	if err != nil {
		return unknown[string](p.why(err)), unknown[bool](p.why(err))
	}
	defer p.hangUp(c)
	c.send(fcgi.AppendGetValues(nil, name), valuesPatience)
	list, err := c.values(valuesPatience)
	if err != nil {
		return unknown[string](p.why(err)), unknown[bool]("GET_VALUES was not answered")
	}
	p.request(c, false)
	_, err = c.reply(p.patience)
	return known(find(list, name)), measured(p, known(err == nil))
}

// values reads up to the answer to GET_VALUES.
func (c *conn) values(patience time.Duration) ([]fcgi.Value, error) {
	for until := time.Now().Add(patience); ; {
		rec, err := c.record(until)
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

// multiplexes reports whether the application says so of itself.
func (r *Report) multiplexes() bool { return is(r.Values[fcgi.MpxsConns], "1") }

// saysOfMultiplexing is what it said, for a sentence.
func (r *Report) saysOfMultiplexing() string {
	v := r.Values[fcgi.MpxsConns]
	switch {
	case !v.Known:
		return "it does not answer GET_VALUES"
	case v.Value == "":
		return fmt.Sprintf("it answers GET_VALUES without %s", fcgi.MpxsConns)
	}
	return fmt.Sprintf("%s is %s", fcgi.MpxsConns, v.Value)
}
