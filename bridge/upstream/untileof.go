package upstream

// UntilEOF is the Decoder of protocols with one request on a connection, where the answer has
// no format of its own: every byte is output, and the end of the connection completes the
// answer. Whether it is shorter than its header announces is for the reader of the header to
// see. A connection that is reset does not complete an answer: EOF is not called then.
type UntilEOF struct {
	id    uint16
	begun bool // a byte of the answer has come
}

// Begin announces the request.
func (d *UntilEOF) Begin(id uint16, _ *Request) { d.id, d.begun = id, false }

// Next returns all of in as output.
func (d *UntilEOF) Next(in []byte) (ev Event, rest []byte, err error) {
	if len(in) == 0 {
		return ev, in, nil
	}
	d.begun = true
	return Event{Kind: Output, ID: d.id, Data: in}, nil, nil
}

// EOF returns the end of the answer, unless the answer has not begun.
func (d *UntilEOF) EOF() (ev Event) {
	if d.begun {
		d.begun = false
		ev = Event{Kind: End, ID: d.id, Close: true}
	}
	return ev
}

// Clean reports whether no answer has begun without having ended.
func (d *UntilEOF) Clean() bool { return !d.begun }
