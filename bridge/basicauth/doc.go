// Package basicauth lets clients log in with a name and a password (HTTP Basic, RFC
// 7617), for a front that has nobody else to do it. [Auth.Identify] is made for
// bridge.Config.Identify: it names the user, or refuses the request.
//
// # The file
//
// It is Apache's htpasswd: a line "name:password" for each user, "#" begins a comment.
// Passwords are bcrypt ("htpasswd -B"), SHA-256 and SHA-512 crypt, MD5 crypt (htpasswd's
// default, "$apr1$"), or SHA-1 ("{SHA}", "{SSHA}"), which is for files that have it
// already. Anything else is an error that names the line, plain text included.
//
// The file is looked at when requests come, once in a second at most, and read again when
// it has changed. If it cannot be read then, or has an error, the log says so, and what
// was read before holds.
//
// # What always holds
//
//   - A password is never logged, and kept only as a keyed hash.
//   - A password is checked once; after that its user costs a look into a table, until
//     the file changes. So is one that is wrong.
//   - At most half of the processors check passwords at once, one for each client address,
//     in turn. As many requests wait for that as maxWaiting says, of one address
//     maxPerAddress; more are refused with 503. Those that are known wait for nobody.
//   - Whether a user exists cannot be told from how long the answer takes, if all passwords
//     are in one form.
package basicauth
