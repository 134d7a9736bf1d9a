// SPDX-License-Identifier: MIT
/*
 * One log line per event, made in one buffer and written by one write(2), so that lines of several
 * threads and processes on one pipe don't mix. Arguments may hold guests' bytes: the finished text
 * is escaped and cut before it goes out. Called by every program; keeps errno for its callers.
 */
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_BYTES 1024u
#define LINE_BYTES 2048u /* escaped; a cut line ends in "..." */

_Static_assert(LINE_BYTES <= PIPE_BUF, "a write to a pipe must be atomic");

static const char *program_name = "ringway";
static enum rwy_log_level max_logged = RWY_LOG_INFO;
static bool to_journal;

struct line {
	char bytes[LINE_BYTES];
	size_t len;
	size_t room; /* for all but what ends the line */
	bool cut;
};

/* systemd sets $JOURNAL_STREAM to the "device:inode" of the stream it connected; a child whose
 * stderr was redirected since inherits the variable, but not the stream. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

void rwy_log_init(const char *program, enum rwy_log_level max_level)
{
	program_name = program;
	max_logged = max_level;
	to_journal = stderr_is_journal();
}

enum rwy_log_level rwy_log_level(void)
{
	return max_logged;
}

/* syslog's numbers, as sd-daemon(3) has them. */
static int syslog_priority(enum rwy_log_level level)
{
	static const int priority[] = {
		[RWY_LOG_ERROR] = 3,
		[RWY_LOG_WARNING] = 4,
		[RWY_LOG_INFO] = 6,
		[RWY_LOG_DEBUG] = 7,
	};

	return priority[level];
}

/* A piece goes in whole or not at all, so that no escape is cut in two. */
static void put_piece(struct line *line, const char *piece, size_t len)
{
	if (line->cut)
		return;
	if (len > line->room - line->len) {
		line->cut = true;
		return;
	}
	memcpy(line->bytes + line->len, piece, len);
	line->len += len;
}

/* The backslash is escaped too: what looks like an escape in the log then is one. */
static void put_escaped(struct line *line, const char *text)
{
	for (const char *c = text; *c; c++) {
		unsigned char byte = (unsigned char)*c;
		char escape[8];

		if (byte == '\\')
			put_piece(line, "\\\\", 2);
		else if (byte >= 0x20 && byte < 0x7f)
			put_piece(line, c, 1);
		else
			put_piece(line, escape,
				  (size_t)snprintf(escape, sizeof(escape), "\\x%02x", byte));
	}
}

static void write_line(struct line *line, const char *note)
{
	ssize_t n;

	n = snprintf(line->bytes + line->len, sizeof(line->bytes) - line->len, "%s%s\n",
		     line->cut ? "..." : "", note);
	line->len += (size_t)n;
	do
		n = write(STDERR_FILENO, line->bytes, line->len);
	while (n < 0 && errno == EINTR);
}

/* note: ours, short and printable; it goes out even when the text is cut. */
static void log_text(enum rwy_log_level level, const char *device, const char *text,
		     const char *note)
{
	struct line line = {.room = LINE_BYTES - sizeof("...\n") - strlen(note)};

	if (to_journal)
		line.len = (size_t)snprintf(line.bytes, sizeof(line.bytes), "<%d>",
					    syslog_priority(level));
	put_escaped(&line, program_name);
	put_piece(&line, ": ", 2);
	if (device) {
		put_escaped(&line, device);
		put_piece(&line, ": ", 2);
	}
	put_escaped(&line, text);
	write_line(&line, note);
}

/* vsnprintf cuts what is too long for text; say so there. */
static void __attribute__((format(printf, 2, 0)))
format_text(char *text, const char *fmt, va_list args)
{
	int len = vsnprintf(text, TEXT_BYTES, fmt, args);

	if (len < 0)
		text[0] = '\0';
	else if ((size_t)len >= TEXT_BYTES)
		memcpy(text + TEXT_BYTES - sizeof("..."), "...", sizeof("..."));
}

void rwy_log(enum rwy_log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[TEXT_BYTES];
	va_list args;

	if (level > max_logged)
		return;
	va_start(args, fmt);
	format_text(text, fmt, args);
	va_end(args);
	log_text(level, NULL, text, "");
	errno = saved_errno;
}

/*
 * Whether this line goes out. A window opens with the first line and has room for a burst; a window
 * that follows an overflowing one at once has room for one line. After a quiet window the burst is
 * back.
 */
static bool admit(struct rwy_log_limit *limit, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - limit->window_start_ns;

	if (limit->lines_in_window == 0 || age_ns >= RWY_LOG_WINDOW_NS) {
		bool storm = limit->left_out > 0 && age_ns < 2 * RWY_LOG_WINDOW_NS;

		limit->window_start_ns = now_ns;
		limit->lines_in_window = storm ? RWY_LOG_BURST_LINES - 1 : 0;
	}
	if (limit->lines_in_window >= RWY_LOG_BURST_LINES) {
		if (limit->left_out < UINT32_MAX)
			limit->left_out++;
		return false;
	}
	limit->lines_in_window++;
	return true;
}

void rwy_log_limited(struct rwy_log_limit *limit, uint64_t now_ns, enum rwy_log_level level,
		     const char *fmt, ...)
{
	int saved_errno = errno;
	char text[TEXT_BYTES];
	char note[64] = "";
	va_list args;

	if (level > max_logged || !admit(limit, now_ns))
		return;
	errno = saved_errno;
	va_start(args, fmt);
	format_text(text, fmt, args);
	va_end(args);
	if (limit->left_out > 0) {
		snprintf(note, sizeof(note), " (%u lines left out before)", limit->left_out);
		limit->left_out = 0;
	}
	log_text(level, limit->name, text, note);
	errno = saved_errno;
}
