// Package owners finds the processes that hold a socket, in /proc. It is Linux only.
package owners
