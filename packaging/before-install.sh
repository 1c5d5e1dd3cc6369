#!/bin/sh
# Runs before rpm unpacks the files, some of which are the group's. The line is that of sysusers.conf.
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers --replace=/usr/lib/sysusers.d/sluice.conf --inline 'u sluice - "Sluice, a gate in front of web applications" /var/lib/sluice'
fi
