//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startEcho runs a FastCGI application that answers with what it was sent. It returns its
// socket.
func startEcho(t testing.TB) string {
	t.Helper()
	socket := filepath.Join(socketDir(t), "app.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // until l is closed
			body, _ := io.ReadAll(r.Body) // all of it, or the request was not sent whole
			env := fcgi.ProcessEnv(r)
			fmt.Fprintf(w, "%s %s %s:%s %q", r.Method, r.URL.RequestURI(), env["SERVER_NAME"], env["SERVER_PORT"], body)
		}))
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return socket
}

// startLighttpd runs lighttpd in front of a FastCGI application. It returns its address.
func startLighttpd(t testing.TB, socket string) string {
	t.Helper()
	lighttpd := need(t, "lighttpd", "/usr/sbin/lighttpd")
	dir := socketDir(t)
	addr := freeAddress(t)
	host, port, _ := strings.Cut(addr, ":")
	config := filepath.Join(dir, "lighttpd.conf")
	write(t, config, `
server.modules = ( "mod_fastcgi" )
server.bind = "%s"
server.port = %s
server.document-root = "%s"
server.upload-dirs = ( "%[3]s" )
server.errorlog = "/dev/null"
fastcgi.server = ( "/" => (( "socket" => "%[4]s", "check-local" => "disable" )) )
`, host, port, dir, socket)
	awaitAddress(t, start(t, exec.Command(lighttpd, "-D", "-f", config)), "tcp", addr)
	return addr
}

// startNginxFastCGI runs nginx in front of a FastCGI application. It returns its address.
func startNginxFastCGI(t testing.TB, socket string) string {
	t.Helper()
	nginx := need(t, "nginx", "/usr/sbin/nginx")
	dir := socketDir(t)
	addr := freeAddress(t)
	config := filepath.Join(dir, "nginx.conf")
	write(t, config, `
daemon off; master_process off; pid %[1]s/pid; error_log /dev/null;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s;
		location / {
			fastcgi_pass unix:%[3]s;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param REQUEST_URI $request_uri;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param CONTENT_TYPE $content_type;
			fastcgi_param SERVER_PROTOCOL $server_protocol;
			fastcgi_param SERVER_NAME $host;
			fastcgi_param SERVER_PORT $server_port;
		}
	}
}
`, dir, addr, socket)
	awaitAddress(t, start(t, exec.Command(nginx, "-c", config, "-e", "/dev/null")), "tcp", addr)
	return addr
}

// converse sends text on a connection of its own, and returns the answers up to the end of
// the connection: their statuses, with the bodies of those that are 200.
func converse(t testing.TB, addr, text string) (list []string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return []string{err.Error()}
	}
	in := bufio.NewReader(c)
	for {
		if _, err := in.Peek(1); err == io.EOF {
			return list
		} else if err != nil {
			return append(list, err.Error())
		}
		request := &http.Request{Method: http.MethodGet}
		if strings.HasPrefix(text, "HEAD ") && len(list) == 0 {
			request.Method = http.MethodHead
		}
		resp, err := http.ReadResponse(in, request)
		if err != nil {
			return append(list, "malformed: "+err.Error())
		}
		body, err := io.ReadAll(resp.Body)
		answer := fmt.Sprint(resp.StatusCode)
		if resp.StatusCode == 200 {
			answer += " " + string(body)
		}
		if err != nil {
			answer += " cut"
		}
		list = append(list, answer)
	}
}

// A client that sends a lot after what is refused gets the answer: its connection is not
// reset.
func TestMalformedUploadIsAnswered(t *testing.T) {
	s := startSluice(t, "--backend", "unix:"+startEcho(t), "--workers", "2", "--multiplex", "off")
	for name, text := range map[string]string{
		"400, header": postHead + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("x", 8<<20),
		"400, body":   chunked + "5;\x00\r\nhello\r\n" + strings.Repeat("x", 8<<20),
		"431, header": getHead + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
	} {
		for range 5 {
			if got := converse(t, strings.TrimPrefix(s.url, "http://"), text); len(got) != 1 || got[0] != name[:3] {
				t.Errorf("answers %q, want %s", got, name)
			}
		}
	}
}

// What is refused is a line of the access log, and counted.
func TestMalformedRequestsAreLogged(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	m := startSluice(t, "--backend", "unix:"+startEcho(t), "--workers", "2", "--multiplex", "off", "--access-log", log)
	if got := converse(t, strings.TrimPrefix(m.url, "http://"), "GET /wiki/100% HTTP/1.1\r\nHost: a\r\n\r\n"); len(got) != 1 || got[0] != "400" {
		t.Errorf("answers %q", got)
	}
	eventually(t, "the log has the request", func() error {
		text, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(text), `"client":"127.0.0.1","method":"GET","uri":"/wiki/100%","proto":"HTTP/1.1","status":400,`) {
			err = fmt.Errorf("the log has %q", text)
		}
		return err
	})
}
