package registry

// Configuration is one version of a server's settings. Create it, Acquire its sites, Start it, and
// Stop it when the next one has started. In the end, Release its sites, also if a step has
// failed.
type Configuration struct {
	registry *Registry
	number   uint64 // later ones have larger numbers
	show     func(*Application) (hide func(), err error)

	runs bool // it runs or has run; guarded by Registry.mu
}

// NewConfiguration returns a configuration that is later than all others. It calls show for each
// application that the configuration begins to use, for example to register its metrics, and hide
// when the configuration has stopped using it. Both must be quick and must not call the registry.
// show may be nil; hide is not called if show fails.
func (r *Registry) NewConfiguration(show func(*Application) (hide func(), err error)) *Configuration {
	if show == nil {
		show = func(*Application) (func(), error) { return func() {}, nil }
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest++
	return &Configuration{registry: r, number: r.latest, show: show}
}
