package fcgi_test

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// What a web server sends for a request without a body.
func Example() {
	b := fcgi.AppendBeginRequest(nil, 1, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
	params := fcgi.NewParamsWriter(b, 1)
	for _, v := range [][2]string{{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", "/trac"}} {
		if err := params.Add(v[0], v[1]); err != nil {
			fmt.Println(err)
			return
		}
	}
	b = fcgi.AppendStreamEnd(params.End(), fcgi.TypeStdin, 1)

	for len(b) > 0 {
		rec, rest, err := fcgi.DecodeRecord(b)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%v %d %q\n", rec.Type, rec.RequestID, rec.Content)
		b = rest
	}
	// Output:
	// BEGIN_REQUEST 1 "\x00\x01\x01\x00\x00\x00\x00\x00"
	// PARAMS 1 "\x0e\x03REQUEST_METHODGET\v\x05SCRIPT_NAME/trac"
	// PARAMS 1 ""
	// STDIN 1 ""
}

// What an application answers.
func ExampleAppendStream() {
	b := fcgi.AppendStream(nil, fcgi.TypeStdout, 1, []byte("Content-Type: text/plain\r\n\r\nhello"))
	b = fcgi.AppendStreamEnd(b, fcgi.TypeStdout, 1)
	b = fcgi.AppendEndRequest(b, 1, fcgi.EndRequest{ProtocolStatus: fcgi.StatusRequestComplete})
	fmt.Printf("%q\n", b)
	// Output:
	// "\x01\x06\x00\x01\x00!\x00\x00Content-Type: text/plain\r\n\r\nhello\x01\x06\x00\x01\x00\x00\x00\x00\x01\x03\x00\x01\x00\b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
}
