/* SPDX-License-Identifier: MIT */
/*
 * The log: one line per event on stderr, "<program>: [<device>: ]<text>", with sd-daemon's <N>
 * priority prefix when stderr is the journal ($JOURNAL_STREAM). What a guest can trigger goes
 * through a limiter of its device, so that no guest can fill the log: a limiter lets a burst
 * through, then a line per interval, and says how many it left out. Bytes that came from a guest
 * are escaped: so are control and non-ASCII bytes and the backslash in any line, as \xNN and \\. A
 * line that is too long is cut and ends in "...". errno is kept. Threads: any.
 */
#pragma once
#include <stdint.h>

enum rwy_log_level {
	RWY_LOG_ERROR,
	RWY_LOG_WARNING,
	RWY_LOG_INFO,
	RWY_LOG_DEBUG,
};

/* Zero-initialise, with `name` set to who the lines are about, e.g. "vbd 3/51712" (borrowed). One
 * thread at a time. */
struct rwy_log_limit {
	const char *name;
	uint64_t window_start_ns;
	uint32_t lines_in_window;
	uint32_t left_out;
};

#define RWY_LOG_BURST_LINES 10u
#define RWY_LOG_WINDOW_NS   10000000000ull

/* program: borrowed, e.g. "ringwayd". Default level is INFO. */
void rwy_log_init(const char *program, enum rwy_log_level max_level);
enum rwy_log_level rwy_log_level(void);

void rwy_log(enum rwy_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As rwy_log, for what a guest can cause; now_ns is any monotonic clock. */
void rwy_log_limited(struct rwy_log_limit *limit, uint64_t now_ns, enum rwy_log_level level,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#define rwy_error(...) rwy_log(RWY_LOG_ERROR, __VA_ARGS__)
#define rwy_warn(...)  rwy_log(RWY_LOG_WARNING, __VA_ARGS__)
#define rwy_info(...)  rwy_log(RWY_LOG_INFO, __VA_ARGS__)
#define rwy_debug(...) rwy_log(RWY_LOG_DEBUG, __VA_ARGS__)
