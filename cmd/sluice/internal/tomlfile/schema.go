package tomlfile

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// object is a JSON object.
type object = map[string]any

// Schema returns a JSON Schema of the file, with which editors complete keys and find mistakes.
func Schema() []byte {
	properties := make(object)
	for _, name := range tableNames {
		of := schemaOf(tables[name].schema)
		if name != tableServer {
			of = object{"type": "array", "items": of, "minItems": 1}
		}
		properties[name] = of
	}
	text, err := json.MarshalIndent(object{
		"$schema": "http://json-schema.org/draft-07/schema#",
		"title":   "The configuration of sluice serve",
		"type":    "object", "properties": properties, "additionalProperties": false,
		"required": []string{tableApplication, tableSite},
	}, "", "  ")
	if err != nil {
		panic(err) // texts and numbers
	}
	return append(text, '\n')
}

func schemaOf(schema *config.Schema) object {
	root := newGroup()
	for _, s := range schema.Settings {
		parts := strings.Split(s.Key, ".")
		in := root
		for _, group := range parts[:len(parts)-1] {
			inner, ok := in["properties"].(object)[group].(object)
			if !ok {
				inner = newGroup()
				in["properties"].(object)[group] = inner
			}
			in = inner
		}
		in["properties"].(object)[parts[len(parts)-1]] = schemaOfSetting(s)
	}
	return root
}

func newGroup() object {
	return object{"type": "object", "properties": object{}, "additionalProperties": false}
}

func schemaOfSetting(s *config.Setting) object {
	key := func(s *config.Setting) string { return s.Key }
	doc := s.Explain(key)
	if s.Otherwise != "" {
		doc += " (default: " + s.Preset(key) + ")"
	}
	of := object{"description": doc}
	types := s.Types()
	if of["type"] = types; len(types) == 1 {
		of["type"] = types[0]
	}
	switch {
	case s.IsList():
		of["items"] = object{"type": "string"}
		of["pattern"] = "^[^ ,]+$" // one text for a list of it alone
	case s.IsMap():
		of["additionalProperties"] = object{"type": "string"}
	case len(s.Words) > 0:
		of["enum"] = s.Words
	}
	if s.Default != "" {
		of["default"] = s.Default
		if n, err := strconv.Atoi(s.Default); err == nil && types[0] == "integer" {
			of["default"] = n
		}
	}
	return of
}
