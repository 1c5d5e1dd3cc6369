package metrics

import "github.com/sluice-proxy/sluice/bridge"

// authorizerFamilies returns the metrics of the authorizer. There are no series without one.
func authorizerFamilies() []family {
	return []family{
		{
			"authorizer_decisions_total", counter, "Requests that the authorizer was asked about, by its decision: granted, also by an answer that is remembered, denied, or failed if there was none.",
			[]string{"decision"},
			func(s *bridge.Snapshot, out sink) {
				if a := s.Authorizer; a != nil {
					out.value(float64(a.Granted), "granted")
					out.value(float64(a.Denied), "denied")
					out.value(float64(a.Failed), "failed")
				}
			},
		},
		{
			"authorizer_workers", gauge, "Requests that the authorizer is asked about at once at most, as configured.", nil,
			ofAuthorizer(func(a *bridge.AuthorizerSnapshot) int { return a.Workers }),
		},
		{
			"authorizer_in_use", gauge, "Requests that the authorizer is asked about.", nil,
			ofAuthorizer(func(a *bridge.AuthorizerSnapshot) int { return a.InUse }),
		},
		{
			"authorizer_waiting", gauge, "Requests that wait for a worker of the authorizer.", nil,
			ofAuthorizer(func(a *bridge.AuthorizerSnapshot) int { return a.Waiting }),
		},
	}
}

func ofAuthorizer(value func(*bridge.AuthorizerSnapshot) int) reader {
	return func(s *bridge.Snapshot, out sink) {
		if s.Authorizer != nil {
			out.value(float64(value(s.Authorizer)))
		}
	}
}
