package cgiserver

import "github.com/sluice-proxy/sluice/bridge/fcgi"

// framer writes an answer in a protocol.
type framer interface {
	output(dst, p []byte) []byte
	stderr(dst, p []byte) []byte
	// end appends the end of a complete answer, or of a request that was aborted.
	end(dst []byte) []byte
	// overloaded appends a refusal, and reports whether the protocol has one.
	overloaded(dst []byte) ([]byte, bool)
}

// fastCGIFrame writes the answer to a request in FastCGI.
type fastCGIFrame struct{ id uint16 }

func (f fastCGIFrame) output(dst, p []byte) []byte {
	return fcgi.AppendStream(dst, fcgi.TypeStdout, f.id, p)
}

func (f fastCGIFrame) stderr(dst, p []byte) []byte {
	return fcgi.AppendStream(dst, fcgi.TypeStderr, f.id, p)
}

func (f fastCGIFrame) end(dst []byte) []byte {
	dst = fcgi.AppendStreamEnd(dst, fcgi.TypeStdout, f.id)
	return fcgi.AppendEndRequest(dst, f.id, fcgi.EndRequest{})
}

func (f fastCGIFrame) overloaded(dst []byte) ([]byte, bool) {
	return fcgi.AppendEndRequest(dst, f.id, fcgi.EndRequest{ProtocolStatus: fcgi.StatusOverloaded}), true
}

// rawFrame writes an answer in SCGI: all that is sent is the answer.
type rawFrame struct{}

func (rawFrame) output(dst, p []byte) []byte          { return append(dst, p...) }
func (rawFrame) stderr(dst, _ []byte) []byte          { return dst }
func (rawFrame) end(dst []byte) []byte                { return dst }
func (rawFrame) overloaded(dst []byte) ([]byte, bool) { return dst, false }
