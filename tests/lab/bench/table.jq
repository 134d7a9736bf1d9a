# SPDX-License-Identifier: MIT
# xen.json -> a table, a line for each case and backend.
["instructions/request", "", "Xen", "kernel", "user", "sum", "of it rounds", "ringway/peer"],
(.[] | . as $case | .split | to_entries[]
	| [(if .key == "ringway" then $case.case else "" end), .key,
		.value.xen, .value.kernel, .value.user, ($case.peers[.key] // $case.ringway), .value.rounds,
		($case.ratio[.key] // "")])
| @tsv
