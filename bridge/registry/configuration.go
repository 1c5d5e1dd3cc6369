package registry

// Configuration is one version of the settings of a server. Make it, Acquire what it uses,
// Start it, and Stop it when the next one has started; Release what it uses last, also if
// something of that has failed.
type Configuration struct {
	registry *Registry
	number   uint64 // later ones have larger numbers
	show     func(*Application) (hide func(), err error)

	runs bool // or did; Registry.mu
}

// NewConfiguration returns a configuration that is later than all before. Show is called with
// each application that the configuration begins to use, such as to register metrics of it;
// hide, when it does not use it any more. They must be quick, and not call the registry. Show
// may be nil; hide is not called if show fails.
func (r *Registry) NewConfiguration(show func(*Application) (hide func(), err error)) *Configuration {
	if show == nil {
		show = func(*Application) (func(), error) { return func() {}, nil }
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest++
	return &Configuration{registry: r, number: r.latest, show: show}
}
