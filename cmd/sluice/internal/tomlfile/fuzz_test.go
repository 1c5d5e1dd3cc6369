package tomlfile

import (
	"reflect"
	"testing"
)

// Whatever a file has: mistakes are errors, each in the file, and what is in order can be written and
// read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(inOrder))
	f.Add([]byte("[[application]]\nname = \"a\"\nspawn = { command = [\"x\"], env = { A = \"b\" } }\ntimeouts.dial = \"1d2s\"\nspool.disk = 0x10_00\n[[site]]\nclient.max_addresses = \"3 per 10m\"\nclient.key = 'user'\n[site.env]\n\"a b\" = \"\"\"\n\\u00e9\"\"\"\n"))
	f.Add([]byte("[server]\nlisten = [{ a = 1 }, [2]]\nx.y = 1979-05-27\n[[server.listen]]\n[application.spawn]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("s.toml", data)
		if err != nil {
			for _, p := range err.(Problems) {
				if p.At.Line < 0 || p.At.Column < 0 || p.Text == "" {
					t.Errorf("%+v", p)
				}
			}
			return
		}
		text, err := Write(&file.Standalone)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again.toml", text)
		if err != nil || !reflect.DeepEqual(again.Standalone, file.Standalone) {
			t.Errorf("%v\n%s", err, text)
		}
		if _, err := file.Show(); err != nil {
			t.Error(err)
		}
	})
}
