package classify

// queryName is a name in a query. rest says that a number or an index followed the text: one
// of many.
type queryName struct {
	text string
	rest bool
}

func (n queryName) less(other queryName) bool {
	if n.text != other.text {
		return n.text < other.text
	}
	return !n.rest && other.rest
}

// appendNames appends the distinct names of a query, sorted. A part without "=" may be a value
// and is a "*". Parts end at "&" and ";".
func appendNames(dst []byte, query string) []byte {
	if query == "" {
		return dst
	}
	var names [maxNames]queryName
	n, more := 0, false
	for parts := 0; query != ""; parts++ {
		if parts == maxParts {
			more = true
			break
		}
		var name queryName
		name, query = nextName(query)
		i := n
		for i > 0 && name.less(names[i-1]) {
			i--
		}
		if i > 0 && names[i-1] == name {
			continue
		}
		if n == maxNames {
			more = true
			if i == n {
				continue
			}
			n--
		}
		copy(names[i+1:n+1], names[i:n])
		names[i] = name
		n++
	}
	separator := byte('?')
	for _, name := range names[:n] {
		dst = append(dst, separator)
		dst = append(dst, name.text...)
		if name.rest {
			dst = append(dst, '*')
		}
		separator = ','
	}
	if more {
		dst = append(dst, ",**"...)
	}
	return dst
}

// nextName takes the first part off a query that is not empty.
func nextName(query string) (name queryName, rest string) {
	length := -1 // of the name
	end := 0
scan:
	for ; end < len(query); end++ {
		switch query[end] {
		case '&', ';':
			break scan
		case '=':
			if length < 0 {
				length = end
			}
		}
	}
	rest = query[min(end+1, len(query)):]
	if length < 0 {
		return queryName{rest: true}, rest
	}
	return cleanName(query[:length]), rest
}

// cleanName keeps a name up to an index or a number at its end. A long or encoded name is "*".
func cleanName(s string) queryName {
	i := 0
	for i < len(s) && isNamePart(s[i]) {
		i++
	}
	if i == 0 || i > maxName || i < len(s) && s[i] != '[' {
		return queryName{rest: true}
	}
	end := i
	for end > 0 && isDigit(s[end-1]) {
		end--
	}
	if plain, _ := isWords(s[:end]); !plain || end == 0 {
		return queryName{rest: true}
	}
	return queryName{s[:end], end < len(s)}
}
