package http1_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

func Example() {
	r := http1.Request{Method: "GET", Target: "/wiki/Start", Host: "example.org", Fields: []http1.Field{{Name: "Accept", Value: "text/html"}}}
	head, err := r.Append(nil, true)
	fmt.Printf("%q %v\n", head, err)

	var d http1.Decoder
	d.Begin(&r)
	in := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	for {
		output, rest, ended, err := d.Next(in)
		if ended || err != nil {
			fmt.Println(d.End(), err)
			break
		}
		fmt.Printf("%q\n", output)
		in = rest
	}
	// Output:
	// "GET /wiki/Start HTTP/1.1\r\nHost: example.org\r\nAccept: text/html\r\n\r\n" <nil>
	// "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	// "hello"
	// {false 0s} <nil>
}
