package app

import (
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream/http1"
	"github.com/sluice-proxy/sluice/bridge/upstream/scgi"
	"github.com/sluice-proxy/sluice/bridge/upstream/uwsgi"
)

// codecOf returns the codec for what an application speaks. app is complete.
func codecOf(app *config.Application) upstream.Codec {
	switch app.Protocol {
	case config.SCGI:
		return scgi.Codec{}
	case config.UWSGI:
		return uwsgi.Codec{}
	case config.HTTP:
		return http1.Codec{}
	default:
		return fastcgi.Codec{}
	}
}
