#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Xen's vchan-socket-proxy (libxenvchan: grants both ways, events, unmap notifications) carries random data in both
# directions between two domUs and between dom0 and a domU. When one end is killed, the other one ends; a new pair works
# on the same path.
. "$(dirname "$0")/lib.sh"
xen_program vchan-socket-proxy
proxy=$xen_program
size=$((2 * 1024 * 1024))

# Each end's input stays open until the test closes it: a proxy that sees its end leaves with data still on the way.
# `xenloop exec` and not domU: the pid is to be the proxy's own.
start_server() { # DOMAIN PEER
	dom0 xenstore-rm "/local/domain/$1/data/vchan" 2>/dev/null || :
	rm -f "$work/server.in"
	mkfifo "$work/server.in"
	xenloop exec "$1" -- "$proxy" --mode=server "$2" data/vchan - <>"$work/server.in" >"$work/server.out" 2>>"$work/server.log" &
	server=$!
	started_pids+=("$server")
	wait_for 10 node "/local/domain/$1/data/vchan/event-channel" || fail "no server in domain $1"
}

start_client() { # DOMAIN SERVER
	rm -f "$work/client.in"
	mkfifo "$work/client.in"
	exec {client_in}<>"$work/client.in"
	xenloop exec "$1" -- "$proxy" "$2" "/local/domain/$2/data/vchan" - <"$work/client.in" >"$work/client.out" \
		2>>"$work/client.log" {client_in}>&- &
	client=$!
	started_pids+=("$client")
}

has_bytes() {
	[ "$(stat -c %s "$1")" -ge "$2" ]
}

ended() {
	! kill -0 "$1"
}

# exchange SERVER-DOMAIN CLIENT-DOMAIN
exchange() {
	start_server "$1" "$2"
	start_client "$2" "$1"
	cat "$work/a" >"$work/server.in" &
	cat "$work/b" >"$work/client.in" &
	wait_for 20 has_bytes "$work/client.out" $size || fail "domain $1 to $2: data is missing"
	wait_for 20 has_bytes "$work/server.out" $size || fail "domain $2 to $1: data is missing"
	cmp "$work/a" "$work/client.out" || fail "domain $1 to $2: the data differs"
	cmp "$work/b" "$work/server.out" || fail "domain $2 to $1: the data differs"
	exec {client_in}>&-
	wait_for 10 ended "$client" || fail "the client does not end with its input"
	wait "$client" || fail "the client ended with $?"
	wait_for 10 ended "$server" || fail "the server does not end with its client"
	wait "$server" || fail "the server ended with $?"
}

# kill_one server|client: with data under way in both directions.
kill_one() {
	local victim=${!1} other=$server feeders=()
	[ "$1" = client ] || other=$client
	yes >"$work/server.in" 2>/dev/null &
	feeders+=($!)
	yes >"$work/client.in" 2>/dev/null &
	feeders+=($!)
	started_pids+=("${feeders[@]}")
	wait_for 10 has_bytes "$work/server.out" 65536 || fail "no data flows to the server"
	wait_for 10 has_bytes "$work/client.out" 65536 || fail "no data flows to the client"
	kill -KILL "$victim"
	{ wait "$victim" || :; } 2>/dev/null
	wait_for 10 ended "$other" || fail "the other end hangs when the $1 is killed"
	wait "$other" || :
	kill "${feeders[@]}" 2>/dev/null || : # one of them has ended with its reader
	exec {client_in}>&-
}

head -c $size /dev/urandom >"$work/a"
head -c $size /dev/urandom >"$work/b"
start_xen
create_domain one
one=$domid
create_domain two
two=$domid

exchange "$one" "$two"
exchange 0 "$one"
exchange "$one" 0

for victim in server client; do
	start_server "$one" "$two"
	start_client "$two" "$one"
	kill_one $victim
	exchange "$one" "$two"
done
