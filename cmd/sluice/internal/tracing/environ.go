package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// environ is what the OTEL_EXPORTER_OTLP_ variables say. One for traces counts more than the one for
// everything.
type environ func(string) string

// get returns a variable and its name.
func (env environ) get(what string) (name, value string) {
	name = "OTEL_EXPORTER_OTLP_TRACES_" + what
	if value = env(name); value == "" {
		name = "OTEL_EXPORTER_OTLP_" + what
		value = env(name)
	}
	return name, value
}

// client returns the exporter's client.
func (env environ) client() (*client, error) {
	c := &client{timeout: 10 * time.Second, http: new(http.Client)}
	for _, set := range []func(*client) error{env.setEndpoint, env.setHeaders, env.setTimeout, env.setCompression, env.setTLS} {
		if err := set(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (env environ) setEndpoint(c *client) error {
	name, value := env.get("ENDPOINT")
	if value == "" {
		value = "http://localhost:4318"
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%s is %q: want a URL such as http://localhost:4318", name, value)
	}
	if name != "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
		u = u.JoinPath("v1", "traces")
	}
	c.endpoint = u.String()
	return nil
}

func (env environ) setHeaders(c *client) error {
	name, value := env.get("HEADERS")
	if value == "" {
		return nil
	}
	c.headers = make(map[string]string)
	for pair := range strings.SplitSeq(value, ",") {
		key, text, found := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(text))
		if key = strings.TrimSpace(key); !found || err != nil || key == "" {
			return fmt.Errorf("%s: want name=value, and commas between several", name) // the value may be secret
		}
		c.headers[key] = decoded
	}
	return nil
}

func (env environ) setTimeout(c *client) error {
	name, value := env.get("TIMEOUT")
	if value == "" {
		return nil
	}
	ms, err := strconv.Atoi(value)
	if err != nil || ms < 1 {
		return fmt.Errorf("%s is %q: want milliseconds, at least 1", name, value)
	}
	c.timeout = time.Duration(ms) * time.Millisecond
	return nil
}

func (env environ) setCompression(c *client) error {
	switch name, value := env.get("COMPRESSION"); value {
	case "gzip":
		c.gzip = true
	case "", "none":
	default:
		return fmt.Errorf("%s is %q: want gzip or none", name, value)
	}
	return nil
}

func (env environ) setTLS(c *client) error {
	name, authority := env.get("CERTIFICATE")
	certName, certificate := env.get("CLIENT_CERTIFICATE")
	_, key := env.get("CLIENT_KEY")
	if authority == "" && certificate == "" {
		return nil
	}
	cfg := new(tls.Config)
	if authority != "" {
		text, err := os.ReadFile(authority)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s: %s has no certificate in PEM", name, authority)
		}
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return fmt.Errorf("%s: %w", certName, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	c.http.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg}
	return nil
}
