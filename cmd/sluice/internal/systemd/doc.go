// Package systemd is what a service and systemd tell each other: listening sockets that systemd
// hands over (sd_listen_fds(3)), and notices of the service's state (sd_notify(3)). Without systemd
// there are no sockets, and notices go nowhere.
//
// Both are a few environment variables, so this is less than a dependency. Sockets are refused that
// do not listen, and each has one owner: Sockets, until it is taken. The variables are removed, so
// that processes which are started do not take them for their own.
//
// Begin with sockets.go.
package systemd
