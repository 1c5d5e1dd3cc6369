package pool

import "github.com/sluice-proxy/sluice/bridge/upstream"

// readBuffer is the size of a connection's read buffer, in bytes. There are at
// most Workers of them per instance.
const readBuffer = 32 << 10

// input holds what was read from a connection and is not decoded yet: buf[r:w].
type input struct {
	decoder upstream.Decoder
	buf     []byte
	r, w    int
	total   int64 // bytes that were read, ever
}

// take decodes the next event. Its Kind is 0 if more must be read first.
func (in *input) take() (upstream.Event, error) {
	ev, rest, err := in.decoder.Next(in.buf[in.r:in.w])
	in.r = in.w - len(rest)
	return ev, err
}

// space returns where the next read goes. It is not empty after take has returned no event.
func (in *input) space() []byte {
	switch {
	case in.buf == nil:
		in.buf = make([]byte, readBuffer)
	case in.r > 0:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	return in.buf[in.w:]
}

func (in *input) filled(n int) {
	in.w += n
	in.total += int64(n)
}

// clean reports whether all that was read is decoded, and ended with an event.
func (in *input) clean() bool { return in.r == in.w && in.decoder.Clean() }
