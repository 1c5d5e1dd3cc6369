// Package classify says what a request is, for the gate: what it asks for (its route), who
// asks (its client key), and whether it is known to be answered late. It decides nothing about
// when a request may start, which is package admission's, and remembers no request.
//
// Start with classifier.go: a [Classifier] is made from the settings of a site, and fills in
// an admission.Request. route.go, path.go and query.go make the route, words.go says which
// parts of a URL a route may show, client.go and cookies.go make the client key, accept.go
// and pattern.go find long-polls.
//
// What always holds:
//
//   - A route shows nothing of a request but its method, the class of answer that the client
//     accepts, whether a script asks, the site's mount, words of the path and endings of file
//     names, and words that are names in the query. Values of the query, and what follows a
//     word such as "token", are never shown. Whether another text is a word or a key can only
//     be guessed: words.go leaves out what looks random, and a test counts the keys that pass.
//   - What a client sends adds less than 600 bytes to a route, and the group is a prefix of the
//     route.
//   - The order and the values of the query do not change a route, as long as the query has
//     no more than 64 parts; nothing in the query changes the group.
//   - A client key is a hash with a seed of this process. Nobody outside the process can find
//     a key's text by trying texts, or make two keys equal. 0 is the key of no client.
//   - A client's name is a hash with a key that the gates of a fleet share, and nobody else. Gates
//     with the same key give a client the same name. 0 is the name of no client.
//   - A client key that is made from an address because the request lacks what the site's keys
//     are made from is said to be shared (admission.Request.Shared).
//   - Classifying a request allocates one string, the route.
package classify
