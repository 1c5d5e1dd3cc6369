package main

import (
	"fmt"
	"os"
)

// nginx keeps its connections to the application: an upstream block with
// keepalive, and fastcgi_keep_conn.
var nginx = peer{
	label:   "nginx",
	about:   "`keepalive 64`, `fastcgi_keep_conn on`, one worker process per core, access log off",
	binary:  installed("nginx", "nginx-light"),
	version: []string{"-v"},
	config:  func(s site) string { return nginxConfig(s, "") },
	argv:    nginxArgs,
}

// nginxTLS is nginx with TLS in front, and its cache of sessions.
var nginxTLS = peer{
	label:   "nginx-tls",
	about:   "as nginx, HTTP/1.1 over TLS 1.3",
	tls:     true,
	binary:  nginx.binary,
	version: nginx.version,
	config: func(s site) string {
		cert, key := s.certificate()
		return nginxConfig(s, fmt.Sprintf(" ssl;\n\t\tssl_certificate %s;\n\t\tssl_certificate_key %s;\n\t\tssl_protocols TLSv1.2 TLSv1.3;\n\t\tssl_session_cache shared:tls:1m", cert, key))
	},
	argv: nginxArgs,
}

func nginxArgs(s site) []string { return []string{"-p", s.dir, "-e", "stderr", "-c", s.config} }

// nginxConfig raises the limits that would close a busy connection after a
// thousand requests; under this load that would be every few seconds. tls follows the address.
func nginxConfig(s site, tls string) string {
	return fmt.Sprintf(`%[1]sdaemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr warn;

events {
	worker_connections 20000;
}

http {
	access_log off;
	keepalive_requests 100000000;
	client_body_temp_path body;
	fastcgi_temp_path fastcgi;
	client_max_body_size 16m;
	proxy_temp_path proxy;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;

	upstream app {
		server unix:%[2]s;
		keepalive 64;
		keepalive_requests 100000000;
	}

	server {
		listen %[3]s%[4]s;

		location / {
			fastcgi_pass app;
			fastcgi_keep_conn on;

			fastcgi_param SCRIPT_NAME "";
			fastcgi_param PATH_INFO $uri;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param CONTENT_TYPE $content_type if_not_empty;
			fastcgi_param CONTENT_LENGTH $content_length if_not_empty;
			fastcgi_param REQUEST_URI $request_uri;
			fastcgi_param DOCUMENT_URI $document_uri;
			fastcgi_param DOCUMENT_ROOT $document_root;
			fastcgi_param SERVER_PROTOCOL $server_protocol;
			fastcgi_param REQUEST_SCHEME $scheme;
			fastcgi_param HTTPS $https if_not_empty;
			fastcgi_param GATEWAY_INTERFACE CGI/1.1;
			fastcgi_param SERVER_SOFTWARE nginx/$nginx_version;
			fastcgi_param REMOTE_ADDR $remote_addr;
			fastcgi_param REMOTE_PORT $remote_port;
			fastcgi_param SERVER_ADDR $server_addr;
			fastcgi_param SERVER_PORT $server_port;
			fastcgi_param SERVER_NAME $server_name;
			fastcgi_param REDIRECT_STATUS 200;
		}
	}
}
`, nginxUser(), s.backend, s.listen, tls)
}

// nginxUser makes the workers of root's nginx run as root: the default user nobody may not enter our
// directory. Without root, nginx ignores the line with a warning.
func nginxUser() string {
	if os.Geteuid() != 0 {
		return ""
	}
	return "user root;\n"
}
