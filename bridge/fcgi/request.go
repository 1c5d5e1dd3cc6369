package fcgi

import (
	"encoding/binary"
	"fmt"
)

// Role is what the application is asked to be (section 6).
type Role uint16

// The three roles of FastCGI 1.0.
const (
	RoleResponder  Role = 1
	RoleAuthorizer Role = 2
	RoleFilter     Role = 3
)

// FlagKeepConn asks the application to keep the connection open after its
// answer (FCGI_KEEP_CONN).
const FlagKeepConn uint8 = 1

// BeginRequest is the content of a BEGIN_REQUEST record (section 5.1).
type BeginRequest struct {
	Role  Role
	Flags uint8
}

// AppendBeginRequest appends a BEGIN_REQUEST record.
func AppendBeginRequest(dst []byte, id uint16, m BeginRequest) []byte {
	return appendRecord(dst, TypeBeginRequest, id, []byte{byte(m.Role >> 8), byte(m.Role), m.Flags, 0, 0, 0, 0, 0})
}

// DecodeBeginRequest decodes the content of a BEGIN_REQUEST record.
func DecodeBeginRequest(content []byte) (BeginRequest, error) {
	if err := wantEight(TypeBeginRequest, content); err != nil {
		return BeginRequest{}, err
	}
	return BeginRequest{Role: Role(binary.BigEndian.Uint16(content)), Flags: content[2]}, nil
}

// AppendAbortRequest appends an ABORT_REQUEST record (section 5.4).
func AppendAbortRequest(dst []byte, id uint16) []byte {
	return appendRecord(dst, TypeAbortRequest, id, nil)
}

// ProtocolStatus says how the application's FastCGI layer dealt with a request
// (section 5.5).
type ProtocolStatus uint8

// The four protocol statuses of FastCGI 1.0.
const (
	StatusRequestComplete ProtocolStatus = 0
	StatusCantMpxConn     ProtocolStatus = 1
	StatusOverloaded      ProtocolStatus = 2
	StatusUnknownRole     ProtocolStatus = 3
)

func (s ProtocolStatus) String() string {
	switch s {
	case StatusRequestComplete:
		return "REQUEST_COMPLETE"
	case StatusCantMpxConn:
		return "CANT_MPX_CONN"
	case StatusOverloaded:
		return "OVERLOADED"
	case StatusUnknownRole:
		return "UNKNOWN_ROLE"
	}
	return fmt.Sprintf("protocol status %d", uint8(s))
}

// EndRequest is the content of an END_REQUEST record (section 5.5).
type EndRequest struct {
	AppStatus      uint32 // the program's exit status; CGI semantics
	ProtocolStatus ProtocolStatus
}

// AppendEndRequest appends an END_REQUEST record.
func AppendEndRequest(dst []byte, id uint16, m EndRequest) []byte {
	var c [8]byte
	binary.BigEndian.PutUint32(c[:], m.AppStatus)
	c[4] = byte(m.ProtocolStatus)
	return appendRecord(dst, TypeEndRequest, id, c[:])
}

// DecodeEndRequest decodes the content of an END_REQUEST record.
func DecodeEndRequest(content []byte) (EndRequest, error) {
	if err := wantEight(TypeEndRequest, content); err != nil {
		return EndRequest{}, err
	}
	return EndRequest{AppStatus: binary.BigEndian.Uint32(content), ProtocolStatus: ProtocolStatus(content[4])}, nil
}

func wantEight(t Type, content []byte) error {
	if len(content) < 8 {
		return fmt.Errorf("%v: %w", t, ErrShort)
	}
	if len(content) > 8 {
		return &FormatError{t.String(), fmt.Sprintf("content is %d bytes, want 8", len(content))}
	}
	return nil
}
