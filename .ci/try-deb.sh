#!/bin/sh
# Tries two packages in a Debian root: try-deb.sh ROOT OLDER.deb NEWER.deb, as root; ROOT as
# `debootstrap --variant=minbase bookworm ROOT` makes it. No systemd runs in there: the unit's
# command is run by hand, with its user.
set -eu
root=$1 older=$2 newer=$3
in_root() { chroot "$root" "$@"; }
say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
# Files of the system that package tools write themselves are no traces of ours.
files() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp \
    -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache \) -prune -o -print | sort)
}
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; umount "$root/proc" || true' EXIT
mkdir -p "$root/tmp"; rm -f "$root"/etc/*-
before=$(mktemp); after=$(mktemp)
files > "$before"; users=$(in_root getent passwd | sort | md5sum)

say install
cp "$older" "$root/tmp/older.deb"; cp "$newer" "$root/tmp/newer.deb"
in_root dpkg -i /tmp/older.deb
in_root getent passwd spines
[ "$(stat -c %a:%U "$root/etc/spines")" = 750:root ] || fail "/etc/spines is open"
if in_root sh -c 'ls -l /proc/[0-9]*/exe 2>/dev/null' | grep -q /usr/lib/spines/node; then
  fail "something was started"
fi
in_root spines version

say "the unit's command, with its user"
in_root spines init lab -n 1 --dir /tmp/net --addresses 127.0.0.1:18400 >/dev/null
cp "$root"/tmp/net/node-1/* "$root/etc/spines/"
sed -i 's#socket: .*#socket: /run/spines/spines.sock#; s#revocations: .*#revocations: /var/lib/spines/revocations.crl#' "$root/etc/spines/spines.yaml"
in_root sh -c 'chown -R spines:spines /etc/spines/node.key && chmod 640 /etc/spines/* &&
  chgrp spines /etc/spines/* && chmod 600 /etc/spines/node.key
  install -d -o spines -g spines /run/spines && install -d -m 700 -o spines -g spines /var/lib/spines'
command=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/spines.service")
# One process all the way, so that the signal below is the daemon's.
(ulimit -c 0; ulimit -n "$(ulimit -H -n)"; exec chroot "$root" setpriv --reuid spines --regid spines \
  --clear-groups --no-new-privs sh -c "exec $command" 2>"$root/tmp/log") &
daemon=$!
in_root spines status --wait 60s --socket /run/spines/spines.sock | head -3
in_root spines doctor --socket /run/spines/spines.sock | grep -q 'UDP offload *many' ||
  fail "no UDP offload: koffi does not load"
in_root setpriv --reuid spines --regid spines --clear-groups spines config check /etc/spines/spines.yaml
kill "$daemon"; wait "$daemon" || fail "it ended with $?: $(cat "$root/tmp/log")"
daemon=

say upgrade
sums=$(cd "$root/etc/spines" && md5sum * && stat -c '%n %a %U %G' *)
in_root dpkg -i /tmp/newer.deb
[ "$(cd "$root/etc/spines" && md5sum * && stat -c '%n %a %U %G' *)" = "$sums" ] ||
  fail "config or keys changed"
in_root dpkg -s spines | grep ^Version

say "remove keeps config and keys, purge leaves nothing"
in_root dpkg -r spines
[ -f "$root/etc/spines/node.key" ] || fail "keys are gone"
in_root dpkg -P spines
rm -f "$root"/etc/*-
files > "$after"
diff "$before" "$after" || fail "this is left, or gone"
[ "$(in_root getent passwd | sort | md5sum)" = "$users" ] || fail "users differ"
rm -rf "$before" "$after" "$root/tmp/net"
say OK
