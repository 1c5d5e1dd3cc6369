# Runs on the machine of TestService, as root under systemd.
export PATH=/usr/bin:/usr/sbin

# ok and fails run a command, and say if it does not end as they want.
ok() { "$@" >/tmp/out 2>&1 || { echo "WRONG: $*"; cat /tmp/out; cat /tmp/log; systemctl status --no-pager -l sluice; }; }
fails() { if "$@" >/tmp/out 2>&1; then echo "WRONG, succeeds: $*"; fi; }
has() { grep -q "$1" "$2" || { echo "WRONG: no $1 in $2"; cat "$2"; }; }
: >/tmp/log

ok dpkg --install /sluice.deb
fails systemctl is-enabled --quiet sluice
ok systemctl enable --now sluice
ok systemctl status sluice
has "Serving at 127.0.0.1:8080" /tmp/out
ok systemctl reload sluice

# Another process takes over, and is the service then.
before=$(systemctl show --property=MainPID --value sluice)
ok sluice upgrade
for _ in 1 2 3 4 5 6 7 8 9 10; do
	kill -0 "$before" 2>/dev/null || break
	sleep 1
done
after=$(systemctl show --property=MainPID --value sluice)
[ "$after" != "$before" ] && kill -0 "$after" || echo "WRONG: the main process was $before, and is $after"
ok systemctl status sluice
has "Serving at 127.0.0.1:8080" /tmp/out
ok systemctl reload sluice

# A file with mistakes is not loaded.
echo 'nonsense = 1' >>/etc/sluice/sluice.toml
fails systemctl reload sluice
ok systemctl status sluice
has "was not loaded again.*nonsense" /tmp/out
fails systemctl restart sluice
ok systemctl show --property=NRestarts sluice
has "NRestarts=0" /tmp/out

# An application in the service, sockets of systemd, and a cgroup for its memory.
cat >/etc/sluice/sluice.toml <<'END'
[server]
listen = ["systemd:http"]
[[application]]
name = "a"
spawn.command = ["sh", "-c", "cat /proc/self/status >&2; echo x >/var/lib/sluice/x && echo written >&2; echo x >/etc/x; exec sleep 1000"]
spawn.memory_total = "100MiB"
[[site]]
END
mkdir -p /etc/systemd/system/sluice.service.d
printf '[Service]\nStandardError=append:/tmp/log\n' >/etc/systemd/system/sluice.service.d/log.conf
cp /usr/share/doc/sluice/examples/sluice.socket /etc/systemd/system/
ok systemctl daemon-reload
ok systemctl start sluice.socket
ok systemctl start sluice
ok systemctl restart sluice
ok systemctl show --property=StatusText sluice
has "Serving at .*:80" /tmp/out
ok systemctl reload sluice
i=0
until grep -q "cannot create" /tmp/log || [ $i = 60 ]; do sleep 1; i=$((i + 1)); done # the application writes
has 'by="cgroup v2"' /tmp/log
has "NoNewPrivs:..1" /tmp/log
has "CapEff:..0000000000000400" /tmp/log
has "Seccomp:..2" /tmp/log
has "written" /tmp/log
has "cannot create /etc/x: Read-only file system" /tmp/log

# An upgrade keeps the file, and starts the service anew.
ok dpkg --install /sluice.deb
has "listen = ..systemd:http" /etc/sluice/sluice.toml
ok systemctl is-active sluice

ok dpkg --remove sluice
fails systemctl is-active sluice
[ -e /etc/sluice/sluice.toml ] && [ -e /var/lib/sluice/x ] || echo "WRONG: the removal takes too much"
ok dpkg --purge sluice
[ ! -e /etc/sluice ] && [ ! -e /var/lib/sluice ] && [ ! -e /var/log/sluice ] || echo "WRONG: the purge leaves something"
echo "test.sh: all is done"
systemctl poweroff --force --force
