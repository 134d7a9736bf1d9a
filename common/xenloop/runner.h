/* SPDX-License-Identifier: MIT */
/*
 * The map of the `xenloop` program: starting and ending an instance, making domains, running
 * programs in them. Commands print their own errors, with the remedy, and return an exit code: 0,
 * 1 (it failed) or 2 (it was called wrongly).
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#include "common/xenloop/proto.h"

enum {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_USAGE
};

/* "xenloop: <text>" on stderr. Returns EXIT_FAILED. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Commands. dir: the instance's directory as the user named it; argv[0] is the command's name. */
int cmd_up(const char *dir, int argc, char **argv);
int cmd_down(const char *dir, int argc, char **argv);
int cmd_create(const char *dir, int argc, char **argv);
int cmd_destroy(const char *dir, int argc, char **argv);
int cmd_exec(const char *dir, int argc, char **argv);
int cmd_list(const char *dir, int argc, char **argv);

/* instance.c: the instance's directory and what lies outside it. */

/* $XENLOOP_DIR, or else a directory of this user's. */
void instance_default_dir(char dir[PATH_MAX]);
/* libxenloop.so: $XENLOOP_LIB, beside this program, or installed. -ENOENT (complained about). */
int instance_find_library(char path[PATH_MAX]);
/* xenstored: what was asked for (or NULL), $XENLOOP_XENSTORED, where distributions put it, or in
 * $PATH. -ENOENT (likewise). */
int instance_find_store(char path[PATH_MAX], const char *asked);
/* Open the lock file and take the lock; the fd, -EWOULDBLOCK when the instance is up, -errno. The
 * lock is held as long as the instance's processes live. */
int instance_lock(const char *dir);
/* Wait until the lock's holders are gone. */
void instance_wait(int lock_fd);
/* Remove the instance's files, but not the directory. */
void instance_clean(const char *dir, bool keep_log);

/* client.c: talking to the hypervisor. */

/* dir is replaced by its absolute path. The socket, or -errno (complained about). */
int client_connect(const char *dir, char absolute[PATH_MAX]);
/* The reply's value or -errno. fd: may be NULL. */
int64_t client_call(int sock, const struct xenloop_request *request, const void *body,
		    size_t body_bytes, void *reply_body, size_t reply_body_bytes, int *fd);
/* All domains: how many, or -errno. infos: room for XENLOOP_SLOTS. */
int64_t client_domains(int sock, struct xenloop_domain_info *infos);
/* A domid or a name. -ESRCH (complained about). */
int64_t client_find_domain(int sock, const char *name, struct xenloop_domain_info *info);
/* Connect to the instance's xenstored, as dom0. NULL (complained about). */
struct xs_handle *client_open_store(const char *dir);

/* store_nodes.c: what a toolstack writes. 0 or -errno. */

#define UUID_TEXT_BYTES 37
void uuid_print(const uint8_t uuid[16], char text[UUID_TEXT_BYTES]);
bool uuid_parse(const char *text, uint8_t uuid[16]);

int nodes_write_dom0(struct xs_handle *xsh);
int nodes_write_domain(struct xs_handle *xsh, uint32_t domid, const struct xenloop_new *new,
		       uint32_t store_port);
void nodes_remove_domain(struct xs_handle *xsh, uint32_t domid, const uint8_t uuid[16]);
