/* SPDX-License-Identifier: MIT */
/*
 * The map of the conformance program: assertions about what Xen, its kernel drivers and xenstored
 * do, which run on loopback Xen and on real Xen alike. The dom0 side has the rules; the guest side
 * carries out what a rule asks of it, one line at a time, through nodes in xenstore.
 *
 * It links to nothing but Xen's libraries and libc, so that it can be copied into any domain.
 */
#pragma once
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PAGE_BYTES     4096u
#define LINE_BYTES     512   /* a request or an answer, with its NUL */
#define EVENT_WAIT_MS  10000 /* for anything that ought to come at once */
#define QUIET_MS       30    /* how long nothing must come for "nothing came" */
#define ANSWER_WAIT_MS 40000 /* for the guest to carry out one command */
#define GUEST_WAIT_MS  60000 /* for the guest side to be there at all */
#define NO_SUCH_DOMID  29999u
#define NO_SUCH_GREF   0x00fffff0u
#define NR_SHARED_MAX  16 /* pages in one share that a rule asks for */

/* The nodes that requests and answers go through, below /local/domain/<guest>/. */
#define LINK_DIR "data/conformance"
#define WORK_DIR "data/conformance/work" /* where rules about the store play */
#define DOM0_DIR "/conformance"		 /* likewise, out of the guest's reach */

/* ---- time and waiting (clock.c) ---- */

int64_t now_ms(void);
/* Poll for input. True: readable. */
bool readable_within(int fd, int ms);

/* ---- the guest side (guest.c, commands.c) ---- */

/* Serve until killed. Returns an exit status if it cannot start. */
int guest_main(void);

struct worker;
struct worker *worker_new(void);
/* Carry out one line (which is torn apart) and write the answer: value, errno, text. */
void worker_command(struct worker *worker, char *line, char answer[LINE_BYTES]);

/* ---- the dom0 side (main.c, run.c) ---- */

enum outcome {
	PASSED,
	FAILED,
	SKIPPED
};

struct run_mapping {
	void *addr;
	size_t pages;
};

/* One rule being checked, and what it holds. Handles are its own and are closed after it. */
struct run {
	uint32_t domid; /* the guest's */
	char nonce[32]; /* of this run of the program: stale answers do not have it */
	unsigned seq;
	struct xs_handle *xs;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	struct run_mapping mappings[16];
	unsigned nr_mappings;
	pid_t child; /* that ends with the rule; 0: none */
	int child_sock;
	char text[LINE_BYTES]; /* of the guest's last answer */
	jmp_buf out;
	enum outcome outcome;
	char seen[LINE_BYTES];
};

typedef void rule_fn(struct run *run);

struct rule {
	const char *name; /* what Xen does, as a sentence */
	rule_fn *fn;
};

struct rule_group {
	const struct rule *rules;
	size_t nr_rules;
};

extern const struct rule_group map_rules, share_rules, copy_rules, notify_rules;
extern const struct rule_group port_rules, event_rules, store_rules, store_access_rules;
#define RULE_GROUP(array)                               \
	{                                               \
		array, sizeof(array) / sizeof(array[0]) \
	}

/* Why `world` is known to break the rule of this name; NULL if it is held to it. */
const char *known_reason(const char *world, const char *rule_name);
bool known_world(const char *world);
void print_known(void);

/* All of these leave the rule if it fails. */
_Noreturn void fail_rule(struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Here it cannot be seen whether the rule holds. */
_Noreturn void skip_rule(struct run *run, const char *reason);
#define CHECK(run, condition, ...)                   \
	do {                                         \
		if (!(condition))                    \
			fail_rule(run, __VA_ARGS__); \
	} while (0)
/* A call was made; it must have failed with this errno. */
void check_refused(struct run *run, bool succeeded, int wanted_errno, const char *what);
/* It must have succeeded. */
void check_done(struct run *run, bool succeeded, const char *what);

/* Have the guest carry out a command: its value, or -1 and errno. Text is in run->text. */
long ask(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, and it must succeed. */
long must(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Pages that the guest has shared: its name for them, and their grefs. */
struct shared {
	long id;
	uint32_t gref[NR_SHARED_MAX];
};
struct shared guest_shares(struct run *run, unsigned count, uint32_t domid, bool writable);

/* Map a page of the guest: it must succeed. Ends with the rule, or by unmap. */
uint8_t *map_page(struct run *run, uint32_t gref, int prot);
void *keep_mapping(struct run *run, void *addr, size_t pages);
void unmap_page(struct run *run, void *addr);
/* Map and see it refused with EINVAL. */
void check_unmappable(struct run *run, uint32_t gref, int prot, const char *what);

/* A channel between run->xce and the guest, with no event outstanding. */
struct channel {
	uint32_t own_port;
	uint32_t guest_port;
};
struct channel open_channel(struct run *run);
/* The next port that the handle reports, or 0 when none comes in time. */
uint32_t next_event(xenevtchn_handle *xce, int ms);
void check_event(struct run *run, uint32_t port, const char *what);
void check_no_event(struct run *run, const char *what);
void check_guest_event(struct run *run, uint32_t port, const char *what);

/*
 * Run fn in a child process that opens its own handles. Returns its exit status, which is one of
 * these if it accessed bad memory or a check failed in it, or minus the signal that killed it. A
 * child that takes too long is killed, and the rule fails.
 */
#define CHILD_FAULTED 98
#define CHILD_FAILED  99
typedef int child_fn(struct run *run, const void *arg);
int in_child(struct run *run, child_fn *fn, const void *arg);
/* The same, but the child stays when fn returned 0 (else the rule fails), until end_child. */
void start_child(struct run *run, child_fn *fn, const void *arg);
/* signal 0: it exits by itself. */
void end_child(struct run *run, int signal);
