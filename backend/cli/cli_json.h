/* SPDX-License-Identifier: MIT */
/*
 * JSON as all subcommands make and print it. Values may quote guests.
 */
#pragma once
#include <jansson.h>

/* A string of any bytes: as they are when they are UTF-8, else escaped (cli_text_escape). NULL when out of
 * memory. */
json_t *cli_json_string(const char *text);
/* To stdout, indented, pure ASCII, with a newline. 0, or -ENOMEM (a value of NULL included). */
int cli_json_print(const json_t *value);

static inline void cli_json_cleanup(json_t **json)
{
	json_decref(*json);
}
#define _cli_json __attribute__((cleanup(cli_json_cleanup))) /* initialise to NULL */
