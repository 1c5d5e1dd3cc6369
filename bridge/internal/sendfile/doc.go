// Package sendfile finds the files that an application asks its web server to send in
// place of an answer's body: X-Sendfile and X-LIGHTTPD-send-file name a path, and
// X-Accel-Redirect a URI that stands for one.
//
// What always holds:
//
//   - Only regular files below the directories that are listed are opened, seen through
//     [cgi.Root]: neither ".." nor a symbolic link leads out of them.
//   - A directory is looked up for each file: one that comes later, or is a symbolic link
//     that is switched to another release, is the one that is there now.
//   - An open file is the caller's, who closes it.
package sendfile
