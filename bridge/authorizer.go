package bridge

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
)

// guard returns what says which requests of a site the authorizer of its application is asked
// about. Both are complete.
func guard(s *SiteConfig, a *ApplicationConfig) (cgi.Guard, error) {
	if a.Authorizer == nil && s.Authorization.IsSet() {
		return cgi.Guard{}, errors.New("authorizer.address: is not set, and other settings of an authorizer are: without it, nothing would be protected")
	}
	variables := s.Authorization.Variables
	switch {
	case a.Authorizer != nil && a.Authorizer.SpeaksHTTP():
		variables = nil // cgi.Config.GrantedFields
	case a.Protocol == config.HTTP && len(variables) > 0:
		return cgi.Guard{}, errors.New("authorizer.variables: means nothing to an application that speaks http, if the authorizer speaks fastcgi: only the user is passed, in the field that pass_user names; an authorizer that speaks http can give fields")
	}
	if err := cgi.CheckNames(s.Authorization.Fields, variables); err != nil {
		return cgi.Guard{}, err
	}
	return cgi.NewGuard(s.Mount, s.Authorization.Paths, s.Authorization.Except)
}

// grantedFields returns the fields of the authorizer's answer that the application gets, nil if the
// authorizer does not speak HTTP.
func grantedFields(s *SiteConfig, a *ApplicationConfig) []string {
	switch {
	case a.Authorizer == nil || !a.Authorizer.SpeaksHTTP():
		return nil
	case len(s.Authorization.Variables) > 0:
		return s.Authorization.Variables
	}
	return cgi.UsualGrantedFields
}

// protect has the authorizer of the application asked, if there is one.
func (h *Handler) protect() {
	s, authorizer := &h.serves, h.app.app.Authorizer
	if authorizer == nil {
		return
	}
	s.Authorizer, s.Guard = authorizer, h.cfg.guard
	s.Authorizing = blocking.Application{Gate: authorizer.Gate, Pool: authorizer.Pool}
}

// authorizedKey is in the context of a request that the authorizer has let pass.
type authorizedKey struct{}

// serveFile has the front send a static file, if r asks for one. The authorizer was asked.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request) (status int, bytes int64) {
	return h.cfg.ServeFile(w, r.WithContext(context.WithValue(r.Context(), authorizedKey{}, true)))
}

// guarded reports whether the authorizer must be asked about r first.
func (h *Handler) guarded(r *http.Request) bool {
	return h.serves.Authorizer != nil && h.serves.Mapper.Guarded(&h.serves.Guard, r) && r.Context().Value(authorizedKey{}) == nil
}
