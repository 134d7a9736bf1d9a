#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# With enforce on, a disk is served only by an allow rule, in order, by domid or name; the refusal says why.
. "$(dirname "$0")/lib.sh"

policy=/local/domain/0/ringway/policy
mkdir "$work/allowed" "$work/other"
truncate -s 1M "$work/allowed/a.img" "$work/allowed/b.img" "$work/other/c.img"
ln -s "$work/other/c.img" "$work/allowed/link.img"
start_xen
create_domain guest1
guest1=$domid
create_domain guest2
start_ringwayd

refused() {
	local domain=$1 target=$2 mode=$3 pattern=$4 out
	if out=$(dom0 ringway attach "$domain" "$target" --mode "$mode" --vdev xvdz 2>&1); then
		fail "$target was served to $domain: $out"
	fi
	[[ $out =~ $pattern ]] || fail "the refusal of $target does not say $pattern: $out"
}

granted() {
	dom0 ringway attach "$1" "$2" --mode "$3" --vdev xvdz >/dev/null || fail "$2 was not served to $1"
	dom0 ringway detach "$1" xvdz >/dev/null
}

granted guest1 "$work/other/c.img" w # enforce is off: everything goes

dom0 xenstore-write $policy/enforce 1
refused guest1 "$work/allowed/a.img" w 'policy'

dom0 xenstore-write $policy/name/guest1/vbd/allow/0 "ro $work/allowed/b*"
dom0 xenstore-write $policy/name/guest1/vbd/allow/1 "rw $work/allowed/*"
granted guest1 "$work/allowed/a.img" w
granted guest1 "$work/allowed/b.img" r
refused guest1 "$work/allowed/b.img" w 'policy'      # the first rule that matches decides
refused guest1 "$work/allowed/link.img" r 'policy'   # judged is what was opened, not what was written
refused guest1 "$work/allowed/../other/c.img" r 'policy'
refused guest2 "$work/allowed/a.img" r 'policy'

dom0 xenstore-write "$policy/domid/$guest1/vbd/allow/0" "ro $work/other/*"
granted guest1 "$work/other/c.img" r # the domid's list replaces the name's
refused guest1 "$work/allowed/a.img" w 'policy'

dom0 xenstore-write "$policy/domid/$guest1/vbd/allow/0" "maybe $work/*"
refused guest1 "$work/other/c.img" r 'maybe' # what does not parse denies, and says so
dom0 xenstore-rm "$policy/domid/$guest1"

# A name that can't be read is not one without rules: the default's must not take their place.
dom0 xenstore-write $policy/default/vbd/allow/0 "rw $work/other/*"
granted guest2 "$work/other/c.img" w
dom0 xenstore-write "/local/domain/$guest1/name" "$(printf '%1100s' '' | tr ' ' x)"
refused "$guest1" "$work/other/c.img" r "can't read the name"
dom0 xenstore-write "/local/domain/$guest1/name" guest1
dom0 xenstore-rm $policy/default

dom0 xenstore-chmod $policy/name/guest1 n0 "w$guest1"
refused guest1 "$work/allowed/a.img" w 'write' # a tree that a guest may write is no policy
stop_ringwayd
