#!/bin/sh
# Runs before the files are removed: "remove" by dpkg, 0 by rpm. It also runs before an upgrade.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	# A copy of the example would start the service again.
	systemctl disable --quiet --now sluice.socket 2>/dev/null || true
	systemctl disable --now sluice.service
fi
