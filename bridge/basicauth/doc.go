// Package basicauth authenticates clients by name and password (HTTP Basic, RFC 7617) against an htpasswd
// file. [Auth.Identify] is for bridge.SiteHooks.Identify: it sets the user, or refuses the request. Begin
// with auth.go.
//
// # The file
//
// The format is Apache's: a line "name:password" for each user; "#" begins a comment. Passwords are hashed
// with bcrypt ("htpasswd -B"), SHA-256 or SHA-512 crypt, MD5 crypt ("$apr1$"), or SHA-1 ("{SHA}",
// "{SSHA}"), which is accepted for existing files. Other formats, including plain text, are errors that
// name the line.
//
// The file is checked for changes when requests arrive, at most once per second. If the changed file cannot
// be read or has an error, the error is logged, and the users read before remain.
//
// # What always holds
//
//   - A password is never logged. In memory only a keyed hash of it is kept.
//   - A password is verified once. The result is cached until the file changes. Wrong passwords are cached
//     separately, and evict no right ones.
//   - At most half of the processors verify passwords at a time, one password per client address. At most
//     maxWaiting requests wait, maxPerAddress of one address; others are refused with 503. Cached results
//     need no wait.
//   - A client address may guess triesBurst passwords, and one more every triesEvery; then it is refused
//     with 429, without a verification. Cached results are no guesses.
//   - The duration of an answer does not disclose whether a user exists, if all passwords of the file are
//     hashed in the same way.
package basicauth
