#!/bin/sh
# Runs after the files were removed: "remove" and then perhaps "purge" by dpkg, 0 by rpm.
set -e
case "$1" in
purge) rm -rf /var/lib/sluice /var/log/sluice ;;
# What Sluice, its applications or the administrator have written stays.
remove | 0) rmdir /var/lib/sluice /var/log/sluice 2>/dev/null || true ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
