// SPDX-License-Identifier: MIT
/*
 * What the guest's worker can be told to do: one function per command, in a table. Each returns a
 * value, or -1 and errno, as the library call behind it does, and may add a text. Called by the
 * worker process alone; trusts dom0, whose rules are the only source of commands.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/conformance/conformance.h"

#define NR_SHARES 64
#define NR_ARGS	  8

struct worker {
	xengntshr_handle *xgs;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	struct xs_handle *xs;
	uint8_t *shared[NR_SHARES];
	unsigned nr_shared;
	char text[LINE_BYTES - 64];
};

struct worker *worker_new(void)
{
	return calloc(1, sizeof(struct worker));
}

static void say(struct worker *worker, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct worker *worker, const char *format, ...)
{
	size_t at = strlen(worker->text);
	va_list args;

	va_start(args, format);
	vsnprintf(worker->text + at, sizeof(worker->text) - at, format, args);
	va_end(args);
}

static uint32_t number(const char *text)
{
	return strtoul(text, NULL, 0);
}

static long result(bool ok)
{
	return ok ? 0 : -1;
}

/* ---- granting ---- */

static long keep_shared(struct worker *worker, void *addr, const uint32_t *refs, unsigned count)
{
	if (!addr)
		return -1;
	for (unsigned i = 0; i < count && i < NR_SHARED_MAX; i++)
		say(worker, "%u ", refs[i]);
	worker->shared[worker->nr_shared % NR_SHARES] = addr;
	return worker->nr_shared++ % NR_SHARES;
}

static xengntshr_handle *gntshr(struct worker *worker)
{
	if (!worker->xgs)
		worker->xgs = xengntshr_open(NULL, 0);
	return worker->xgs;
}

/* share COUNT DOMID WRITABLE -> id + grefs */
static long share(struct worker *worker, char **arg)
{
	unsigned count = number(arg[0]);

	if (!gntshr(worker))
		return -1;
	uint32_t *refs = calloc(count + 1, sizeof(*refs));
	void *addr =
		xengntshr_share_pages(worker->xgs, number(arg[1]), count, refs, number(arg[2]));
	long id = keep_shared(worker, addr, refs, count);
	int err = errno;
	free(refs);
	errno = err;
	return id;
}

/* share-notify DOMID WRITABLE OFFSET PORT -> id + gref */
static long share_notify(struct worker *worker, char **arg)
{
	uint32_t ref[1] = {0};

	if (!gntshr(worker))
		return -1;
	void *addr = xengntshr_share_page_notify(worker->xgs, number(arg[0]), ref, number(arg[1]),
						 number(arg[2]), number(arg[3]));
	return keep_shared(worker, addr, ref, 1);
}

/* unshare ID PAGE COUNT */
static long unshare(struct worker *worker, char **arg)
{
	return xengntshr_unshare(worker->xgs,
				 worker->shared[number(arg[0])] + number(arg[1]) * PAGE_BYTES,
				 number(arg[2]));
}

static long close_gntshr(struct worker *worker, char **arg)
{
	(void)arg;
	int rc = xengntshr_close(worker->xgs);
	worker->xgs = NULL;
	return rc;
}

/* fill ID PAGE BYTE */
static long fill(struct worker *worker, char **arg)
{
	memset(worker->shared[number(arg[0])] + number(arg[1]) * PAGE_BYTES, number(arg[2]),
	       PAGE_BYTES);
	return 0;
}

/* filled ID PAGE BYTE -> 1 if each byte of the page is this one */
static long filled(struct worker *worker, char **arg)
{
	const volatile uint8_t *page = worker->shared[number(arg[0])] + number(arg[1]) * PAGE_BYTES;

	for (unsigned i = 0; i < PAGE_BYTES; i++)
		if (page[i] != number(arg[2]))
			return 0;
	return 1;
}

/* peek ID OFFSET -> the byte */
static long peek(struct worker *worker, char **arg)
{
	const volatile uint8_t *pages = worker->shared[number(arg[0])];

	return pages[number(arg[1])];
}

/* True if all pages are as new; they are not afterwards. */
static bool make_dirty(uint8_t *pages, unsigned count)
{
	bool clean = true;

	for (unsigned i = 0; i < count; i++) {
		volatile uint8_t *byte = pages + i * PAGE_BYTES + 1234;
		clean = clean && !*byte;
		*byte = 238;
	}
	return clean;
}

/* share-again COUNT ROUNDS: share, write, unshare, until a gref comes again. -> 1 if no page was
 * dirty when it was shared, 0 if one was; ENOENT if no gref came again. */
static long share_again(struct worker *worker, char **arg)
{
	static bool seen[1 << 16];
	static uint32_t refs[1024];
	unsigned count = number(arg[0]);
	bool clean = true, again = false;

	if (!gntshr(worker) || count > sizeof(refs) / sizeof(refs[0]))
		return -1;
	for (unsigned round = number(arg[1]); round && clean && !again; round--) {
		void *pages = xengntshr_share_pages(worker->xgs, 0, count, refs, 1);
		if (!pages)
			return -1;
		for (unsigned i = 0; i < count; i++) {
			bool *ref = &seen[refs[i] % (1 << 16)];
			again = again || *ref;
			*ref = true;
		}
		clean = make_dirty(pages, count);
		xengntshr_unshare(worker->xgs, pages, count);
	}
	errno = ENOENT;
	return again || !clean ? clean : -1;
}

/* map DOMID GREF -> 1 if it can be mapped for reading; it is unmapped again */
static long map(struct worker *worker, char **arg)
{
	if (!worker->xgt)
		worker->xgt = xengnttab_open(NULL, 0);
	if (!worker->xgt)
		return -1;
	void *page =
		xengnttab_map_grant_ref(worker->xgt, number(arg[0]), number(arg[1]), PROT_READ);
	if (!page)
		return -1;
	xengnttab_unmap(worker->xgt, page, 1);
	return 1;
}

/* ---- event channels ---- */

static xenevtchn_handle *evtchn(struct worker *worker)
{
	if (!worker->xce)
		worker->xce = xenevtchn_open(NULL, 0);
	return worker->xce;
}

/* unbound DOMID -> port */
static long unbound(struct worker *worker, char **arg)
{
	return evtchn(worker) ? xenevtchn_bind_unbound_port(worker->xce, number(arg[0])) : -1;
}

/* interdomain DOMID PORT -> port */
static long interdomain(struct worker *worker, char **arg)
{
	return evtchn(worker)
		       ? xenevtchn_bind_interdomain(worker->xce, number(arg[0]), number(arg[1]))
		       : -1;
}

/* unbound-many DOMID MAX -> how many could be bound, + the errno that ended it */
static long unbound_many(struct worker *worker, char **arg)
{
	long n = 0, max = number(arg[1]);

	if (!evtchn(worker))
		return -1;
	errno = 0;
	while (n < max && xenevtchn_bind_unbound_port(worker->xce, number(arg[0])) > 0)
		n++;
	say(worker, "%d", n < max ? errno : 0);
	return n;
}

/* notify PORT */
static long notify(struct worker *worker, char **arg)
{
	return xenevtchn_notify(worker->xce, number(arg[0]));
}

/* unmask PORT */
static long unmask(struct worker *worker, char **arg)
{
	return xenevtchn_unmask(worker->xce, number(arg[0]));
}

/* unbind PORT */
static long unbind(struct worker *worker, char **arg)
{
	return xenevtchn_unbind(worker->xce, number(arg[0]));
}

/* event MS -> the port read, 0 if none came in time */
static long event(struct worker *worker, char **arg)
{
	return next_event(worker->xce, number(arg[0]));
}

static long close_evtchn(struct worker *worker, char **arg)
{
	(void)arg;
	int rc = xenevtchn_close(worker->xce);
	worker->xce = NULL;
	return rc;
}

/* ---- the store. T is a transaction's id, 0 for none. ---- */

static struct xs_handle *store(struct worker *worker)
{
	if (!worker->xs)
		worker->xs = xs_open(0);
	return worker->xs;
}

/* xs-close: also what a handle needs after a refused watch, which breaks it on Linux */
static long store_close(struct worker *worker, char **arg)
{
	(void)arg;
	xs_close(worker->xs);
	worker->xs = NULL;
	return 0;
}

/* xs-read T PATH -> 0 + the value */
static long store_read(struct worker *worker, char **arg)
{
	unsigned len;

	char *value = xs_read(store(worker), number(arg[0]), arg[1], &len);
	if (!value)
		return -1;
	say(worker, "%s", value);
	free(value);
	return 0;
}

/* xs-write T PATH VALUE */
static long store_write(struct worker *worker, char **arg)
{
	return result(xs_write(store(worker), number(arg[0]), arg[1], arg[2], strlen(arg[2])));
}

/* xs-write-bytes T PATH BYTES */
static long store_write_bytes(struct worker *worker, char **arg)
{
	static char value[2 * PAGE_BYTES];

	memset(value, 'x', sizeof(value));
	return result(xs_write(store(worker), number(arg[0]), arg[1], value, number(arg[2])));
}

/* xs-write-many PATH MAX -> how many nodes PATH/n could be made, + the errno that ended it */
static long store_write_many(struct worker *worker, char **arg)
{
	long n = 0, max = number(arg[1]);
	char path[256];

	for (errno = 0; n < max; n++) {
		snprintf(path, sizeof(path), "%s/%ld", arg[0], n);
		if (!xs_write(store(worker), XBT_NULL, path, "", 0))
			break;
	}
	say(worker, "%d", n < max ? errno : 0);
	return n;
}

/* xs-rm T PATH */
static long store_rm(struct worker *worker, char **arg)
{
	return result(xs_rm(store(worker), number(arg[0]), arg[1]));
}

/* xs-mkdir T PATH */
static long store_mkdir(struct worker *worker, char **arg)
{
	return result(xs_mkdir(store(worker), number(arg[0]), arg[1]));
}

/* xs-dir T PATH -> number of children + their names */
static long store_dir(struct worker *worker, char **arg)
{
	unsigned nr;

	char **names = xs_directory(store(worker), number(arg[0]), arg[1], &nr);
	if (!names)
		return -1;
	for (unsigned i = 0; i < nr; i++)
		say(worker, "%s ", names[i]);
	free(names);
	return nr;
}

/* xs-chown PATH OWNER READER: the owner may do all, the reader read, nobody else anything */
static long store_chown(struct worker *worker, char **arg)
{
	struct xs_permissions perms[] = {{.id = number(arg[1]), .perms = XS_PERM_NONE},
					 {.id = number(arg[2]), .perms = XS_PERM_READ}};

	return result(xs_set_permissions(store(worker), XBT_NULL, arg[0], perms, 2));
}

/* xs-owner PATH -> domid of the owner */
static long store_owner(struct worker *worker, char **arg)
{
	unsigned nr;

	struct xs_permissions *perms = xs_get_permissions(store(worker), XBT_NULL, arg[0], &nr);
	if (!perms)
		return -1;
	long owner = perms[0].id;
	free(perms);
	return owner;
}

/* xs-start -> transaction */
static long store_start(struct worker *worker, char **arg)
{
	(void)arg;
	xs_transaction_t t = xs_transaction_start(store(worker));

	return t ? (long)t : -1;
}

/* xs-start-many MAX -> how many could be open at a time, + the errno that ended it */
static long store_start_many(struct worker *worker, char **arg)
{
	long n = 0, max = number(arg[0]);

	for (errno = 0; n < max; n++)
		if (!xs_transaction_start(store(worker)))
			break;
	say(worker, "%d", n < max ? errno : 0);
	return n;
}

/* xs-end T ABORT */
static long store_end(struct worker *worker, char **arg)
{
	return result(xs_transaction_end(store(worker), number(arg[0]), number(arg[1])));
}

/* xs-watch PATH TOKEN */
static long store_watch(struct worker *worker, char **arg)
{
	return result(xs_watch(store(worker), arg[0], arg[1]));
}

/* xs-watch-many PATH MAX -> how many, + the errno that ended it */
static long store_watch_many(struct worker *worker, char **arg)
{
	long n = 0, max = number(arg[1]);
	char token[32];

	for (errno = 0; n < max; n++) {
		snprintf(token, sizeof(token), "many-%ld", n);
		if (!xs_watch(store(worker), arg[0], token))
			break;
	}
	say(worker, "%d", n < max ? errno : 0);
	return n;
}

/* xs-unwatch PATH TOKEN */
static long store_unwatch(struct worker *worker, char **arg)
{
	return result(xs_unwatch(store(worker), arg[0], arg[1]));
}

/* xs-event MS -> 1 + path and token, or 0 if none came in time */
static long store_event(struct worker *worker, char **arg)
{
	int64_t deadline = now_ms() + number(arg[0]);

	for (;;) {
		char **event_strings = xs_check_watch(store(worker));
		if (event_strings) {
			say(worker, "%s %s", event_strings[XS_WATCH_PATH],
			    event_strings[XS_WATCH_TOKEN]);
			free(event_strings);
			return 1;
		}
		int64_t left = deadline - now_ms();
		if (left <= 0 || !readable_within(xs_fileno(worker->xs), (int)left))
			return 0;
	}
}

/* hello: is anybody there */
static long hello(struct worker *worker, char **arg)
{
	(void)worker;
	(void)arg;
	return 0;
}

static const struct {
	const char *name;
	unsigned nr_args;
	long (*fn)(struct worker *worker, char **arg);
} commands[] = {
	{"hello", 0, hello},
	{"share", 3, share},
	{"share-notify", 4, share_notify},
	{"share-again", 2, share_again},
	{"unshare", 3, unshare},
	{"close-gntshr", 0, close_gntshr},
	{"fill", 3, fill},
	{"filled", 3, filled},
	{"peek", 2, peek},
	{"map", 2, map},
	{"unbound", 1, unbound},
	{"unbound-many", 2, unbound_many},
	{"interdomain", 2, interdomain},
	{"notify", 1, notify},
	{"unmask", 1, unmask},
	{"unbind", 1, unbind},
	{"event", 1, event},
	{"close-evtchn", 0, close_evtchn},
	{"xs-close", 0, store_close},
	{"xs-read", 2, store_read},
	{"xs-write", 3, store_write},
	{"xs-write-bytes", 3, store_write_bytes},
	{"xs-write-many", 2, store_write_many},
	{"xs-rm", 2, store_rm},
	{"xs-mkdir", 2, store_mkdir},
	{"xs-dir", 2, store_dir},
	{"xs-chown", 3, store_chown},
	{"xs-owner", 1, store_owner},
	{"xs-start", 0, store_start},
	{"xs-start-many", 1, store_start_many},
	{"xs-end", 2, store_end},
	{"xs-watch", 2, store_watch},
	{"xs-watch-many", 2, store_watch_many},
	{"xs-unwatch", 2, store_unwatch},
	{"xs-event", 1, store_event},
};

static long carry_out(struct worker *worker, char **word, unsigned nr_words)
{
	for (size_t i = 0; nr_words && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(word[0], commands[i].name) && nr_words - 1 == commands[i].nr_args)
			return commands[i].fn(worker, word + 1);
	errno = ENOSYS;
	return -1;
}

void worker_command(struct worker *worker, char *line, char answer[LINE_BYTES])
{
	char *word[NR_ARGS + 1], *rest = NULL;
	unsigned n = 0;

	for (char *w = strtok_r(line, " ", &rest); w && n <= NR_ARGS;
	     w = strtok_r(NULL, " ", &rest))
		word[n++] = w;
	worker->text[0] = '\0';
	errno = 0;
	long value = carry_out(worker, word, n);
	snprintf(answer, LINE_BYTES, "%ld %d %s", value, value < 0 ? errno : 0, worker->text);
}
