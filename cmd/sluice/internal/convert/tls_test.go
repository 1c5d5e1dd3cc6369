package convert

import (
	"strings"
	"testing"
)

// What is said of TLS becomes settings, or is among what is left. A part that begins with ! must not be there.
func TestTLS(t *testing.T) {
	const pass = " location / { fastcgi_pass a:1; } "
	const pair = " ssl_certificate /c; ssl_certificate_key /k; "
	const lighttpd = "fastcgi.server = ( \"/\" => ((\"socket\" => \"/a\")) )\n"
	const vhost = "<VirtualHost *:443>\nServerName a\nSSLEngine on\nSSLCertificateFile /c\nProxyPass / fcgi://a:1/\n"
	for _, tt := range []struct {
		name string
		kind Kind
		text string
		want []string
	}{
		{
			"an address without a certificate is none", Nginx, "server { listen 80; listen 443 ssl; server_name a; add_header Strict-Transport-Security max-age=9;" + pass + "}",
			[]string{"listen 443 ssl: there is no certificate: name it in tls.certificate", "max-age=9: no address with TLS is in this file", "listen = [\":80\"]\n", "!tls.hsts ="},
		},
		{
			"a certificate without an address is none", Nginx, "server { listen 80; server_name a; " + pair + pass + "}",
			[]string{"ssl_certificate /c: no address with TLS", "ssl_certificate_key /k: no address with TLS", "!tls.certificate"},
		},
		{
			"a redirect to what is elsewhere", Nginx, "server { listen 80; server_name a; return 301 https://$host$request_uri; } server { listen 8080; server_name b; " + pass + "}",
			[]string{"request_uri: no address with TLS is in this file; with one in listen, Sluice does so by itself", "!redirect ="},
		},
		{
			"a redirect of all of a location", Nginx, "server { listen 80; server_name a; location / { return 308 https://$host$request_uri; } } server { listen 443 ssl; server_name a;" + pair + pass + "}",
			[]string{"!#", "listen = [\":80\", \"https://:443\"]\n", "!tls.redirect"},
		},
		{
			"a redirect of a part", Nginx, "server { listen 80; listen 443 ssl; server_name a;" + pair + "location /x { return 301 https://$host$request_uri; }" + pass + "}",
			[]string{"tls.redirect is for a whole site", "tls.redirect = \"off\""},
		},
		{
			"a redirect for the time being", Nginx, "server { listen 80; listen 443 ssl; server_name a;" + pair + "if ($scheme = http) { return 302 https://$host$request_uri; }" + pass + "}",
			[]string{"with 301, which browsers remember, and not with 302", "!tls.redirect"},
		},
		{
			"another port", Nginx, "server { listen 80; server_name a; return 301 https://$host:8443$request_uri; } server { listen 443 ssl; server_name a;" + pair + pass + "}",
			[]string{"!#", "tls.redirect_port = 8443\n"},
		},
		{
			"all names lead to one", Nginx, "server { listen 80; server_name a www.a; return 301 https://www.a$request_uri; } server { listen 443 ssl; server_name www.a;" + pair + pass + "}",
			[]string{"!#", "hosts = [\"www.a\"]", "hosts = [\"a\"]", "redirect = [\"//a/* https://www.a/* 301\"]\n", "tls.redirect = \"off\""},
		},
		{
			"a name leads elsewhere without TLS alone", Nginx, "server { listen 80; server_name a b; return 301 https://b$request_uri; } server { listen 443 ssl; server_name a b;" + pair + pass + "}",
			[]string{"https://b$request_uri: with TLS the application is there, and redirect is for both", "!redirect ="},
		},
		{
			"all lead elsewhere without TLS alone", Nginx, "server { listen 80; server_name a; return 301 https://b/; } server { listen 443 ssl; server_name a;" + pair + pass + "}",
			[]string{"https://b/: with TLS the application is there, and redirect is for both: clients are led there", "!\nredirect"},
		},
		{
			"a part leads elsewhere in both ways", Nginx, "server { listen 80; server_name a; location /x { return 301 /y; }" + pass + "} server { listen 443 ssl; server_name a;" + pair + "location /x { return 301 /y; }" + pass + "}",
			[]string{"!#", "redirect = [\"/x /y 301\", \"/x/* /y 301\"]", "tls.redirect = \"off\""},
		},
		{
			"from TLS to none", Nginx, "server { listen 443 ssl; server_name a;" + pair + " return 301 http://$host$request_uri; } server { listen 80; server_name a;" + pass + "}",
			[]string{"would lead in a circle", "tls.redirect = \"off\"", "!\nredirect"},
		},
		{
			"a host of the site for all others", Nginx, "server { listen 80; server_name a; return 301 https://$host$request_uri; } server { listen 443 ssl default_server;" + pair + pass + "}",
			[]string{"!#", "!tls.redirect"},
		},
		{
			"a host that nothing is at with TLS", Nginx, "server { listen 80; server_name a b.c; return 301 https://$host$request_uri; } server { listen 443 ssl; server_name *.c;" + pair + pass + "}",
			[]string{"server: no application is at a with TLS", "!redirect"},
		},
		{"a relative path", Nginx, "server { listen 443 ssl; ssl_certificate c; ssl_certificate_key /k;" + pass + "}", []string{"ssl_certificate c: write the whole path", "tls.certificate = [\"c\"]"}},
		{
			"a name that is served", Nginx, "server { listen 80; server_name a; return 301 https://c$request_uri; } server { listen 443 ssl; server_name a x;" + pair + pass + "}",
			[]string{"https://c$request_uri: not for a, x, which is served", "!redirect ="},
		},
		{
			"no TLS where there is no certificate", Nginx, "server { listen 80; server_name a; " + pass + "} server { listen 443 ssl; server_name b;" + pair + pass + "}",
			[]string{"hosts = [\"a\"]\napplication = \"a-1\"\ntls.redirect = \"off\"\n", "hosts = [\"b\"]\napplication = \"a-1\"\ntls.certificate = [\"/c\"]\ntls.key = [\"/k\"]\n"},
		},
		{
			"versions for some", Nginx, "server { listen 443 ssl; server_name a; ssl_protocols TLSv1.3;" + pair + pass + "} server { listen 443 ssl; server_name b; ssl_protocols TLSv1.1 TLSv1.2 TLSv1.3;" + pair + pass + "}",
			[]string{"TLSv1.3: tls.min_version is for all sites", "TLSv1.1 TLSv1.2 TLSv1.3: of TLS, 1.2 and 1.3 are spoken, and nothing older", "!tls.min_version ="},
		},
		{"versions for all", Nginx, "server { listen 443 ssl http2; server_name a; ssl_protocols TLSv1.3;" + pair + pass + "}", []string{"!#", "tls.min_version = \"1.3\"\n", "!tls.http"}},
		{"no HTTP/2", Nginx, "http2 off; server { listen 443 ssl;" + pair + pass + "}", []string{"!#", "tls.http = \"1.1\"\n"}},
		{"HTTP/2 for some", Nginx, "server { listen 443 ssl; server_name a; http2 off;" + pair + pass + "} server { listen 443 ssl; server_name b; http2 on;" + pair + pass + "}", []string{"http2 off: tls.http is for all sites", "!tls.http ="}},
		{"HTTP/3", Nginx, "server { listen 443 ssl; listen 443 quic reuseport; http3 on;" + pair + pass + "}", []string{"listen 443 quic reuseport: HTTP/3", "http3 on: HTTP/3", "listen = [\"https://:443\"]\n"}},
		{"one address for a unix socket", Nginx, "server { listen unix:/run/s ssl;" + pair + pass + "}", []string{"listen = [\"https+unix:/run/s\"]\n"}},
		{"a variable", Nginx, "server { listen 80; listen 443 ssl; ssl_certificate /c/$ssl_server_name; ssl_certificate_key /k;" + pass + "}", []string{"tls.certificate and tls.key are files", "there is no certificate for this key", "listen = [\":80\"]\n"}},
		{"short HSTS for lists of browsers", Nginx, "server { listen 443 ssl; add_header Strict-Transport-Security \"max-age=300; preload\";" + pair + pass + "}", []string{"preload is left out", "tls.hsts = \"5m0s\"\n", "!hsts_preload ="}},
		{"HSTS that ends", Nginx, "server { listen 443 ssl; add_header Strict-Transport-Security max-age=0;" + pair + pass + "}", []string{"tells no browser to forget", "!tls.hsts ="}},
		{
			"unknown load balancers", Nginx, "server { listen 443 ssl proxy_protocol; set_real_ip_from 10.0.0.1; real_ip_header X-Forwarded-For;" + pair + pass + "}",
			[]string{"name the load balancers in proxy_protocol", "!proxy_protocol =", "trusted_proxies = [\"10.0.0.1\"]"},
		},
		{
			"some addresses for load balancers", Nginx, "server { listen 80; listen 443 ssl proxy_protocol; set_real_ip_from 10.0.0.1; set_real_ip_from lb.example.org; real_ip_header proxy_protocol;" + pair + pass + "}",
			[]string{"listen 80: proxy_protocol is for all addresses", "this is none: lb.example.org", "proxy_protocol = [\"10.0.0.1\"]\n", "!trusted_proxies"},
		},
		{
			"no load balancer's address", Nginx, "server { listen 80; set_real_ip_from 10.0.0.1; real_ip_header proxy_protocol;" + pass + "}",
			[]string{"no listen of this server has proxy_protocol", "!proxy_protocol =", "!trusted_proxies"},
		},

		{"the main socket with TLS", Lighttpd, "server.port = 443\nssl.engine = \"enable\"\nssl.pemfile = \"/c\"\n" + lighttpd, []string{"!#", "listen = [\"https://:443\"]", "tls.certificate = [\"/c\"]\n", "!tls.key"}},
		{"two sockets, no redirect", Lighttpd, "$SERVER[\"socket\"] == \"[::]:443\" {\nssl.engine = \"enable\"\nssl.pemfile = \"/c\"\nssl.privkey = \"/k\"\n}\n" + lighttpd, []string{"!#", "listen = [\":80\", \"https://:443\"]", "tls.key = [\"/k\"]\n", "tls.redirect = \"off\""}},
		{"a redirect of the socket", Lighttpd, "server.port = 443\nssl.engine = \"enable\"\nssl.pemfile = \"/c\"\n$SERVER[\"socket\"] == \":80\" {\n$HTTP[\"host\"] =~ \"(.*)\" {\nurl.redirect = ( \"^/(.*)\" => \"https://%1/$1\" )\n}\n}\n" + lighttpd, []string{"!#", "listen = [\"https://:443\", \":80\"]", "!redirect"}},
		{"clients' certificates", Lighttpd, "ssl.engine = \"enable\"\nssl.pemfile = \"/c\"\nssl.verifyclient.activate = \"enable\"\nssl.ca-file = \"/ca\"\nsetenv.set-response-header = ( \"X\" => \"y\" )\n" + lighttpd, []string{"ssl.verifyclient.activate: clients are asked for no certificates", "ssl.ca-file: the chain is", "X: have the application send it"}},
		{"a load balancer without an address", Lighttpd, "extforward.hap-PROXY = \"enable\"\n" + lighttpd, []string{"extforward.hap-PROXY: name the load balancers in proxy_protocol"}},
		{"a list of versions", Lighttpd, "ssl.engine = \"enable\"\nssl.pemfile = \"/c\"\nssl.openssl.ssl-conf-cmd = ( \"Protocol\" => \"-ALL, TLSv1.3\", \"CipherString\" => \"HIGH\" )\n" + lighttpd, []string{"CipherString: cipher suites", "tls.min_version = \"1.3\""}},

		{"a port with TLS", Apache, "Listen 80\nListen 8443 https\n<VirtualHost *:8443>\nServerName a\nSSLCertificateFile /c\nSSLCertificateKeyFile /k\nProxyPass / fcgi://a:1/\n</VirtualHost>", []string{"!#", "listen = [\":80\", \"https://:8443\"]", "tls.certificate = [\"/c\"]\ntls.key = [\"/k\"]\n", "!tls.redirect"}},
		{"versions", Apache, vhost + "SSLProtocol -all +TLSv1.3\nSSLCipherSuite HIGH\n</VirtualHost>", []string{"SSLCipherSuite HIGH: cipher suites", "tls.min_version = \"1.3\""}},
		{"old versions", Apache, vhost + "SSLProtocol all -SSLv3\n</VirtualHost>", []string{"nothing older", "!tls.min_version ="}},
		{"a header that is none of TLS", Apache, vhost + "Header always set Strict-Transport-Security \"max-age=60\"\nHeader unset Strict-Transport-Security\n</VirtualHost>", []string{"Header unset Strict-Transport-Security: have the application", "tls.hsts = \"1m0s\"\n"}},
		{"no HTTP/2", Apache, "Protocols http/1.1\n" + vhost + "</VirtualHost>", []string{"!#", "tls.http = \"1.1\"\n"}},
		{"a condition", Apache, "<VirtualHost *:80>\nServerName a\nRewriteEngine on\nRewriteCond %{HTTPS} off\nRewriteRule (.*) https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]\n</VirtualHost>\n" + vhost + "</VirtualHost>", []string{"!#", "!redirect", "tls.certificate"}},
		{"another condition", Apache, "<VirtualHost *:80>\nServerName a\nRewriteCond %{REQUEST_URI} !^/x\nRewriteRule (.*) https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]\n</VirtualHost>\n" + vhost + "</VirtualHost>", []string{"rules of Sluice have no conditions", "tls.redirect = \"off\""}},
		{"the PROXY protocol", Apache, "RemoteIPProxyProtocol On\n" + vhost + "</VirtualHost>", []string{"RemoteIPProxyProtocol On: name the load balancers in proxy_protocol"}},

		{"a host", Caddy, "a.example.org {\n\treverse_proxy b:1\n}\n", []string{"file:1:1: a.example.org: Caddy obtains its certificate by ACME", "add below [server]: acme = { agree_terms = \"on\" }\n", "listen = [\":80\", \"https://:443\"]", "!agree_terms = \"on\"\n"}},
		{"options", Caddy, "{\n\tacme_ca https://ca.example.org/d\n\tacme_ca_root /ca.pem\n}\na.example.org {\n\ttls me@example.org\n\treverse_proxy b:1\n}\n", []string{"acme = { agree_terms = \"on\", ca = \"https://ca.example.org/d\", ca_root = \"/ca.pem\", email = \"me@example.org\" }"}},
		{"no host, and http", Caddy, "http://a.example.org, :8080 {\n\treverse_proxy b:1\n}\n", []string{"!#", "listen = [\":80\", \":8080\"]", "!https"}},
		{"its own authority", Caddy, "localhost {\n\treverse_proxy b:1\n}\n", []string{"for localhost Caddy has a certificate authority of its own", "there is no certificate", "listen = [\":80\"]"}},
		{"patterns", Caddy, "*.example.org {\n\treverse_proxy b:1\n}\n", []string{"for *.example.org certificates need DNS-01", "listen = [\":80\"]"}},
		{"both ways", Caddy, "http://a.example.org, https://a.example.org:8443 {\n\ttls /c /k {\n\t\tprotocols tls1.3\n\t\tclient_auth {\n\t\t\tmode request\n\t\t}\n\t}\n\treverse_proxy b:1\n}\n", []string{"client_auth: clients are asked for no certificates", "listen = [\":80\", \"https://:8443\"]", "tls.min_version = \"1.3\"", "tls.redirect = \"off\"", "!acme"}},
		{"a redirect that Caddy makes by itself", Caddy, "http://a.example.org {\n\tredir https://{host}{uri} permanent\n}\na.example.org {\n\ttls /c /k\n\treverse_proxy b:1\n}\n", []string{"!#", "!redirect"}},
	} {
		t.Run(string(tt.kind)+" "+tt.name, func(t *testing.T) {
			got := result(t, write(t, "file", tt.text), tt.kind)
			for _, part := range tt.want {
				if absent, isAbsent := strings.CutPrefix(part, "!"); isAbsent == strings.Contains(got, absent) {
					t.Errorf("%q in %s\nbecomes\n%s", part, tt.text, got)
				}
			}
		})
	}
}
