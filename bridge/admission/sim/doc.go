// Command sim plays the gate and what other proxies do against the same workloads.
// Without flags it prints the table of docs/admission.md; with -draw DIR it draws
// it, too. With -policy or -scenario it runs just that.
//
//	go run ./bridge/admission/sim -scenario stall -policy learned -workers 16 -load 0.6 -seconds 120 -v
package main
