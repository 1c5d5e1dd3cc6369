package classify

import (
	"bytes"
	"net/http"
)

// What a route keeps of a request, in segments, parts of a query, names and bytes.
// The rest is left out, so that a client cannot make it long.
const (
	maxSegments = 8
	maxSegment  = 64
	maxPath     = 192
	maxParts    = 64
	maxNames    = 8
	maxName     = 32
	// maxRoute is what these come to.
	maxRoute = len("OPTIONS stream xhr ") + maxPath + maxSegment + len("/*.12345;*/**") + maxNames*(maxName+len(",*")) + len("?,**")
)

// appendRoute appends the route of r, the unit in which the gate learns how long requests
// take, and returns where its parts are. The group of a route ends with the first segment of
// the path below mount, which has no slash at its end, or before that segment if it is the
// last one:
//
//	GET html xhr /wiki/Start?action,version
//	------------------
//
// A route has the method, the class of answer that the client accepts (acceptClass), whether
// a script asks, the path, and the names in the query, not their values. Operators see routes,
// so a route has no secrets: a segment or name that is not made of words (isWords), such as a
// number or a key, is a "*", and so is what follows a word that precedes a secret
// (precedesSecret).
func appendRoute(dst []byte, r *http.Request, accepts, mount string) (route []byte, at routeMarks) {
	dst = append(dst, methodName(r.Method)...)
	dst = append(dst, ' ')
	dst = append(dst, accepts...)
	if fromScript(r.Header) {
		dst = append(dst, " xhr"...)
	}
	dst = append(dst, ' ')
	at.path = len(dst)
	dst, at.group = appendPath(dst, r.URL.Path, mount)
	at.query = len(dst)
	if at.group == len(dst) { // pages at the top are one group
		at.group = bytes.LastIndexByte(dst, '/') + 1
	}
	return appendNames(dst, r.URL.RawQuery), at
}

// routeMarks are offsets in a route: where the group ends, where the path begins, and where
// the query begins.
type routeMarks struct{ group, path, query int }

// methods are those of RFC 9110, and PATCH.
var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
	http.MethodConnect, http.MethodOptions, http.MethodTrace, http.MethodPatch,
}

// methodName returns methods as they are, others as OTHER. The text is not the request's, whose memory it
// would keep.
func methodName(method string) string {
	if method == "" {
		return http.MethodGet
	}
	for _, known := range methods {
		if method == known {
			return known
		}
	}
	return "OTHER"
}
