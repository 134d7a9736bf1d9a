/* SPDX-License-Identifier: MIT */
/*
 * What scenarios of the lab do so often that processes for each step of it would be most of their time: there,
 * to start one takes 50 to 100 ms. A program for both kinds of domain; each of its commands is a file.
 */
#ifndef LABTOOL_TOOL_H
#define LABTOOL_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

/* A node's value, for free(); NULL: there is none. */
char *tool_read(struct xs_handle *xsh, const char *path);
/* Ends the program if it can't be. */
void tool_watch(struct xs_handle *xsh, const char *path);
/* Sleeps until a watch fires or the deadline (tool_now()) has come; false: that. Several events at once are one. */
bool tool_pause(struct xs_handle *xsh, int64_t deadline_ms);
int64_t tool_now(void); /* milliseconds */
/* Says why, with errno if that is set, and ends the program. */
_Noreturn void tool_die(const char *what);

/* What those share that verify I/O: a content for each round, how many there were, and when it is enough. */
void tool_fill(void *buffer, size_t bytes, uint32_t round);
void tool_say_round(struct xs_handle *xsh, const char *node, uint32_t round);
/* After tool_watch of the node, a pause ends when there is something new to know. */
#define TOOL_STOP "data/stop"
bool tool_is_told_to_stop(struct xs_handle *xsh);

/* The commands: argv begins with the first argument. What they return is the exit status. */
int wait_node_main(struct xs_handle *xsh, char **argv);
int wait_rounds_main(struct xs_handle *xsh, char **argv);
int domid_main(struct xs_handle *xsh, char **argv);
int use_disk_main(struct xs_handle *xsh, char **argv);
int use_files_main(struct xs_handle *xsh, char **argv);

#endif
