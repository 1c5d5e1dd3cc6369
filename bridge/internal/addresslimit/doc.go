// Package addresslimit bounds from how many addresses each client key is used within a
// window (the settings max_addresses, per and excess), so that an account cannot be passed
// around. It knows client keys and addresses as hashes.
//
// Start with table.go. fleet.go is for several gates: they tell each other which addresses they see, and
// bar those that are too many for all of them together.
//
// What always holds:
//
//   - A key is used from at most the configured number of addresses within a window. What
//     exceeds that is refused, or takes the place of the address that was seen longest ago.
//   - Memory is bounded, whatever keys and addresses clients make up: 10,000 keys, and of
//     these a sixteenth that were first seen from one address. Keys that were used from one
//     address only are forgotten before the others.
package addresslimit
