#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What xenloop(1) tells the author of a driver to do works as it is written there: the commands are taken from the page.
. "$(dirname "$0")/lib.sh"
requires awk

page=$(dirname "$0")/../../common/xenloop/xenloop.1
awk '/^\.SH/ { ours = /RUNNING YOUR OWN/ } /^\.fi/ { code = 0 } ours && code; /^\.nf/ { code = 1 }' "$page" |
	sed 's/\\-/-/g' >"$work/commands"
same "$(grep -c xenloop "$work/commands")" 8 "commands in the page"

cat >"$work/mybackend" <<'END'
#!/bin/bash
back=/local/domain/0/backend/mydev/$1/$2
front=$(xenstore-read "$back/frontend")
until [ "$(xenstore-read "$front/state")" = 3 ]; do read -rt 0.02 <> <(:) || :; done
xenstore-write "$back/answer" "$(xenstore-read "$front/question")" "$back/state" 4
END
cat >"$work/myfrontend" <<'END'
#!/bin/bash
front=device/mydev/$1
back=$(xenstore-read "$front/backend")
xenstore-write "$front/question" "from $(xenstore-read domid)" "$front/state" 3
until [ "$(xenstore-read "$back/state")" = 4 ]; do read -rt 0.02 <> <(:) || :; done
xenstore-read "$back/answer" >answered
xenstore-write "$back/answer" lie 2>/dev/null && exit 1
xenstore-write "$front/state" 4
END
chmod +x "$work/mybackend" "$work/myfrontend"

cd "$work"
timeout 20 bash -e commands >commands.log 2>&1 || fail "a command of the page failed"
same "$(cat answered)" "from 1" "what the frontend was answered"
same "$(node /local/domain/1/device/mydev/0/state)" 4 "the frontend's state"
