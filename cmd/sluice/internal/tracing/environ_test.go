package tracing

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		env    string
		wanted bool
		err    string
	}{
		{"", false, ""},
		{"OTEL_SERVICE_NAME=x", false, ""},
		{"OTEL_TRACES_EXPORTER=otlp", true, ""},
		{"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://x", false, ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://x", true, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x", true, ""},
		{"OTEL_SDK_DISABLED=TRUE OTEL_EXPORTER_OTLP_ENDPOINT=http://x", false, ""},
		{"OTEL_TRACES_EXPORTER=zipkin", false, `OTEL_TRACES_EXPORTER is "zipkin": want otlp or none`},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": want http/protobuf`},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", true, ""},
	} {
		wanted, err := isWanted(variables(c.env))
		if wanted != c.wanted || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %v, %v", c.env, wanted, err)
		}
	}
}

func variables(text string) environ {
	env := make(map[string]string)
	for pair := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return func(name string) string { return env[name] }
}

func TestClient(t *testing.T) {
	c, err := variables("").client()
	if err != nil || c.endpoint != "http://localhost:4318/v1/traces" || c.timeout != 10*time.Second || c.gzip || c.headers != nil {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = variables("OTEL_EXPORTER_OTLP_ENDPOINT=https://x/otlp/ OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=250 OTEL_EXPORTER_OTLP_TIMEOUT=x " +
		"OTEL_EXPORTER_OTLP_COMPRESSION=gzip OTEL_EXPORTER_OTLP_HEADERS=a=b%20c,d=e=f").client()
	if err != nil || c.endpoint != "https://x/otlp/v1/traces" || c.timeout != 250*time.Millisecond || !c.gzip || !maps.Equal(c.headers, map[string]string{"a": "b c", "d": "e=f"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = variables("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x/y").client(); err != nil || c.endpoint != "http://x/y" {
		t.Errorf("%+v, %v", c, err)
	}
	none := filepath.Join(t.TempDir(), "none.pem")
	if err := os.WriteFile(none, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318":           "want a URL such as",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s":                       "want milliseconds",
		"OTEL_EXPORTER_OTLP_COMPRESSION=br":                    "want gzip or none",
		"OTEL_EXPORTER_OTLP_HEADERS=secret":                    "want name=value",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/missing.pem":          "OTEL_EXPORTER_OTLP_CERTIFICATE: open /missing.pem",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=" + none:               "has no certificate",
		"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE=" + none: "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE: ",
	} {
		if _, err := variables(env).client(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", env, err)
		}
	}
}

func TestTraceID(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for in, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01": id, "": "", "00-" + id: "", "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": "", "00-" + strings.Repeat("\n", 60): "",
	} {
		if got := TraceID(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
