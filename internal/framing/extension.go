package framing

// extension is the scanner's position in the extensions of a chunk (RFC 9112, section 7.1.1):
//
//	chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
type extension uint8

const (
	extNone        extension = iota // after the size
	extSpace                        // after whitespace that a ";" must follow
	extSemicolon                    // before a name
	extName                         // in a name
	extNameSpace                    // after whitespace that a ";" or "=" must follow
	extEquals                       // before a value
	extValue                        // in a value
	extQuoted                       // in a quoted value
	extBackslash                    // after a backslash in a quoted value
	extQuotedEnded                  // after a quoted value
)

// mayEnd reports whether the line may end here.
func (e extension) mayEnd() bool {
	return e == extNone || e == extName || e == extValue || e == extQuotedEnded
}

// next returns the position after b. ok is false if b is malformed there.
func (e extension) next(b byte) (_ extension, ok bool) {
	blank := b == ' ' || b == '\t'
	switch e {
	case extNone, extSpace, extValue, extQuotedEnded:
		switch {
		case e == extValue && classOf[b]&token != 0:
			return e, true
		case blank:
			return extSpace, true
		}
		return extSemicolon, b == ';'
	case extSemicolon:
		if blank {
			return e, true
		}
		return extName, classOf[b]&token != 0
	case extName, extNameSpace:
		switch {
		case e == extName && classOf[b]&token != 0:
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
		return extValue, classOf[b]&token != 0
	case extQuoted:
		switch b {
		case '"':
			return extQuotedEnded, true
		case '\\':
			return extBackslash, true
		}
		return e, classOf[b]&value != 0
	case extBackslash:
		return extQuoted, classOf[b]&value != 0
	}
	return e, false
}
