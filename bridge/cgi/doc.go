// Package cgi is the Common Gateway Interface (RFC 3875) without the process:
// an HTTP request becomes CGI meta-variables, a CGI response header becomes an
// HTTP one. How the variables travel (FastCGI, SCGI, uwsgi) is not its concern;
// it opens no connection and keeps no goroutine. The only I/O is looking for
// scripts and static files under a configured root. The files, in reading order: config.go
// and vars.go; path.go and script.go, from a path to a script, through search.go in the
// directories of root.go and trees.go; static.go and source.go.
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
// Where the files cannot be seen from here (Config.Unchecked), the name alone tells what
// is a script: unchecked.go. Scripts that no file stands for are named: Config.Virtual.
//
// The root is the directory that its path leads to now. [Root] looks that up anew while it
// is used, so a symlink that is switched to another release is followed, and each request
// holds on to one release: what was checked is what SCRIPT_FILENAME names, and the file that
// [Mapper.OpenStatic] opens. A root may also depend on the request, or come later.
//
// A path to hide, [Config].Hide, is a whole URL path or one below the mount. What begins
// with a dot (.git, .htaccess; but /.well-known/), is a copy of a script ("x.php~",
// "x.php.bak"), or a script that is not run, is neither run nor sent. Which other files may
// be sent is said by [Config].Static, StaticTypes and StaticDirs.
//
// AUTH_TYPE and REMOTE_USER say what a front authenticated. This package
// authenticates nobody, so they come from [Client], which a front in the same
// process fills in, from the configured Env, or from [Config].UserHeader of a trusted
// proxy; never from a header of anybody else.
//
// SERVER_NAME, SERVER_PORT and HTTP_HOST are what the client has requested: the Host
// field, or what a trusted proxy reports (X-Forwarded-Host and -Port, Forwarded's host).
// If a trusted proxy reports another scheme and no host, and the Host field has the port
// that we listen on, the port is left out: it is the proxy's address for us.
//
// # Request headers
//
// A header becomes HTTP_*, "-" written as "_". Not passed on:
//
//   - Proxy: as HTTP_PROXY it would configure the application's HTTP client.
//   - Names with anything but letters, digits and hyphens: X_Forwarded_For and
//     X.Forwarded.For would become the variable of X-Forwarded-For. Without them
//     no two headers share a variable. [Config].UnderscoreHeaders names exceptions, which
//     take the place of the field with hyphens.
//   - Keys that are not in net/http's canonical form, because whoever cleaned
//     the header with Header.Del did not see them either.
//   - Content-Type and Content-Length, which have variables of their own.
//   - Connection, HTTP2-Settings, Keep-Alive, Proxy-Connection, TE, Trailer,
//     Transfer-Encoding and Upgrade, and what Connection names: they describe a
//     connection the application does not have, and the body reaches it decoded.
//     What a trusted proxy says of its client is passed all the same: "Connection:
//     X-Forwarded-For" of that client must not erase what the proxy added.
//   - Expect: net/http has answered it.
//   - Proxy-Authorization: meant for a proxy, not for the application.
//     Authorization is passed, unless this process has checked it.
//   - X-Forwarded-*, Forwarded, X-Real-IP and the user header, unless the peer is a
//     trusted proxy.
//
// # What always holds
//
//   - No variable is emitted twice; a configured one replaces any other.
//   - No name or value holds NUL, CR or LF, with one exception: a configured
//     value may hold LF, because PHP_VALUE separates its settings with it.
//   - SCRIPT_NAME + PATH_INFO is DOCUMENT_URI.
//   - No Location of a redirect holds control characters, spaces, or bytes beyond ASCII.
//   - SCRIPT_FILENAME names a regular file below the root, seen through
//     [os.Root]: no ".." and no symlink leads outside, except into the
//     directories configured to be followed. The application opens the file by
//     its name later; who can write below the root can change it in between, who switches
//     the root to another release cannot, unless KeepRootSymlink is set. Of files that are
//     Unchecked only the path is known: it neither climbs, nor is it hidden.
//   - A directory is open as long as a request uses it, and is closed by the last one that
//     does, or by Close. There are never more than maxRoots of requests.
//
// # Responses
//
// [HeaderEnd] finds the end of a header in what has arrived so far, [ParseResponse] turns
// it into an http.Header and a [Response]; interim headers (1xx) may come before the final
// one. It is as strict as is safe towards the client and as lenient as applications need:
// lines may end in LF or CRLF and be folded, any field may be missing, a first line may be
// an HTTP status line, what can be there once is there once, and what is no field is left
// out; a line without a colon, a control character, two different lengths or locations are
// errors. docs/errors.md has the list. [Chunked] undoes the transfer coding of a body.
package cgi
