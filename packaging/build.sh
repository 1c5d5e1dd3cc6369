#!/bin/sh
# Makes the .deb and the .rpm of the standalone binary: build.sh DIRECTORY ARCHITECTURE...
#
# From the same commit come the same bytes. The version is the commit's tag or, without one, of its
# date and hash. The version and the date can be given instead, for a tree without a repository:
# VERSION=1.2.3 SOURCE_DATE_EPOCH=1796000000. With BINARY=FILE, that is in the packages, and nothing is
# built; with EXAMPLE=FILE, that is their sluice.toml.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
NFPM=${NFPM:-$GO run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2}

# go build takes what it says of the commit from a repository, and knows nothing of linked worktrees.
buildvcs=false
if git rev-parse HEAD >/dev/null 2>&1; then
	buildvcs=true
	: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
	: "${VERSION:=$(git describe --tags --exact-match 2>/dev/null || TZ=UTC git log -1 --date=format-local:%Y%m%d%H%M%S --abbrev=12 --format=v0.0.0-%cd.%h)}"
fi
: "${VERSION:?is not set, and this is no Git repository: set it, such as to 1.2.3}"
: "${SOURCE_DATE_EPOCH:?is not set, and this is no Git repository: set it to the seconds since 1970}"
VERSION=${VERSION#v}
date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)
export SOURCE_DATE_EPOCH VERSION ARCH STAGE

out=$1
shift
umask 022
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

mkdir "$work/pages"
GOOS='' GOARCH='' $GO run -tags pages ./cmd/sluice pages "$work/pages" "$date"
for ARCH; do
	STAGE=$work/$ARCH
	root=$STAGE/usr
	mkdir -p "$root/bin" "$root/share/man/man1" "$root/share/man/man5"
	if [ -n "${BINARY:-}" ]; then
		install -m 755 "$BINARY" "$root/bin/sluice"
	else
		CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH $GO build -buildvcs=$buildvcs -pgo=cmd/sluice/sluice.pgo -trimpath -ldflags '-s -w' -o "$root/bin/sluice" ./cmd/sluice
	fi
	for page in "$work"/pages/man/*; do
		gzip -9nc "$page" >"$root/share/man/man${page##*.}/${page##*/}.gz"
	done
	file() { install -D -m 644 "$1" "$root/$2"; }
	file "$work/pages/sluice.bash" share/bash-completion/completions/sluice
	file "$work/pages/_sluice" share/zsh/site-functions/_sluice
	file "$work/pages/sluice.fish" share/fish/vendor_completions.d/sluice.fish
	file packaging/sluice.service lib/systemd/system/sluice.service
	file packaging/sysusers.conf lib/sysusers.d/sluice.conf
	file packaging/tmpfiles.conf lib/tmpfiles.d/sluice.conf
	file packaging/sluice.socket share/doc/sluice/examples/sluice.socket
	file LICENSE share/doc/sluice/copyright
	file CHANGELOG.md share/doc/sluice/CHANGELOG.md
	install -m 644 "${EXAMPLE:-cmd/sluice/example.toml}" "$STAGE/sluice.toml" # what "sluice config example" prints
	find "$STAGE" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	for format in deb rpm; do
		$NFPM package --config packaging/nfpm.yaml --packager "$format" --target "$out/"
	done
done
