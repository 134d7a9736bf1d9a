# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What both halves of a scenario may call, in dom0 and in guests.
set -euo pipefail

# wait_for SECONDS COMMAND...: until the command succeeds; fails after the time.
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || {
			echo "gave up waiting for: $*" >&2
			return 1
		}
		read -rt 0.1 <> <(:) || :
	done
}

# fail TEXT
fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# expect WHAT WANTED GOT
expect() {
	[ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# has PATH PATTERN: whether a xenstore node's value matches the shell pattern.
has() {
	local value
	value=$(xenstore-read "$1" 2>/dev/null) || return 1
	# shellcheck disable=SC2053
	[[ $value == $2 ]]
}
