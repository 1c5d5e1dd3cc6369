package exchange

// adviceFor is what somebody who reads of a failure in the log is to do about it.
func adviceFor(f failure) string {
	switch f.kind {
	case ErrorLimit:
		return "see what holds the workers, in gate of /status.json; raise workers if the application can do more"
	case ErrorRefused, ErrorUnavailable, ErrorDialTimeout:
		return "see whether the application runs, and listens at this address"
	case ErrorIncomplete:
		return "see the application's own log: it has ended, or has given up, before its answer was complete"
	case ErrorTimeout:
		return "see what the application waits for; if it may take that long, raise timeouts.first_byte, timeouts.between_bytes or timeouts.request"
	case ErrorProtocol:
		return "mend the page, or see whether protocol says what the application speaks"
	case ErrorHeaderSize:
		return "mend the page, or raise max_response_header"
	case ErrorRequest:
		return "none, if the request is wrong; else the setting that the error names"
	case ErrorDenied:
		return "none, if the client may not have it; else the setting that the error names"
	}
	return "see that the disk has room; if it has, this is a fault of Sluice: report it with the error"
}
