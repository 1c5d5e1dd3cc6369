package siphash

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Key is a key. Keys can be compared.
type Key [16]byte

// Parse reads the String of a Key.
func Parse(text string) (k Key, ok bool) {
	if len(text) != hex.EncodedLen(len(k)) {
		return k, false
	}
	_, err := hex.Decode(k[:], []byte(text))
	return k, err == nil
}

// String returns 32 hexadecimal digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Derive returns the key for one use of k, which others cannot be told from.
func (k Key) Derive(use string) (derived Key) {
	binary.LittleEndian.PutUint64(derived[:], Sum(&k, use+"0"))
	binary.LittleEndian.PutUint64(derived[8:], Sum(&k, use+"1"))
	return derived
}

// Sum returns the hash of text.
func Sum(k *Key, text string) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:])
	v := state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	length := uint64(len(text)) << 56
	for ; len(text) >= 8; text = text[8:] {
		v.add(uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
			uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56)
	}
	for i := range len(text) {
		length |= uint64(text[i]) << (8 * i)
	}
	v.add(length)
	v[2] ^= 0xff
	for range 4 {
		v.round()
	}
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

type state [4]uint64

func (v *state) add(word uint64) {
	v[3] ^= word
	v.round()
	v.round()
	v[0] ^= word
}

func (v *state) round() {
	v[0] += v[1]
	v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
	v[0] = bits.RotateLeft64(v[0], 32)
	v[2] += v[3]
	v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
	v[0] += v[3]
	v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
	v[2] += v[1]
	v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
	v[2] = bits.RotateLeft64(v[2], 32)
}
