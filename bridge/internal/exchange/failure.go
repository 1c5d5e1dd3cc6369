package exchange

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/hold"
	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// The Proxy-Status error types in use (RFC 9209, section 2.3).
const (
	ErrorLimit       ErrorType = "connection_limit_reached"
	ErrorRefused     ErrorType = "connection_refused"
	ErrorUnavailable ErrorType = "destination_unavailable"
	ErrorDialTimeout ErrorType = "connection_timeout"
	ErrorIncomplete  ErrorType = "http_response_incomplete"
	ErrorTimeout     ErrorType = "http_response_timeout"
	ErrorProtocol    ErrorType = "http_protocol_error"
	ErrorHeaderSize  ErrorType = "http_response_header_section_size"
	ErrorRequest     ErrorType = "http_request_error"
	ErrorDenied      ErrorType = "http_request_denied"
	ErrorInternal    ErrorType = "proxy_internal_error"
)

// appError is an answer that could be read and cannot be used.
type appError struct {
	kind ErrorType
	err  error
}

func (e *appError) Error() string { return e.err.Error() }
func (e *appError) Unwrap() error { return e.err }

// ClientError is a failure to read from or write to the client.
type ClientError struct {
	Err error
	// Status is what the front has answered, or says that the client is to be answered: 413
	// or 504. 0: it follows from Err.
	Status int
}

func (e *ClientError) Error() string { return "client: " + e.Err.Error() }
func (e *ClientError) Unwrap() error { return e.Err }

// fullError reports an application that turned the request away unread until the
// time to wait for it was over.
type fullError struct{ err error }

func (e *fullError) Error() string { return "the application has no room: " + e.err.Error() }
func (e *fullError) Unwrap() error { return e.err }

// failure is how an error looks from outside.
type failure struct {
	status int
	kind   ErrorType
	text   string // for the client; names nothing of the inside
}

// classifyError maps errors to what docs/errors.md says of them.
func classifyError(err error) failure {
	var (
		refusal *admission.Refusal
		shared  *addresslimit.Error
		down    *downError
		bad     *quarantineError
		full    *fullError
		app     *appError
		file    *fileError
		client  *ClientError
		request *cgi.RequestError
		dial    *pool.UnavailableError
		conn    *pool.Error
		params  *paramsError
		wire    *upstream.RequestError
		holds   *hold.LimitError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return failure{StatusClientClosed, ErrorRequest, ""}
	case errors.As(err, &full) && errors.As(err, &conn) && !conn.Serving:
		return failure{http.StatusBadGateway, ErrorIncomplete, "The application closes every connection unanswered."}
	case errors.As(err, &shared):
		return failure{http.StatusTooManyRequests, ErrorDenied, "This account is in use in too many places."}
	case errors.As(err, &down), errors.As(err, &refusal) && refusal.Reason == admission.Down, errors.Is(err, pool.ErrNotAccepted):
		return failure{http.StatusServiceUnavailable, ErrorUnavailable, "The application cannot be started at the moment."}
	case errors.As(err, &bad):
		return failure{http.StatusServiceUnavailable, ErrorDenied, "This is in quarantine: the application ended several times while it worked on requests like this one. Please try again later."}
	case errors.As(err, &refusal), errors.As(err, &full), errors.Is(err, pool.ErrWaitTimeout):
		return failure{http.StatusServiceUnavailable, ErrorLimit, "The application is busy. Please try again in a moment."}
	case errors.As(err, &holds):
		return failure{http.StatusServiceUnavailable, ErrorLimit, "Too many are waiting here. Please try again in a moment."}
	case errors.Is(err, admission.ErrClosed), errors.Is(err, pool.ErrClosed):
		return shuttingDown
	case errors.Is(err, spool.ErrTooLarge):
		return failure{http.StatusRequestEntityTooLarge, ErrorRequest, "The request's body is larger than this server takes."}
	case noRoom(err):
		return failure{http.StatusServiceUnavailable, ErrorInternal, "This server has no room for the request's body now. Please try again in a moment."}
	case errors.As(err, &params), errors.As(err, &wire):
		return failure{http.StatusRequestHeaderFieldsTooLarge, ErrorRequest, "The request's header is larger than the application takes."}
	case errors.As(err, &request):
		return classifyRequest(request)
	case errors.As(err, &client):
		return classifyClient(client)
	case errors.As(err, &dial):
		return classifyDial(dial)
	case errors.As(err, &file):
		return classifyFile(file)
	case errors.As(err, &app):
		return failure{http.StatusBadGateway, app.kind, "The application's answer could not be used."}
	case errors.As(err, &conn):
		return classifyConn(conn)
	}
	return failure{http.StatusInternalServerError, ErrorInternal, "Something went wrong in this server."}
}

// noRoom reports whether the spool had no room, or none any more. It tells the log how
// often.
func noRoom(err error) bool {
	return errors.Is(err, spool.ErrDiskFull) || errors.Is(err, spool.ErrDisk) || errors.Is(err, spool.ErrCut)
}

// classifyRequest tells the client less than the log: why a path is out of reach
// is the operator's to know.
func classifyRequest(err *cgi.RequestError) failure {
	if err.Location != "" {
		return failure{err.Status, "", "It is at " + err.Location}
	}
	switch err.Status {
	case http.StatusUnauthorized:
		return failure{err.Status, ErrorDenied, "This needs a user name and a password."}
	case http.StatusTooManyRequests:
		return failure{err.Status, ErrorDenied, "Too many passwords were wrong. Please try again later."}
	case http.StatusServiceUnavailable:
		return failure{err.Status, ErrorLimit, "Too many are logging in. Please try again in a moment."}
	case http.StatusNotFound:
		return failure{err.Status, ErrorRequest, "There is nothing here."}
	case http.StatusForbidden:
		return failure{err.Status, ErrorRequest, "This may not be served."}
	case http.StatusMethodNotAllowed:
		return failure{err.Status, ErrorRequest, "This method is not for this server."}
	}
	return failure{err.Status, ErrorRequest, "The request could not be understood."}
}

func classifyClient(err *ClientError) failure {
	var timeout net.Error
	switch {
	case err.Status == http.StatusGatewayTimeout:
		return outOfTime
	case err.Status == http.StatusRequestEntityTooLarge:
		return failure{err.Status, ErrorRequest, "The request's body is larger than this server takes."}
	case errors.As(err, &timeout) && timeout.Timeout():
		return failure{http.StatusRequestTimeout, ErrorRequest, "The request's body did not arrive in time."}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failure{StatusClientClosed, ErrorRequest, ""}
	}
	return failure{http.StatusBadRequest, ErrorRequest, "The request's body could not be read."}
}

func classifyDial(err *pool.UnavailableError) failure {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure{http.StatusBadGateway, ErrorRefused, "The application is not running."}
	case errors.Is(err, fs.ErrNotExist):
		return failure{http.StatusBadGateway, ErrorUnavailable, "The application is not running."}
	case errors.As(err, &timeout) && timeout.Timeout():
		return failure{http.StatusGatewayTimeout, ErrorDialTimeout, "The application could not be reached in time."}
	}
	return failure{http.StatusBadGateway, ErrorUnavailable, "The application could not be reached."}
}

func classifyConn(err *pool.Error) failure {
	var format *upstream.FormatError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, pool.ErrSendTimeout):
		return failure{http.StatusGatewayTimeout, ErrorTimeout, "The application did not answer in time."}
	case errors.Is(err, pool.ErrLagging):
		return failure{http.StatusServiceUnavailable, ErrorInternal, "This server has no room for the answer now. Please try again in a moment."}
	case errors.As(err, &format), errors.Is(err, upstream.ErrUnknownRole), errors.Is(err, upstream.ErrCantMultiplex):
		return failure{http.StatusBadGateway, ErrorProtocol, "The application's answer could not be used."}
	}
	return failure{http.StatusBadGateway, ErrorIncomplete, "The application's answer ended too early."}
}

// outOfTime is a request whose context has exceeded its deadline, which an embedding server
// has set. Its client is still there.
var outOfTime = failure{http.StatusGatewayTimeout, ErrorTimeout, "The request was not answered in time."}

// shuttingDown is a request that the end of the server has ended.
var shuttingDown = failure{http.StatusServiceUnavailable, ErrorUnavailable, "The service is being restarted. Please try again in a moment."}

// failureOf is how the error that ended the exchange looks from outside, with regard to the
// state of the request's context.
func (x *Exchange) failureOf(err error) failure {
	f, ctx := classifyError(err), x.context()
	switch {
	case x.isShutDown(err):
		return shuttingDown
	case x.deaf(f):
		return f
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		if errors.Is(err, context.Cause(ctx)) || errors.Is(err, pool.ErrInterrupted) {
			return outOfTime
		}
	case ctx.Err() != nil:
		f.status = StatusClientClosed
	}
	return f
}

// fail ends the exchange with an error: with a status if the client has not been sent anything,
// else by cutting its connection.
func (x *Exchange) fail(err error) Wait {
	x.held.release()
	x.renewed()
	f, err := x.notAuthorized(x.failureOf(err), err)
	x.Out.Err, x.Out.ErrorType = err, f.kind
	refused := f == shuttingDown || x.noteRefusal(err)
	if f == shuttingDown && x.Out.Status == 0 {
		x.Out.Refused = RefusedDrain
	}
	next := Wait{}
	switch {
	case x.Out.Status != 0:
		x.Out.Aborted = true
	case f.status == StatusClientClosed:
		x.Out.Status, x.Out.Aborted = StatusClientClosed, true
	default:
		x.setError(f)
		next.For = Reply
	}
	level := x.levelOf(err, f, refused)
	x.site.Log.Log(context.Background(), level, "request failed",
		"method", x.client.Method(), "path", x.client.Path(), "status", x.Out.Status, "aborted", x.Out.Aborted,
		"error_type", f.kind, "error", err.Error(), "instance", x.Out.Instance, "attempts", x.Out.Attempts,
		"advice", adviceFor(f))
	return next
}

// levelOf is how important a failure is for the log.
func (x *Exchange) levelOf(err error, f failure, refused bool) slog.Level {
	var (
		dial *pool.UnavailableError
		file *fileError
		cut  *cutError
	)
	switch {
	case errors.As(err, &cut):
		return slog.LevelDebug // the log was told, once
	case errors.As(err, &file): // the application's mistake, and not the client's
		return slog.LevelError
	case errors.As(err, &dial):
		return slog.LevelDebug // the pool has said so, once; the access log has each
	case refused, noRoom(err):
		return slog.LevelDebug // the log is told how many there are, or that this is the end
	case f.status == http.StatusServiceUnavailable, f.status == http.StatusForbidden:
		return slog.LevelWarn
	case f.status < 500:
		return slog.LevelDebug
	}
	return slog.LevelError
}

// deaf reports whether the end of the request's context does not mean that the client has
// left: a front may end it as well when the client was too slow with its body, or when the
// driver stopped reading that.
func (x *Exchange) deaf(f failure) bool {
	return f.status == http.StatusRequestTimeout || x.driver.Body().Cut
}

// setError makes the reply that tells the client of a failure.
func (x *Exchange) setError(f failure) {
	h := x.client.Header()
	if x.adopted {
		clear(h) // what the application had begun to say
	}
	if f.kind != "" {
		status := "sluice; error=" + string(f.kind)
		if x.asking {
			status += `; details="authorizer"`
		}
		h.Set("Proxy-Status", status)
	}
	retry := retryAfter(x.Out.Err, f.status)
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(retry))
	}
	if request, ok := errors.AsType[*cgi.RequestError](x.Out.Err); ok {
		if request.Location != "" {
			h.Set("Location", request.Location)
		}
		if request.Challenge != "" {
			h.Set("WWW-Authenticate", request.Challenge)
		}
	}
	if f.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS") // RFC 9110, section 15.5.6; which of them is the application's to say
	}
	p := x.page(f, retry)
	x.Out.Status, x.failed = p.status, true
	x.Reply = Answer{Status: p.status, ContentType: p.contentType, own: p.own}
	if !p.own {
		x.Reply.Err = x.Out.Err
	}
	if !x.bodyless(p.status) {
		x.Reply.Body = []byte(p.body)
	}
	x.Reply.length = len(p.body)
}

// classifyFile is how a file that cannot be sent looks from outside.
func classifyFile(err *fileError) failure {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		return failure{http.StatusNotFound, ErrorProtocol, "There is nothing here."}
	case errors.Is(err, fs.ErrPermission):
		return failure{http.StatusForbidden, ErrorProtocol, "This may not be served."}
	}
	return failure{http.StatusInternalServerError, ErrorInternal, "Something went wrong in this server."}
}
