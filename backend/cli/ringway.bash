# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of ringway(1)'s words in bash: commands, options, domains that run and disks that they have. Asks xl and ringway,
# and offers nothing when these have no answer. Loaded by bash-completion from share/bash-completion/completions.

_ringway_domains() {
	xl list 2>/dev/null | awk 'NR > 1 && $2 != 0 { print $1 }'
}

# The disks of a domain, by its name or id.
_ringway_disks() {
	ringway list "$1" 2>/dev/null | awk 'NR > 1 { print $3 }'
}

# What may stand as word number $2 of the command $1; $3 is the word after the command.
_ringway_words() {
	case $1/$2 in
	/1) echo 'attach detach list show verdict policy help --help --version' ;;
	help/2) echo 'attach detach list show verdict policy' ;;
	attach/2 | detach/2 | list/2 | show/2 | verdict/2) _ringway_domains ;;
	attach/3) echo 'file: null:' ;;
	detach/3 | show/3 | verdict/3) _ringway_disks "$3" ;;
	policy/2) echo 'list get set unset' ;;
	esac
}

_ringway_options() {
	case $1 in
	attach) echo '--vdev --mode --no-wait --timeout --help' ;;
	detach) echo '--force --timeout --help' ;;
	list | show | verdict | policy) echo '--json --help' ;;
	esac
}

_ringway() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' words
	[ "$COMP_CWORD" -eq 1 ] || command=${COMP_WORDS[1]}
	case $before in
	--mode) words='w r' ;;
	--vdev | --timeout) return ;;
	*)
		if [[ $command && $word == -* ]]; then
			words=$(_ringway_options "$command")
		else
			words=$(_ringway_words "$command" "$COMP_CWORD" "${COMP_WORDS[2]-}")
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	# A target goes on after its kind.
	[[ ${COMPREPLY[*]} != *: ]] || compopt -o nospace 2>/dev/null
}

complete -o default -F _ringway ringway
