#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Check the model of ring and journal (README.md) with Spin: whole, where nothing may be found, then without one
# mechanism after the other, where a certain property must fail. Usage: tests/model/run.sh BUILD [NAME...]; a line for
# each, the last one is "N passed, N failed". Generated checkers and logs stay under BUILD/model.
set -euo pipefail

top=$(dirname "$(realpath "$0")")
mkdir -p "$1/model"
work=$(realpath "$1/model")
names=("${@:2}")

# Largest first: they run beside all the others.
whole() {
	echo "honest|-DREQUESTS=4 -DDEATHS=2"
	echo "often-dying|-DREQUESTS=2 -DDEATHS=4"
	echo "hostile|-DHOSTILE -DREQUESTS=4 -DDEATHS=3"
	echo "no-cycle|-DREQUESTS=3 -DDEATHS=1"
}

# What is taken out: name, its #define (and others), the property that fails then. NO_COUNT switches the count of entries
# off (journal.h: "or the journal is damaged"), which turns most of these losses into a device that is refused.
mutants() {
	cat <<-END
		no-fence|-DNO_FENCE|stale_overwrite
		journal-by-slot|-DBY_SLOT|honest_guest_refused
		journal-by-slot-uncounted|-DBY_SLOT -DNO_COUNT|lost_request
		engine-before-req-cons|-DENGINE_FIRST|unjournaled_io
		req-cons-before-entry|-DREQ_CONS_FIRST|honest_guest_refused
		req-cons-before-entry-uncounted|-DREQ_CONS_FIRST -DNO_COUNT|lost_request
		response-after-publish|-DRESPONSE_LATE|garbage_response
		response-index-after-publish|-DWORD_LATE|honest_guest_refused
		response-index-after-publish-uncounted|-DWORD_LATE -DNO_COUNT|double_response
		no-intended|-DNO_INTENDED|honest_guest_refused
		intended-after-publish|-DINTENDED_LATE|honest_guest_refused
		committed-before-publish|-DCOMMIT_FIRST|honest_guest_refused
		free-before-publish|-DFREE_FIRST|honest_guest_refused
		free-before-publish-uncounted|-DFREE_FIRST -DNO_COUNT|lost_request
		live-before-indexes|-DLIVE_FIRST|honest_guest_refused
		recover-leaves-indexes|-DNO_EVEN|honest_guest_refused
		recover-leaves-indexes-of-idle|-DNO_EVEN|journal_not_idle
		recover-leaves-never-taken|-DKEEP_NEVER_TAKEN|honest_guest_refused
		recover-leaves-answered|-DKEEP_ANSWERED|honest_guest_refused
		recover-leaves-answered-uncounted|-DKEEP_ANSWERED -DNO_COUNT|lost_request
		entries-within-a-ring|-DWITHIN_RING|honest_guest_refused
		rsp-prod-believed|-DHOSTILE -DBLIND|unpublished_freed
		rsp-prod-believed-uncounted|-DHOSTILE -DBLIND -DNO_COUNT|out_of_range
		entries-uncounted|-DHOSTILE -DNO_COUNT|out_of_range
		no-scan|-DNO_SCAN|lost_wakeup
		no-req-event|-DNO_REQ_EVENT|lost_wakeup
		req-event-after-scan|-DREQ_EVENT_LATE|lost_wakeup
		bind-after-scan|-DBIND_LATE|lost_wakeup
		no-notify|-DNO_NOTIFY|lost_wakeup
		notify-before-bind|-DNOTIFY_UNBOUND|lost_wakeup
	END
}

# generate NAME DEFINES...: pan.c in the name's folder, which becomes the current one.
generate() {
	rm -rf "${work:?}/$1"
	mkdir "$work/$1"
	cd "$work/$1"
	spin -a "${@:2}" "$top/journal.pml"
}

# search CFLAGS OPTIONS: build the checker and run it; it says what it found. Never in vain: a search that was cut short
# does not say "errors: 0", or says why.
search() {
	# shellcheck disable=SC2086 # lists
	${CC:-gcc} -w -DCOLLAPSE -DMEMLIM=1500 $1 -o pan pan.c && ./pan -m20000 $2
}

show_failure() {
	echo "FAIL  model/$1: $2"
	grep -E '^pan:|rror|not completed|warning' log | head -5 | sed 's/^/      /'
	[ ! -f journal.pml.trail ] ||
		echo "      the way there: cd $PWD && spin -t -p -g -l -k journal.pml.trail $3 $top/journal.pml"
}

check_whole() {
	local name=$1 defines=$2 states
	local flags=("-O2 -DSAFETY -DNOREDUCE" "-E -w24")

	# Every run ends, so what "never happens again" is seen by the verdict of the others.
	[ "$name" != no-cycle ] || flags=("-O2 -DNP" "-l -w24")
	# shellcheck disable=SC2086 # a list
	generate "$name" $defines
	search "${flags[@]}" >log 2>&1 || :
	if grep -q 'errors: 0$' log && ! grep -qE 'not completed|too small|out of memory|memory limit' log; then
		states=$(sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' log)
		printf "ok    model/%s: nothing found in %'.0f states\n" "$name" "$states"
	else
		show_failure "$name" "expected no error" "$defines"
	fi
}

check_mutant() {
	local name=$1 defines="$2 -DREQUESTS=3 -DDEATHS=2" property=$3

	# shellcheck disable=SC2086 # a list
	generate "$name" $defines "-DEXPECT=$property"
	search "-O1 -DSAFETY -DNOREDUCE" "-E -w22" >log 2>&1 || :
	if grep -qF "assertion violated  !($property)" log; then
		echo "ok    model/$name: ${property//_/ } found"
	else
		show_failure "$name" "expected ${property//_/ }" "$defines -DEXPECT=$property"
	fi
}

chosen() {
	[ ${#names[@]} -eq 0 ] || [[ " ${names[*]} " == *" $1 "* ]]
}

# One line of a list.
check() {
	local name defines property
	IFS='|' read -r name defines property <<<"$1"
	chosen "$name" || return 0
	if [ -n "$property" ]; then
		check_mutant "$name" "$defines" "$property"
	else
		check_whole "$name" "$defines"
	fi
}

# Two at a time at most: the largest needs over 1 GB.
check_all() {
	local line running=0
	while read -r line; do
		[ $running -lt 2 ] || wait -n || :
		(check "$line") &
		running=$((running < 2 ? running + 1 : 2))
	done < <(whole; mutants)
	wait
}

check_all | tee "$work/result"
passed=$(grep -c '^ok ' "$work/result" || :)
failed=$(grep -c '^FAIL ' "$work/result" || :)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
