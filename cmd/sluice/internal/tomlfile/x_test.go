package tomlfile
import ("testing";"fmt")
func TestX(t *testing.T){
 for _, src := range []string{`
[server]
listn = [":80"]
timeouts.header = 3
max_header = "lots"
log_level = "trace"
[[application]]
name = "wiki"
backends = "unix:/run/x"
wokers = "3"
workers = "3"
lanes = true
spawn.command = ["x"]
queue = 3
timeouts.first_byte = "3s"
max_upgraded = 9223372036854775808
[[application]]
name = "wiki"
backends = ["/x"]
reserve = -1
spawn.comand = 1
[[site]]
hosts = ["a.org", "b.org/x"]
application = "wki"
workers = 3
env = { A = 3 }
mount = "/x"
[site.queue]
poll_answer = { status = 20 }
[[site]]
hosts = ["A.org"]
mount = "/x/"
[sites]
[application.x]
`, ``, "[[application]]\nname = \"w\"\nbackends = [\"unix:/run/x\"]\nclient.limit = 3\nflow.limit=2\n[[site]]\nclient.max_addresses = \"3 per 10m\"\nclient.per = \"3m\"\n[[site]]\nclient = {key=\"user\", max_addresses = 3}\n"} {
 f, err := Parse("s.toml", []byte(src))
 fmt.Println(err)
 _ = f
 }
 f, err := Parse("s.toml", []byte("[[application]]\nname = \"w\"\nbackends = [\"unix:/run/x\"]\nclient.limit = 3\n[[site]]\nclient.key=\"user\"\nclient.max_addresses = \"3 per 10m\"\nenv={A=\"é\\n\"}\n"))
 if err != nil { t.Fatal(err) }
 s, err := f.Show()
 fmt.Println(string(s), err)
 s, _ = Write(&f.Standalone)
 fmt.Println(string(s))
 g, err := Parse("g", s)
 fmt.Println(g!=nil, err, len(Schema()))
}
