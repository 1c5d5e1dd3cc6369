package scgi_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/scgi"
)

// What a web server sends for a request with a body.
func Example() {
	vars := [][2]string{{"REQUEST_METHOD", "POST"}, {"CONTENT_LENGTH", "27"}}
	b, err := scgi.AppendHeader(nil, len(vars), func(i int) (name, value string) { return vars[i][0], vars[i][1] })
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q\n", append(b, "What is the answer to life?"...))
	// Output:
	// "45:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00,What is the answer to life?"
}
