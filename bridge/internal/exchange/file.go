package exchange

import (
	"errors"
	"path"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/internal/sendfile"
)

// fileError is a file that the application wants sent and that cannot be.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// FileFailed is the error of a file that could not be sent.
func FileFailed(err error) error { return &fileError{err} }

// Opened reports whether the file that the application names was opened: it is in one of the
// listed directories. Else a proxy before us that may act on the field gets it, and nobody
// else: it tells of the machine's directories. The length that the application has announced
// is the file's, or its own mistake; what it says is what counts.
func (x *Exchange) Opened(opened bool, err error) Wait {
	unlisted, isUnlisted := errors.AsType[*sendfile.NotListedError](err)
	if !opened && (err == nil || isUnlisted) {
		return x.unsentFile(unlisted)
	}
	x.dropSendfile()
	if opened && content.None(x.resp.Status) {
		x.driver.CloseFile()
		return x.adopt()
	}
	x.fileErr = err
	return x.finish((*Exchange).sendFile)
}

func (x *Exchange) sendFile() Wait {
	if x.fileErr != nil {
		return x.attemptOver(&fileError{x.fileErr})
	}
	x.merge()
	x.Reply = Answer{Status: x.resp.Status}
	return Wait{For: File}
}

// FileSent reports that the client was sent the file, or why it was not.
func (x *Exchange) FileSent(err error) Wait {
	if err != nil {
		return x.attemptOver(err)
	}
	return Wait{}
}

func (x *Exchange) dropSendfile() {
	for _, field := range sendfile.Fields {
		delete(x.Said, field)
	}
}

// unsentFile makes an ordinary answer of one that asks for a file which is not sent here. A
// nil argument says that nothing is asked for any more: Connection has named the field.
func (x *Exchange) unsentFile(unlisted *sendfile.NotListedError) Wait {
	x.resp.ContentLength, x.content.Length = -1, -1
	delete(x.Said, "Content-Length")
	if unlisted == nil || x.Who.Trusted || x.client.PassesSendfile() {
		return x.adopt()
	}
	x.dropSendfile()
	x.site.unsent.tell(x.site, unlisted)
	if content.None(x.resp.Status) {
		return x.adopt()
	}
	x.unlisted = unlisted
	return x.awaitBody((*Exchange).withoutFile)
}

// withoutFile fails if there is nothing but the file that is not sent.
func (x *Exchange) withoutFile(none bool) Wait {
	if none {
		return x.attemptOver(&appError{ErrorProtocol, x.unlisted})
	}
	return x.adopt()
}

// unsentNotices tells the log of files that are asked for and not sent, each thing once.
type unsentNotices struct{ unlisted, elsewhere atomic.Bool }

func (n *unsentNotices) tell(s *Site, asked *sendfile.NotListedError) {
	told, what := &n.unlisted, "the application asks for a file to be sent, and no directory is listed for that; the field is left out, and this is logged once"
	if asked.Elsewhere {
		told, what = &n.elsewhere, "the application asks for a file to be sent that is in no listed directory; the field is left out, and this is logged once"
	}
	if told.Swap(true) {
		return
	}
	remedy := "to have such files sent, add --sendfile " + path.Dir(asked.Value) + ", or a directory above it (sendfile)"
	if asked.Field == "X-Accel-Redirect" {
		remedy = "to have such files sent, add --sendfile " + path.Dir(asked.Value) + "=DIR (sendfile), where DIR holds them; if nginx, before this, is to send them, add --trusted-proxy with its address"
	}
	s.Log.Warn(what, "field", asked.Field, "file", asked.Value, "remedy", remedy)
}
