#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The ringway command: the nodes and permissions it writes, what it refuses and with which words, what it leaves behind
# (nothing), its output with and without ringwayd.
. "$(dirname "$0")/lib.sh"
requires jq

truncate -s 8M "$work/a.img" "$work/b.img"
start_xen
create_domain guest1
guest1=$domid
create_domain guest2
guest2=$domid
dom0 xenstore-write /local/domain/0/backend "" # as on any host that has had a disk
dom0 xenstore-ls -f >"$work/before"

# refused STATUS PATTERN ARGUMENT...: fails with that status and one line that says PATTERN.
refused() {
	local status=$1 pattern=$2 rc=0 out
	shift 2
	out=$(dom0 ringway "$@" 2>&1 >/dev/null) || rc=$?
	same $rc "$status" "exit status of ringway $*"
	same "$(wc -l <<<"$out")" 1 "lines of: $out"
	[[ $out =~ ^ringway:\ .*$pattern ]] || fail "ringway $* says: $out"
}

says() {
	local expected=$1 out
	shift
	out=$(dom0 ringway "$@") || fail "ringway $*"
	same "$out" "$expected" "ringway $*"
}

unchanged() {
	dom0 xenstore-ls -f >"$work/after"
	diff "$work/before" "$work/after" || fail "xenstore has changed: $1"
}

# --- without ringwayd
refused 1 'not running; start it' attach guest1 "file:$work/a.img"
refused 1 'nobody: no such domain' attach nobody "file:$work/a.img"
refused 1 'no such disk' detach guest1 xvda
refused 1 'not a disk' show guest1 xvda
refused 2 '--help' attach guest1
refused 2 '--help' detach guest1 xvda --force=yes
refused 2 'not a virtual device name' show guest1 nvme0n1
same "$(dom0 ringway list 2>"$work/err" | wc -l)" 1 "lines of an empty list"
grep -q 'ringwayd is not running' "$work/err" || fail "list does not say that ringwayd is down"
unchanged "by what was refused"

says "attaching xvda (51712) to guest1: file:$work/a.img" attach guest1 "file:$work/a.img" --no-wait
says "attaching xvdb (51728) to $guest1: file:$work/b.img (read-only)" attach "$guest1" "file:$work/b.img" --mode r --no-wait
says "attaching xvda16 (268435472) to guest1: null:1M" attach guest1 null:1M --vdev xvda16 --no-wait
refused 1 "exists already .*a.img" attach guest1 null:1M --vdev xvda --no-wait
back=$(backend_dir "$guest1" 51728)
front=/local/domain/$guest1/device/vbd/51728
for pair in "frontend $front" "frontend-id $guest1" "params file:$work/b.img" 'online 1' 'state 1' 'mode r' 'type phy' \
	'dev xvdb' 'device-type disk' 'discard-enable 0' 'removable 0' 'bootable 1' 'hotplug-status connected' \
	'script /etc/xen/scripts/block-ringway'; do
	same "$(node "$back/${pair%% *}")" "${pair#* }" "backend node ${pair%% *}"
done
for pair in "backend $back" 'backend-id 0' 'state 1' 'virtual-device 51728' 'device-type disk' 'trusted 1'; do
	same "$(node "$front/${pair%% *}")" "${pair#* }" "frontend node ${pair%% *}"
done
node "$front/protocol" && fail "the protocol is the guest's to say"

# --- who may do what
same "$(domU guest1 xenstore-read "$back/params")" "file:$work/b.img" "what the guest reads"
domU guest1 xenstore-write "$back/mode" w 2>/dev/null && fail "the guest may write its backend directory"
domU guest1 xenstore-write device/vbd/51728/protocol x86_64-abi || fail "the guest may not write its frontend directory"
domU guest2 xenstore-read "$back/params" 2>/dev/null && fail "another guest may read the backend directory"
domU guest2 xenstore-read "$front/state" 2>/dev/null && fail "another guest may read the frontend directory"

same "$(dom0 ringway list guest1 2>/dev/null | awk 'NR > 1 { print $3 }' | xargs)" "xvda xvdb xvda16" "order of list"
same "$(dom0 ringway list guest2 2>/dev/null | wc -l)" 1 "lines of another guest's list"
same "$(dom0 ringway show guest1 xvdb --json 2>/dev/null | jq -c '[.vdev, .mode, .state_name, .stats]')" \
	'["xvdb","r","Initialising",null]' "show without ringwayd"
refused 1 'ringwayd is not running.*--force' detach guest1 xvda --timeout 1
for vdev in xvda xvdb 268435472; do
	dom0 ringway detach guest1 $vdev --force >/dev/null
done
unchanged "after --force"

# --- disks that are not ours
dom0 xenstore-write "$(backend_dir "$guest2" 51712)/script" /etc/xen/scripts/block
refused 1 'xl block-detach guest2 51712' detach guest2 xvda
refused 1 'xl block-detach guest2 51712' detach guest2 xvda --force
same "$(dom0 ringway list 2>/dev/null | wc -l)" 1 "lines of the list with another backend's disk"
same "$(dom0 ringway attach guest2 null:1M --no-wait)" "attaching xvdb (51728) to guest2: null:1M" "the first free disk"
dom0 xenstore-write "/libxl/$guest2/device/vbd/51728/backend" "$(backend_dir "$guest2" 51728)"
refused 1 'attached by xl' detach guest2 xvdb
dom0 xenstore-rm "/libxl/$guest2/device/vbd"
dom0 ringway detach guest2 xvdb --force >/dev/null
dom0 xenstore-rm /local/domain/0/backend/vbd
unchanged "after the foreign disk"

# --- policy
says '' policy set default/vbd/allow/10 'ro /a*'
says '' policy set default/vbd/allow/9 "rw $work/*"
says '' policy set default/vbd/allow/11 'rw null:'
says '' policy set enforce 1
says "default/vbd/allow/9 = rw $work/*
default/vbd/allow/10 = ro /a*
default/vbd/allow/11 = rw null:
enforce = 1" policy list
says 1 policy get enforce
refused 1 'not set' policy get name/guest1
refused 2 'begins with none of' policy set enforec 1
domU guest1 xenstore-read /local/domain/0/ringway/policy/enforce 2>/dev/null && fail "a guest reads the policy"

# --- with ringwayd
start_ringwayd
says "attached xvda (51712) to guest1: file:$work/a.img" attach guest1 "file:$work/a.img"
refused 1 'refused: .*policy' attach guest1 /etc/passwd
phase_is() {
	[ "$(dom0 ringway show "$1" "$2" --json | jq -r .phase)" = "$3" ]
}

# What is said is about this disk, never about the one before it, however late ringwayd hears of both.
for ((i = 0; i < 10; i++)); do
	says "attached xvdb (51728) to guest1: file:$work/b.img" attach guest1 "file:$work/b.img" --vdev xvdb
	wait_for 10 phase_is guest1 xvdb ready || fail "ringwayd does not go on with a disk that is attached"
	pause "$ringwayd_pid"
	dom0 ringway detach guest1 xvdb --force >/dev/null
	dom0 ringway attach guest1 /etc/passwd --vdev xvdb >"$work/out" 2>&1 &
	attach_pid=$!
	wait_for 10 node_is "$(backend_dir "$guest1" 51728)/params" /etc/passwd || fail "attach wrote nothing"
	kill -CONT "$ringwayd_pid"
	wait $attach_pid && fail "attach gave out the verdict of the disk before: $(<"$work/out")"
	grep -q 'refused: .*policy' "$work/out" || fail "the refusal is $(<"$work/out")"
done
# Many at once, none with a name: each gets its own.
pids=()
for ((i = 0; i < 8; i++)); do
	dom0 ringway attach guest2 null:1M >/dev/null &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || fail "one of several attaches at once"
done
same "$(dom0 ringway list guest2 | awk 'NR > 1 { print $3 }' | xargs)" \
	"xvda xvdb xvdc xvdd xvde xvdf xvdg xvdh" "disks of attaches at once"
for vdev in xvda xvdb xvdc xvdd xvde xvdf xvdg xvdh; do
	dom0 ringway detach guest2 $vdev >/dev/null || fail "detach $vdev"
done
same "$(dom0 ringway show guest1 xvda --json | jq -c '[.engine, .capacity_sect, .reason]')" '["file",16384,null]' "show"
same "$(dom0 ringway list --json | jq -c '[.ringwayd, (.devices | length), .devices[0].domain]')" '[true,1,"guest1"]' "list"
says "detached xvda (51712) from guest1" detach guest1 xvda
says '' policy unset enforce
says '' policy unset default
dom0 xenstore-rm /local/domain/0/ringway
unchanged "in the end"
stop_ringwayd
