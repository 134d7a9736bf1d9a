#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An instance on oxenstored, the other implementation of the store: domains come and go, guests are kept to their own
# nodes, watches fire, Xen's test-xenstore passes, ringwayd serves a disk; also for an ordinary user. It answers some
# errors otherwise than xenstored (see common/xenloop/README.md): none of what follows depends on that.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy setpriv
xen_program oxenstored
oxenstored=$xen_program
xen_program test-xenstore
test_xenstore=$xen_program

# The places that are compiled into oxenstored.
outside() {
	find /var/run/xenstored /var/run/xen /var/log/xen 2>/dev/null | sort || :
}

# start_watch NAME DOMAIN PATH: it has fired once, as every watch does when it is set, and will end when it fires again.
start_watch() {
	xenloop exec "$2" -- xenstore-watch -n 2 "$3" >"$work/watch.$1" 2>&1 &
	watch_pid=$!
	started_pids+=("$watch_pid")
	wait_for 10 test -s "$work/watch.$1" || fail "the watch on $3 cannot be set"
}

ended() {
	! kill -0 "$1"
}

# fired PID NAME PATH: it fired, for that path.
fired() {
	wait_for 10 ended "$1" || fail "the watch \"$2\" does not fire"
	wait "$1" || fail "the watch \"$2\" ended with $?"
	same "$(sed -n 2p "$work/watch.$2")" "$3" "what the watch \"$2\" saw"
}

out=$(xenloop up --xenstored "$work/none" 2>&1) && fail "a store that is not there is started: $out"
[[ $out == *"$work/none, which cannot be run"* ]] || fail "the reason for not starting: $out"

before=$(outside)
xenloop up --xenstored "$oxenstored" >"$work/xenloop.log" 2>&1 || fail "xenloop up"
[[ $(node /tool/xenstored) == */oxenstored ]] || fail "this store is not oxenstored"

# Domains and watches.
start_watch introduced 0 @introduceDomain
create_domain one
one=$domid
fired "$watch_pid" introduced @introduceDomain
create_domain two
two=$domid
same "$(domU one xenstore-read name)" one "a guest's own name"
start_watch guest "$one" data
guest_watch=$watch_pid
start_watch dom0 0 "/local/domain/$one/data"
domU one xenstore-write data/x 1
fired "$guest_watch" guest data/x
fired "$watch_pid" dom0 "/local/domain/$one/data/x"

# Permissions.
same "$(node "/local/domain/$one/data/x")" 1 "what the guest wrote"
for path in name vm "/local/domain/$two/data" "/local/domain/$two/data/x" /local/domain/0/name /tool/x; do
	was=$(node "$path" || :)
	domU one xenstore-write "$path" intruder 2>/dev/null && fail "a guest may write $path"
	[[ $path != /* ]] || same "$(node "$path" || :)" "$was" "$path"
done
domU one xenstore-rm name 2>/dev/null && fail "a guest may remove its name"
domU one xenstore-chmod name "n$one" 2>/dev/null && fail "a guest may take its name"
domU two xenstore-read "/local/domain/$one/data/x" 2>/dev/null && fail "a guest may read another guest's data"
same "$(node "/local/domain/$one/name")" one "the guest's name"

# Xen's own test; why dom0 makes the place: see test_xenstore.sh.
dom0 xenstore-write "/local/domain/$two/xenstore-test" ''
dom0 xenstore-chmod "/local/domain/$two/xenstore-test" "n$two"
domU two "$test_xenstore" --iterations 10 >"$work/test-xenstore.log" 2>&1 || fail "test-xenstore in a domU"

# A disk.
truncate -s 8M "$work/disk.img"
head -c 8M /dev/urandom >"$work/in"
start_ringwayd
dom0 ringway attach one "file:$work/disk.img" --vdev xvda
start_guest_disk one xvda
nbdcopy --flush "$work/in" "$(nbd_uri "$nbd")"
cmp "$work/in" "$work/disk.img" || fail "the image differs from what the guest wrote"
nbdcopy "$(nbd_uri "$nbd")" "$work/out"
cmp "$work/in" "$work/out" || fail "the guest reads something else than it wrote"
stop_guest_disk
dom0 ringway detach one xvda
node "$(backend_dir "$one" 51712)" && fail "the backend directory is still there after detach"

# A domain that ends with its disk in use: ringwayd hears of it by @releaseDomain, too.
dom0 ringway attach two "file:$work/disk.img" --vdev xvda
start_guest_disk two xvda
start_watch released 0 @releaseDomain
xenloop destroy two
{ wait "$nbd_pid" || :; } 2>/dev/null
fired "$watch_pid" released @releaseDomain
gone() {
	! dom0 ringway list --json | jq -e ".devices[] | select(.domid == $two and .state == 4)"
}
wait_for 10 gone || fail "the dead domain's disk is still connected"
node "/local/domain/$two/name" && fail "the nodes of a destroyed domain are still there"
same "$(timeout 10 xenloop exec one -- xenstore-read name)" one "the other guest's name"
stop_ringwayd
xenloop down

# An ordinary user who may not have the files that oxenstored wants.
home=$work/home
mkdir -p "$home/bin" "$home/lib"
cp "$build/bin/xenloop" "$home/bin"
cp "$build/lib/libxenloop.so" "$home/lib"
user=()
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$work"
	chown -R 65534:65534 "$home"
	user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
(
	ulimit -Sn 512
	ulimit -Hn 1024
	export XENLOOP_DIR=$home/xen PATH=$home/bin:$PATH
	"${user[@]}" xenloop up --xenstored "$oxenstored" &&
		"${user[@]}" xenloop create guest &&
		"${user[@]}" xenloop exec guest -- xenstore-write data/x 1 &&
		"${user[@]}" xenloop exec 0 -- xenstore-read /local/domain/1/data/x
	code=$?
	"${user[@]}" xenloop down
	exit $code
) >"$work/user.log" 2>&1 || fail "for an ordinary user"
[ ! -e "$home/xen" ] || fail "the ordinary user's instance leaves files"

same "$(outside)" "$before" "files outside of the instances' folders"
