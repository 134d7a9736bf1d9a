#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A short storm of kill -9 of ringwayd and its data process, as `make soak` makes a long one (tests/soak/run.sh).
export KILLS_DATA=${KILLS_DATA:-20} KILLS_CONTROL=${KILLS_CONTROL:-5} ON_DISK=${ON_DISK:-0}
exec "$(dirname "$0")/../soak/run.sh" "$@"
