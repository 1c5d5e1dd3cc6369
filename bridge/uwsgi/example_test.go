package uwsgi_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/uwsgi"
)

// What a web server sends for a request without a body.
func Example() {
	vars := [][2]string{{"REQUEST_METHOD", "GET"}}
	b, err := uwsgi.AppendHeader(nil, len(vars), func(i int) (name, value string) { return vars[i][0], vars[i][1] })
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q\n", b)
	// Output:
	// "\x00\x15\x00\x00\x0e\x00REQUEST_METHOD\x03\x00GET"
}
