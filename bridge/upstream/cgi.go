package upstream

import (
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// CGI is the part that the codecs of FastCGI, SCGI and uwsgi have in common: meta-variables
// in requests, and a CGI header in answers.
type CGI struct{}

// TakesHTTP returns false.
func (CGI) TakesHTTP() bool { return false }

// ParseHeader parses a CGI header.
func (CGI) ParseHeader(block []byte, h http.Header) (cgi.Response, error) {
	return cgi.ParseResponse(block, h)
}
