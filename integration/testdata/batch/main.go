// Command batch is a FastCGI application that costs next to nothing and
// multiplexes: it answers every request that has arrived on a connection, whatever
// their ids, in one write. It serves 200 bytes to everyone.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// answer is what each request gets.
var answer = append([]byte("Content-Type: application/octet-stream\r\nContent-Length: 200\r\n\r\n"), make([]byte, 200)...)

func main() {
	socket := flag.String("socket", "", "unix socket to listen on")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "batch:", serve(*socket))
	os.Exit(1)
}

// serve serves until it cannot any more.
func serve(socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := converse(conn); err != nil {
				fmt.Fprintln(os.Stderr, "batch:", err)
			}
		}()
	}
}

// converse answers until the client closes the connection.
func converse(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	var out []byte
	for {
		if in.Buffered() < fcgi.HeaderLen && len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		head, err := in.Peek(fcgi.HeaderLen)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		h, err := fcgi.DecodeHeader(head)
		if err != nil {
			return err
		}
		content, err := in.Peek(fcgi.HeaderLen + int(h.ContentLength) + int(h.PaddingLength))
		if err != nil {
			return err
		}
		if out, err = reply(out, h, content[fcgi.HeaderLen:][:h.ContentLength]); err != nil {
			return err
		}
		if _, err := in.Discard(len(content)); err != nil {
			return err
		}
	}
}

// reply appends what a record is answered with.
func reply(out []byte, h fcgi.Header, content []byte) ([]byte, error) {
	switch h.Type {
	case fcgi.TypeGetValues:
		if bytes.Contains(content, []byte("FCGI_MPXS_CONNS")) {
			out = fcgi.AppendGetValuesResult(out, fcgi.Value{Name: "FCGI_MPXS_CONNS", Value: "1"})
		}
	case fcgi.TypeBeginRequest:
		begin, err := fcgi.DecodeBeginRequest(content)
		if err != nil {
			return nil, err
		}
		if begin.Flags&fcgi.FlagKeepConn == 0 {
			return nil, fmt.Errorf("request %d wants the connection closed after it", h.RequestID)
		}
	case fcgi.TypeStdin:
		if h.ContentLength == 0 {
			out = fcgi.AppendStream(out, fcgi.TypeStdout, h.RequestID, answer)
			out = fcgi.AppendEndRequest(out, h.RequestID, fcgi.EndRequest{})
		}
	}
	return out, nil
}
