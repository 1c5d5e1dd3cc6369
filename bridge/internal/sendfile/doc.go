// Package sendfile opens the files that an application names for the web server to send in place of an
// answer's body: X-Sendfile and X-LIGHTTPD-send-file name a path, X-Accel-Redirect a URI that is mapped
// to one. dirs.go is all of it.
//
// What always holds:
//
//   - Only regular files below the listed directories are opened, through [cgi.Root]: neither ".." nor
//     a symbolic link leads out of them.
//   - A directory is looked up for each file, so it may be created later, or be a symbolic link that is
//     switched to another release.
//   - The caller closes the file.
package sendfile
