# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The conformance program (tests/conformance) where its rules come from: a PV guest and dom0 on real Xen. What fails here is
# a rule that is wrong, and xenloop with it.
# shellcheck disable=SC2034 # read by run.sh
programs=(tests/conformance)
# Its rules about xenstore are those of xenstored in C.
dom0_kernels=(6.12)

guest() {
	conformance guest
}

dom0() {
	start_guest one
	conformance dom0 "$(domid_of one)"
	xl destroy one
}
