// Package cgi implements the Common Gateway Interface (RFC 3875) without processes: it turns an
// HTTP request into CGI meta-variables, and a CGI response header into an HTTP one. It knows no
// protocol that carries the variables (FastCGI, SCGI, uwsgi), opens no connection and keeps no
// goroutine. Its only I/O is looking up scripts and static files under a configured root.
//
// Begin with vars.go and the settings in config.go. path.go and script.go resolve a path to a
// script, through search.go, in the directories of root.go and trees.go; static.go and source.go
// say which files may be sent. response.go parses the application's header. http.go is for
// applications that speak HTTP: [Mapper.HTTP] writes a request for them by the rules that hold for
// the variables. authorizer.go has what is different for
// an authorizer, authorizer_http.go for one that speaks HTTP.
//
// # Variables
//
// [Mapper.Vars] appends the variables of RFC 3875 section 4.1 and others that applications read:
// REQUEST_URI (as it was sent), DOCUMENT_URI, DOCUMENT_ROOT, SCRIPT_FILENAME, HTTPS,
// REQUEST_SCHEME, REMOTE_PORT, SERVER_ADDR, SSL_PROTOCOL and SSL_CIPHER, and REDIRECT_STATUS, which
// php-cgi requires.
//
// The path is URL.Path, which net/http has decoded. It is never decoded again: %2F arrives as
// "/", %2541 as "%41". Dot segments are resolved first, so that a path cannot climb above the
// mount or the root. A path without dot segments keeps its empty segments in PATH_INFO ("//"):
// some applications carry whole URLs there.
//
// Which part is SCRIPT_NAME depends on the preset:
//
//   - app: the mount. Everything after it is PATH_INFO. No file is looked up.
//   - php: the path up to the first segment that ends in ".php" and is a regular file below the
//     root, or a directory's index. Nothing else reaches PHP.
//   - cgi: the prefix of the path that is a regular, executable file.
//
// If this process cannot see the files (Config.Unchecked), the script is found by its name
// (unchecked.go). Scripts without a file are listed in Config.Virtual.
//
// A [Root] looks its path up again while it is used, so that a symlink may be switched to another
// release. Each request uses one release: SCRIPT_FILENAME names the file that was checked, and
// [Mapper.OpenStatic] opens that file. A root may also depend on the request, or not exist yet.
//
// Neither run nor sent is what [Config].Hide lists, what starts with a dot (.git, .htaccess; not
// /.well-known/), copies of scripts ("x.php~", "x.php.bak"), and scripts that the preset does not
// run. [Config].Static, StaticTypes and StaticDirs say which other files may be sent.
//
// This package authenticates nobody. AUTH_TYPE and REMOTE_USER come from [Client], which a server
// in the same process or an authorizer fills in, from the configured Env, or from
// [Config].UserHeader of a trusted proxy; never from a header of another peer.
//
// SERVER_NAME, SERVER_PORT and HTTP_HOST are the host and port that the client has requested: the
// Host field, or what a trusted proxy reports (X-Forwarded-Host and -Port, Forwarded's host). If a
// trusted proxy reports another scheme and no host, and the Host field has the port of this
// listener, the port is left out, because it belongs to the proxy's connection.
//
// # Request headers
//
// A header becomes HTTP_*, with "-" written as "_". Not passed on:
//
//   - Proxy: as HTTP_PROXY it would configure the application's HTTP client.
//   - Names with characters other than letters, digits and hyphens: X_Forwarded_For and
//     X.Forwarded.For would become the variable of X-Forwarded-For. Without such names no two
//     headers share a variable. [Config].UnderscoreHeaders lists exceptions, which replace the
//     field with hyphens.
//   - Keys that are not in net/http's canonical form: http.Header.Del of a handler in front has
//     not removed them either.
//   - Content-Type and Content-Length, which have variables of their own.
//   - Connection, HTTP2-Settings, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding,
//     Upgrade, and the fields that Connection names: they describe the client's connection, and
//     the application gets the body decoded. A trusted proxy's fields about its client are passed
//     nevertheless: the client's "Connection: X-Forwarded-For" must not remove what the proxy adds.
//   - Expect: net/http has answered it.
//   - Proxy-Authorization: it is meant for a proxy. Authorization is passed, unless this process
//     has checked it.
//   - X-Forwarded-*, Forwarded, X-Real-IP and the user header, unless the peer is a trusted proxy.
//
// # What always holds
//
//   - No variable is emitted twice; a configured one replaces any other.
//   - No name or value holds NUL, CR or LF, with one exception: a configured
//     value may hold LF, because PHP_VALUE separates its settings with it.
//   - SCRIPT_NAME + PATH_INFO is DOCUMENT_URI.
//   - No Location of a redirect holds control characters, spaces, or bytes beyond ASCII.
//   - SCRIPT_FILENAME names a regular file below the root, opened through [os.Root]: no ".." and
//     no symlink leads outside, except into the directories to follow. The application opens the
//     file by name later. A process that can write below the root can change the file in between;
//     switching the root to another release does not, unless KeepRootSymlink is set. Of Unchecked
//     files only the path is checked: it does not climb and is not hidden.
//   - A directory stays open while a request uses it, and is closed by its last user or by Close.
//     At most maxRoots roots that depend on requests are open.
//
// # Responses
//
// [HeaderEnd] finds the end of a header in the bytes received so far, and [ParseResponse] turns it
// into an http.Header and a [Response]. Interim headers (1xx) may precede the final one. The parser
// is as strict as the client's safety requires and as lenient as applications need: lines may end
// in LF or CRLF and be folded, any field may be missing, the first line may be an HTTP status line,
// of a field that can occur once the last one counts, and lines that are no field are left out. A
// line without a colon, a control character, and two different lengths or locations are errors.
// docs/errors.md has the list. [Chunked] decodes the transfer coding of a body.
package cgi
