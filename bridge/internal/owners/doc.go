// Package owners finds the processes that hold a socket, in /proc, on Linux only. owners.go has its API.
package owners
