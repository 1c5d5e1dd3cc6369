// Package cgi is the Common Gateway Interface (RFC 3875) without the process:
// an HTTP request becomes CGI meta-variables, a CGI response header becomes an
// HTTP one. How the variables travel (FastCGI, SCGI, uwsgi) is not its concern;
// it opens no connection and starts no goroutine. The only I/O is looking for
// scripts under a configured root.
//
// # Variables
//
// [Mapper.Vars] appends those of RFC 3875 section 4.1 and the ones that real
// applications read besides: REQUEST_URI (as it was sent), DOCUMENT_URI,
// DOCUMENT_ROOT, SCRIPT_FILENAME, HTTPS, REQUEST_SCHEME, REMOTE_PORT,
// SERVER_ADDR and REDIRECT_STATUS, which php-cgi refuses to run without.
//
// The path is taken from URL.Path, which net/http has decoded, and is never
// decoded again: %2F arrives as "/", %2541 as "%41". Dot segments are resolved
// first, so a path cannot climb above the mount or the root. A path without
// them keeps its empty segments in PATH_INFO ("//"): some applications carry
// whole URLs there.
//
// Which part is SCRIPT_NAME depends on the preset:
//
//   - app: the mount. Everything after it is PATH_INFO. No file is looked at.
//   - php: the path up to the first ".php" that ends a segment and is a regular
//     file below the root, or a directory's index. Nothing else reaches PHP.
//   - cgi: the prefix of the path that is a regular, executable file.
//
// AUTH_TYPE and REMOTE_USER say what a front authenticated. This package
// authenticates nobody, so they come from [Client], which a front in the same
// process fills in, or from the configured Env; never from a request header.
//
// # Request headers
//
// A header becomes HTTP_*, "-" written as "_". Not passed on:
//
//   - Proxy: as HTTP_PROXY it would configure the application's HTTP client.
//   - Names with anything but letters, digits and hyphens: X_Forwarded_For and
//     X.Forwarded.For would become the variable of X-Forwarded-For. Without them
//     no two headers share a variable.
//   - Keys that are not in net/http's canonical form, because whoever cleaned
//     the header with Header.Del did not see them either.
//   - Content-Type and Content-Length, which have variables of their own.
//   - Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding
//     and Upgrade: they describe a connection the application does not have, and
//     the body reaches it decoded. nginx and Apache pass some of them; nothing
//     good can be done with them. Headers that Connection names are kept, as
//     nginx and Apache keep them: for HTTP a CGI server is the origin, not a hop,
//     and "Connection: X-Forwarded-For" must not erase what a front added.
//   - Expect: net/http has answered it.
//   - Proxy-Authorization: meant for a proxy, not for the application.
//     Authorization is passed.
//   - X-Forwarded-*, Forwarded and X-Real-IP, unless the peer is a trusted proxy.
//
// # What always holds
//
//   - No variable is emitted twice; a configured one replaces any other.
//   - No name or value holds NUL, CR or LF, with one exception: a configured
//     value may hold LF, because PHP_VALUE separates its settings with it.
//   - SCRIPT_NAME + PATH_INFO is DOCUMENT_URI.
//   - SCRIPT_FILENAME names a regular file below the root, seen through
//     [os.Root]: no ".." and no symlink leads outside, except into the
//     directories configured to be followed. The application opens the file by
//     its name later; who can write below the root can change it in between.
//
// # Responses
//
// [HeaderEnd] finds the end of the header in what has arrived so far,
// [ParseResponse] turns it into an http.Header and a [Response]. It is as strict
// as is safe towards the client and as lenient as applications need: lines may
// end in LF or CRLF, Content-Type may be missing, a first line may be an HTTP
// status line; a line that is no field, a control character or two different
// lengths are errors.
package cgi
