#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Download the newest kernels of a Debian that is being unpacked, into its folder /debs. Old ones leave the archive within weeks,
# so that no number may be named. mmdebstrap calls it for build.sh. Usage: tests/lab/kernels.sh ROOT VERSION...
set -euo pipefail

root=$1
shift
packages=()
for version in "$@"; do
	packages+=("$(chroot "$root" apt-cache pkgnames "linux-image-$version." |
		grep -E "^linux-image-$version\.[0-9]+(-[0-9]+|\+deb12)-amd64$" | sort -V | tail -1)")
done
mkdir "$root/debs"
chroot "$root" sh -c 'cd /debs && exec apt-get -o APT::Sandbox::User=root download "$@"' sh "${packages[@]}"
