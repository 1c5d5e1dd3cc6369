package framing

// extension is where in a chunk's extensions the scanner is (RFC 9112, section 7.1.1):
//
//	chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
type extension uint8

const (
	extNone        extension = iota // after the size
	extSpace                        // after whitespace that a ";" must follow
	extSemicolon                    // before a name
	extName                         // in one
	extNameSpace                    // after whitespace that a ";" or "=" must follow
	extEquals                       // before a value
	extValue                        // in one
	extQuoted                       // in one that is quoted
	extBackslash                    // after a backslash there
	extQuotedEnded                  // after one
)

// mayEnd reports whether the line may end here.
func (e extension) mayEnd() bool {
	return e == extNone || e == extName || e == extValue || e == extQuotedEnded
}

// next returns where the scanner is after another byte, and whether it may be there.
func (e extension) next(b byte) (_ extension, ok bool) {
	blank := b == ' ' || b == '\t'
	switch e {
	case extNone, extSpace, extValue, extQuotedEnded:
		switch {
		case e == extValue && kindOf[b]&token != 0:
			return e, true
		case blank:
			return extSpace, true
		}
		return extSemicolon, b == ';'
	case extSemicolon:
		if blank {
			return e, true
		}
		return extName, kindOf[b]&token != 0
	case extName, extNameSpace:
		switch {
		case e == extName && kindOf[b]&token != 0:
			return e, true
		case blank:
			return extNameSpace, true
		case b == '=':
			return extEquals, true
		}
		return extSemicolon, b == ';'
	case extEquals:
		switch {
		case blank:
			return e, true
		case b == '"':
			return extQuoted, true
		}
		return extValue, kindOf[b]&token != 0
	case extQuoted:
		switch b {
		case '"':
			return extQuotedEnded, true
		case '\\':
			return extBackslash, true
		}
		return e, kindOf[b]&value != 0
	case extBackslash:
		return extQuoted, kindOf[b]&value != 0
	}
	return e, false
}
