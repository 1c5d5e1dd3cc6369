// Package basicauth authenticates clients by name and password (HTTP Basic, RFC 7617)
// against an htpasswd file, for a front that has nobody else to do it. [Auth.Identify] is
// made for bridge.SiteHooks.Identify: it names the user, or refuses the request.
//
// # The file
//
// The format is Apache's: a line "name:password" for each user; "#" begins a comment.
// Passwords are hashed with bcrypt ("htpasswd -B"), SHA-256 or SHA-512 crypt, MD5 crypt
// ("$apr1$"), or SHA-1 ("{SHA}", "{SSHA}"), which is accepted for existing files only.
// Anything else, plain text included, is an error that names the line.
//
// The file is checked for changes when requests come, at most once per second. If the
// changed file cannot be read or has an error, the log says so, and the users that were
// read before stay.
//
// # What always holds
//
//   - A password is never logged. In memory it is kept as a keyed hash only.
//   - A password is verified once; then the result is cached until the file changes. Wrong
//     ones are cached apart, and evict no right ones.
//   - At most half of the processors verify passwords at a time, one password per client
//     address. At most maxWaiting requests wait for that, of one address maxPerAddress;
//     others are refused with 503. Cached results need no wait.
//   - The time that an answer takes does not tell whether a user exists, if all passwords
//     of the file are hashed in the same way.
package basicauth
