// SPDX-License-Identifier: MIT
/*
 * JSON as all subcommands make and print it: no bytes of a guest reach the terminal raw, since all but ASCII is
 * written as \uXXXX.
 */
#include <errno.h>
#include <stdio.h>

#include "backend/cli/cli_json.h"
#include "backend/cli/cli_text.h"
#include "common/cleanup.h"

json_t *cli_json_string(const char *text)
{
	json_t *string = json_string(text);

	if (string)
		return string;
	_rwy_free char *escaped = cli_text_escape(text);
	return escaped ? json_string(escaped) : NULL;
}

int cli_json_print(const json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII))
		return -ENOMEM;
	putchar('\n');
	return 0;
}
