package exchange

import (
	"net/http"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/internal/compress"
)

// newEncoder returns what compresses the answer whose header is complete, nil if nothing is to.
func (x *Exchange) newEncoder(size int64, whole bool) *compress.Encoder {
	asked := x.client.Negotiates()
	if x.site.Compression == nil || asked == nil {
		return nil
	}
	head := x.client.Method() == http.MethodHead
	if head {
		size = x.resp.ContentLength
	}
	return x.site.Compression.Begin(compress.Answer{
		Asked: asked, Head: head, User: x.Who.User, Header: x.client.Header(), Status: x.resp.Status, Size: size,
		Delimited: whole || !x.client.HTTP10(),
	})
}

// encodeReply compresses an answer that is here whole.
func (x *Exchange) encodeReply() {
	e := x.newEncoder(int64(len(x.Reply.Body)), true)
	if e == nil {
		return
	}
	defer e.Release()
	x.encoded = append(x.encoded[:0], e.Write(x.Reply.Body)...)
	x.encoded = append(x.encoded, e.End()...)
	x.Reply.Body = x.encoded
	x.client.Header()["Content-Length"] = []string{strconv.Itoa(len(x.encoded))}
}

// Encode returns what the client is sent of p, a piece of the content that is relayed: p, or what is
// ready in compressed form. It is valid until the next call.
func (x *Exchange) Encode(p []byte) []byte {
	if x.encoder == nil {
		return p
	}
	return x.encoder.Write(p)
}

// EncodeFlush returns what was kept back of the content, for a client that is to have all there is.
func (x *Exchange) EncodeFlush() []byte {
	if x.encoder == nil {
		return nil
	}
	return x.encoder.Flush()
}

// EncodeEnd returns what ends the content. It is for a content that is complete.
func (x *Exchange) EncodeEnd() []byte {
	if x.encoder == nil {
		return nil
	}
	return x.encoder.End()
}

// releaseEncoder gives the encoder back. An answer that is not complete has no end.
func (x *Exchange) releaseEncoder() {
	if x.encoder != nil {
		x.encoder.Release()
		x.encoder = nil
	}
}
