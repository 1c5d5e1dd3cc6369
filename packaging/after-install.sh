#!/bin/sh
# Runs after the files are there: "configure VERSION-BEFORE" by dpkg, the number of versions by rpm.
set -e
case "$1 $2" in
"configure " | "1 ") first=yes ;;
configure* | "2 ") first=no ;;
*) exit 0 ;;
esac

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers sluice.conf
	systemd-tmpfiles --create sluice.conf || true # not in a root without /proc; the service makes them, too
else
	echo "sluice: without systemd, make the user and the group sluice, /var/lib/sluice and /var/log/sluice yourself"
fi
# The service reads the file as the user sluice, and nobody else has to.
if [ $first = yes ] && command -v getent >/dev/null && getent group sluice >/dev/null; then
	chgrp sluice /etc/sluice /etc/sluice/sluice.toml
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	[ $first = yes ] || systemctl try-restart sluice.service
fi
if [ $first = yes ]; then
	echo "sluice: write your applications into /etc/sluice/sluice.toml, then: systemctl enable --now sluice"
fi
