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

// OneRequest is what the protocols of the CGI family have in common that carry one request on a
// connection: the body follows the variables as it is, and the answer ends with the connection.
// Their codecs embed it.
type OneRequest struct{ CGI }

// KeepAlive returns false.
func (OneRequest) KeepAlive() bool { return false }

// AppendBody appends the part as it is.
func (OneRequest) AppendBody(dst []byte, _ uint16, part []byte, _ bool) []byte {
	return append(dst, part...)
}

// BodyOverhead returns 0, 0.
func (OneRequest) BodyOverhead() (before, after int) { return 0, 0 }

// NewDecoder returns a decoder for which every byte is part of the answer.
func (OneRequest) NewDecoder() Decoder { return new(UntilEOF) }
