/* SPDX-License-Identifier: MIT */
/*
 * Text for a terminal: no byte of a guest reaches it raw, and tables fit their content. Pure but
 * for memory and the stream.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A copy to free() in which every byte but printable ASCII is \xHH, and a backslash is doubled.
 * NULL when out of memory. */
char *cli_text_escape(const char *text);

struct cli_text_column {
	const char *title;
	bool right; /* aligned right: numbers */
};

struct cli_text_table;

/* columns: borrowed. NULL when out of memory. */
struct cli_text_table *cli_text_table_create(const struct cli_text_column *columns,
					     size_t nr_columns);
void cli_text_table_destroy(struct cli_text_table *table);
/* One cell per column; copied and escaped. NULL and "" are nothing. 0 or -ENOMEM. */
int cli_text_table_add_row(struct cli_text_table *table, const char *const *cells);
/* Titles and rows, columns two blanks apart, nothing as "-". A column with nothing in any row is
 * left out (unless there are no rows). */
void cli_text_table_print(const struct cli_text_table *table, FILE *out);

static inline void cli_text_table_cleanup(struct cli_text_table **table)
{
	cli_text_table_destroy(*table);
}
#define _cli_text_table __attribute__((cleanup(cli_text_table_cleanup)))
