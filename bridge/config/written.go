package config

import (
	"fmt"
	"regexp"
)

// Written records under which names a user has written the settings that have a former name. Front
// ends accept a former name with the meaning of the present one. With a Written, they refuse a
// setting that is given under both names, tell the present name, and name in errors what the user
// wrote. Names are keys, or flags with their two hyphens.
//
// The zero value is ready to use. A nil *Written has recorded nothing.
type Written struct {
	names  map[*Setting]string
	former []*Setting // written under their former names, in that order
}

// Add records that the user has written s under a name. It returns an error if s has been written
// under its other name before. The error text continues after the name.
func (w *Written) Add(s *Setting, name string) error {
	if s.Former == "" {
		return nil
	}
	other, again := w.names[s]
	present, former := s.present(name)
	switch {
	case again && other != name && former:
		return fmt.Errorf("is the former name of %s, which is given as well", present)
	case again && other != name:
		return fmt.Errorf("is given, and so is %s, its former name", other)
	case again:
		return nil
	case w.names == nil:
		w.names = make(map[*Setting]string)
	}
	w.names[s] = name
	if former {
		w.former = append(w.former, s)
	}
	return nil
}

// present returns the present name of s in the notation of name, and reports whether name is
// the former one.
func (s *Setting) present(name string) (present string, former bool) {
	switch name {
	case s.Former:
		return s.Key, true
	case "--" + s.FormerFlag:
		return "--" + s.Flag, true
	}
	return name, false
}

// Renamed returns a sentence for the log about each former name in use: "flow.key is now
// called client.key".
func (w *Written) Renamed() (sentences []string) {
	if w == nil {
		return nil
	}
	for _, s := range w.former {
		present, _ := s.present(w.names[s])
		sentences = append(sentences, w.names[s]+" is now called "+present)
	}
	return sentences
}

// anyName matches whatever may be a key or a flag, and quoted texts, which are skipped.
var anyName = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-*[a-z]+(?:[._-][a-z]+)*`)

// In returns err with the names that the user wrote instead of the present ones.
func (w *Written) In(err error) error {
	if w == nil || len(w.former) == 0 || err == nil {
		return err
	}
	names := make(map[string]string)
	for _, s := range w.former {
		present, _ := s.present(w.names[s])
		names[present] = w.names[s]
	}
	text := anyName.ReplaceAllStringFunc(err.Error(), func(name string) string {
		if former, ok := names[name]; ok {
			return former
		}
		return name
	})
	return &renamedError{text, err}
}

// renamedError is an error with other names in its text.
type renamedError struct {
	text string
	err  error
}

func (e *renamedError) Error() string { return e.text }
func (e *renamedError) Unwrap() error { return e.err }
