# SPDX-License-Identifier: MIT
# Lines "BACKEND CASE READS" with six counts of insn_plugin.c -> the list of cases in xen.json. Rounds of repeated string
# instructions are part of the other three numbers, and told apart as well.
def per_read:
	(.[2] | tonumber) as $reads
	| (.[3:] | map(tonumber / $reads)) as [$xen, $xen_rounds, $kernel, $kernel_rounds, $user, $user_rounds]
	| {xen: ($xen + $xen_rounds), kernel: ($kernel + $kernel_rounds), user: ($user + $user_rounds),
		rounds: ($xen_rounds + $kernel_rounds + $user_rounds)};

def total: .xen + .kernel + .user;

def rounded(places): pow(10; places) as $unit | . * $unit | round / $unit;

[inputs / " "] as $lines
| [$lines[] | .[1]] | unique_by(. as $case | $lines | map(.[1]) | index($case))
| map(. as $case
	| ($lines | map(select(.[1] == $case) | {(.[0]): per_read}) | add) as $split
	| ($split | del(.ringway)) as $peers
	| {
		case: "xen-insn-\($case)",
		unit: "instructions/request",
		ringway: ($split.ringway | total | round),
		peers: ($peers | map_values(total | round)),
		ratio: ($peers | map_values(($split.ringway | total) / total | rounded(3))),
		split: ($split | map_values(map_values(round)))
	})
