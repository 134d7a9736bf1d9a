// SPDX-License-Identifier: MIT
/*
 * Text for a terminal: escaping and tables. Everything given to it may be a guest's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cli/cli_text.h"

#define ESCAPED_BYTES 4u /* \xHH */
#define NOTHING	      "-"
#define GAP	      2

struct cli_text_table {
	const struct cli_text_column *columns;
	size_t nr_columns;
	char **cells; /* row by row, owned; NULL is nothing */
	size_t nr_rows;
};

char *cli_text_escape(const char *text)
{
	static const char hex[] = "0123456789abcdef";
	char *escaped = malloc(strlen(text) * ESCAPED_BYTES + 1);
	char *p = escaped;

	if (!escaped)
		return NULL;
	for (; *text; text++) {
		unsigned char byte = *text;

		if (byte >= 0x20 && byte < 0x7f) {
			if (byte == '\\')
				*p++ = '\\';
			*p++ = byte;
		} else {
			*p++ = '\\';
			*p++ = 'x';
			*p++ = hex[byte >> 4];
			*p++ = hex[byte & 15];
		}
	}
	*p = '\0';
	return escaped;
}

struct cli_text_table *cli_text_table_create(const struct cli_text_column *columns,
					     size_t nr_columns)
{
	struct cli_text_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	table->nr_columns = nr_columns;
	return table;
}

void cli_text_table_destroy(struct cli_text_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->nr_rows * table->nr_columns; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

int cli_text_table_add_row(struct cli_text_table *table, const char *const *cells)
{
	size_t used = table->nr_rows * table->nr_columns;
	char **grown = reallocarray(table->cells, used + table->nr_columns, sizeof(*table->cells));

	if (!grown)
		return -ENOMEM;
	table->cells = grown;
	for (size_t i = 0; i < table->nr_columns; i++) {
		grown[used + i] = NULL;
		if (!cells[i] || !*cells[i])
			continue;
		grown[used + i] = cli_text_escape(cells[i]);
		if (!grown[used + i]) {
			while (i-- > 0)
				free(grown[used + i]);
			return -ENOMEM;
		}
	}
	table->nr_rows++;
	return 0;
}

static const char *cell_at(const struct cli_text_table *table, size_t row, size_t column)
{
	return table->cells[row * table->nr_columns + column];
}

/* 0: nothing in it, not to be shown. */
static size_t column_width(const struct cli_text_table *table, size_t column)
{
	size_t width = strlen(table->columns[column].title);
	bool used = table->nr_rows == 0;

	for (size_t row = 0; row < table->nr_rows; row++) {
		const char *cell = cell_at(table, row, column);

		if (!cell)
			continue;
		used = true;
		if (strlen(cell) > width)
			width = strlen(cell);
	}
	return used ? width : 0;
}

/* Blanks are owed until the next cell, so that no line ends in them. */
static void print_cell(FILE *out, const char *text, size_t width, bool right, size_t *owed)
{
	size_t padding = width - strlen(text);

	fprintf(out, "%*s%s", (int)(*owed + (right ? padding : 0)), "", text);
	*owed = GAP + (right ? 0 : padding);
}

void cli_text_table_print(const struct cli_text_table *table, FILE *out)
{
	for (size_t line = 0; line <= table->nr_rows; line++) {
		size_t owed = 0;

		for (size_t column = 0; column < table->nr_columns; column++) {
			const char *text = line == 0 ? table->columns[column].title
						     : cell_at(table, line - 1, column);
			size_t width = column_width(table, column);

			if (width > 0)
				print_cell(out, text ? text : NOTHING, width,
					   table->columns[column].right, &owed);
		}
		fputc('\n', out);
	}
}
