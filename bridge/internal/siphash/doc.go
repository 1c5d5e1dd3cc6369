// Package siphash is SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits. Who does not
// have the key can neither make two texts equal nor find out a text by trying. Unlike that of
// hash/maphash, its key can be given to other processes.
package siphash
