package bridge

import "time"

// StatusClientClosed is the status an Outcome carries when the client left
// before it was answered. It is nginx's, and never sent.
const StatusClientClosed = 499

// Outcome is what became of one request. It is valid during the call of Observe
// it is passed to.
type Outcome struct {
	Client    string        // the client's address, as far as it can be trusted
	User      string        // REMOTE_USER, "" if nobody was authenticated
	Status    int           // as the client saw it, or StatusClientClosed
	BytesIn   int64         // of the request's body that were read
	BytesOut  int64         // of the answer's body that the client was sent
	ErrorType string        // the Proxy-Status error type, "" if there was none
	Err       error         // what happened, nil if nothing did
	Aborted   bool          // the client's connection was cut, because the answer could not be ended properly
	ClientKey uint64        // who asked, as a hash that admission.ClientKeyName makes readable; 0: not known
	Lane      string        // what the gate took it for: "short", "unknown", "mixed", "long"; "" if it was not asked
	Refused   string        // why it was refused: "full", "timeout", "predicted", "stalled", "down", "quarantined", "addresses", "logins", "drain"; "" if it was not
	Instance  string        // the address that answered, "" if none was asked
	Reused    bool          // its connection was a kept one
	Attempts  int           // times the request was sent
	Queued    time.Duration // waiting for a worker and a connection
	FirstByte time.Duration // from sending the request to the header of the answer
	Total     time.Duration // from the call of ServeHTTP to its end
}
