#!/bin/sh
# Installs with apt what the integration tests and the peer benchmark drive.
# Run as root on Debian. Does nothing, quickly, when everything is there.
# No service is started, and none that this script installs is left enabled:
# the tests start every backend themselves, on private sockets.
set -eu

# PHP is asked for by its unversioned names, so that the release's own PHP
# comes. php-fpm and php-cgi are in the same transaction as dokuwiki, whose
# dependency on a PHP would otherwise bring Apache.
packages="
	php-fpm php-cgi php-xml php-mbstring php-gd dokuwiki
	gcc libc6-dev libfcgi-dev
	perl libfcgi-perl libcgi-pm-perl libcgi-fast-perl libscgi-perl gitweb
	fcgiwrap cgit git
	php-cli php-sqlite3 mediawiki roundcube-core roundcube-sqlite3 cgi-mapserver
	python3 python3-jinja2 python3-setuptools uwsgi-core uwsgi-plugin-python3 gunicorn python3-gevent uvicorn python3-waitress nodejs
	shibboleth-sp-utils xmlsec1 openssl
	chromium fonts-dejavu-core
	redis-server
	nginx-light lighttpd apache2 haproxy netcat-openbsd wrk curl prometheus apache2-utils
	systemd man-db rpm qemu-user-static
"
units="php*-fpm.service fcgiwrap.service fcgiwrap.socket nginx.service apache2.service apache-htcacheclean.service haproxy.service lighttpd.service phpsessionclean.timer prometheus.service shibd.service redis-server.service"

# A library that applications have themselves held with, as it is published.
grip=/usr/local/share/sluice-test/grip
grip_version=4.3.0
wanted_grip=""
[ -e "$grip/node_modules/@fanoutio/grip/package.json" ] || wanted_grip=@fanoutio/grip@$grip_version

# Request Tracker and WordPress take too long to install for every run: "setup.sh proofs" installs them, too.
if [ "${1:-}" = proofs ]; then
	packages="$packages request-tracker5 rt5-db-sqlite wordpress wordpress-theme-twentytwentythree php-mysql mariadb-server"
	units="$units mariadb.service exim4.service exim4-base.timer"
fi

# Trac is in no Debian 12. The package of Debian 13, in Python alone, is unpacked: its dependencies are above.
trac=/usr/local/share/sluice-test/trac
wanted_trac=""
[ -e "$trac" ] || wanted_trac=trac

# Some tests need a machine of their own, which is emulated. Its kernel is unpacked, not
# installed: nothing else is to boot it.
kernel=/usr/local/share/sluice-test/vmlinuz
wanted_kernel=""
architecture=$(dpkg --print-architecture)
case $architecture in
amd64) packages="$packages qemu-system-x86" ;;
arm64) packages="$packages qemu-system-arm" ;;
esac
case $architecture in
amd64 | arm64) [ -e "$kernel" ] || wanted_kernel=linux-image-cloud-$architecture ;;
esac

# A certificate authority that speaks ACME, and a name server for it, which Debian does not have.
pebble=github.com/letsencrypt/pebble/v2/cmd pebble_version=v2.10.1
if ! command -v pebble >/dev/null || ! command -v pebble-challtestsrv >/dev/null; then
	echo "setup.sh: installing pebble $pebble_version"
	GOBIN=/usr/local/bin go install "$pebble/pebble@$pebble_version" "$pebble/pebble-challtestsrv@$pebble_version"
fi

# present lists installed packages and the names they provide: php8.2-fpm is
# php-fpm, and a machine that has it needs nothing more.
present() {
	dpkg-query -W -f='${db:Status-Status} ${Package}, ${Provides}\n' |
		sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/ .*//; s/:.*//'
}

# enabled_units lists those of our units that start at boot.
enabled_units() {
	command -v systemctl >/dev/null || return 0
	# shellcheck disable=SC2086 # a list of patterns
	systemctl list-unit-files --no-legend --state=enabled $units 2>/dev/null | awk '{print $1}' || true
}

installed=$(present | sort -u)
missing=""
for p in $packages; do
	printf '%s\n' "$installed" | grep -qxF -- "$p" || missing="$missing $p"
done
if [ -n "$wanted_grip" ] && ! command -v npm >/dev/null; then
	missing="$missing npm"
fi
if [ -z "$missing$wanted_kernel$wanted_trac$wanted_grip" ]; then
	exit 0
fi

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "setup.sh: missing:$missing $wanted_kernel $wanted_trac $wanted_grip; run this as root on Debian, or install them by hand" >&2
	exit 1
fi
echo "setup.sh: installing:$missing $wanted_kernel $wanted_trac $wanted_grip"

# policy-rc.d is how Debian is told not to start services on installation.
# One that is there already belongs to the machine and stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

enabled_before=$(enabled_units)
export DEBIAN_FRONTEND=noninteractive
[ -z "$missing$wanted_kernel" ] || apt-get update -qq
# shellcheck disable=SC2086 # a list of names
[ -z "$missing" ] || apt-get install -y -qq --no-install-recommends $missing

if [ -n "$wanted_kernel" ]; then
	unpacked=$(mktemp -d)
	# The package itself is empty, and depends on the newest one that is not.
	package=$(apt-cache depends "$wanted_kernel" | sed -n 's/^ *Depends: //p' | head -n 1)
	(cd "$unpacked" && apt-get download -qq "$package" && dpkg -x ./*.deb .)
	install -D -m 644 "$unpacked"/boot/vmlinuz-* "$kernel"
	rm -r "$unpacked"
fi

if [ -n "$wanted_grip" ]; then
	mkdir -p "$grip"
	npm install --prefix "$grip" --no-save --no-audit --no-fund --silent "$wanted_grip"
fi

if [ -n "$wanted_trac" ]; then
	lists=$(mktemp -d)
	mkdir -p "$lists/lists/partial" "$lists/archives/partial"
	echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' >"$lists/sources"
	set -- -qq -o APT::Sandbox::User=root -o "Dir::Etc::sourcelist=$lists/sources" -o Dir::Etc::sourceparts=- \
		-o "Dir::State::lists=$lists/lists" -o "Dir::Cache::archives=$lists/archives" \
		-o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
	(cd "$lists" && apt-get "$@" update && apt-get "$@" download "$wanted_trac" && dpkg -x ./*.deb "$lists/trac")
	mkdir -p "${trac%/*}"
	mv "$lists/trac" "$trac"
	rm -r "$lists"
fi

for unit in $(enabled_units); do
	printf '%s\n' "$enabled_before" | grep -qxF -- "$unit" || systemctl disable --quiet "$unit"
done
