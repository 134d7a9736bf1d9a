// SPDX-License-Identifier: MIT
/*
 * A short-lived guest and the dom0 process that serves many of them, for end-to-end tests of how
 * domains come and go: `tenant guest` shares pages, offers a port, says both in the store and waits
 * to be ended with its domain; `tenant host` reads domids from stdin, maps each guest's pages, talks
 * to it, and keeps the pages until two guests later, when the domain has long been destroyed. Each
 * says a line when its part is done. Trusts the test that runs it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PAGES	   8
#define PAGE_BYTES 4096u
#define KEPT	   2 /* guests whose pages the host still maps */

/* The host ends with guests' pages mapped, and that is what is tested: no leak. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "tenant: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void say(const char *word)
{
	if (puts(word) < 0 || fflush(stdout))
		die("stdout");
}

static void await_event(xenevtchn_handle *xce, int port)
{
	if (xenevtchn_pending(xce) != port || xenevtchn_unmask(xce, port))
		die("event");
}

static void write_number(struct xs_handle *xsh, const char *path, uint32_t number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	if (!xs_write(xsh, XBT_NULL, path, text, strlen(text)))
		die(path);
}

static _Noreturn void play_guest(void)
{
	xengntshr_handle *xgs = xengntshr_open(NULL, 0);
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	struct xs_handle *xsh = xs_open(0);
	uint32_t refs[PAGES];

	if (!xgs || !xce || !xsh)
		die("open");
	char *pages = xengntshr_share_pages(xgs, 0, PAGES, refs, 1);
	int port = xenevtchn_bind_unbound_port(xce, 0);
	if (!pages || port < 0)
		die("share");
	memcpy(pages, refs, sizeof(refs));
	write_number(xsh, "data/ref", refs[0]);
	write_number(xsh, "data/port", port);
	say("offered");
	await_event(xce, port);
	for (uint32_t i = 0; i < PAGES; i++)
		if (pages[(i + 1) * PAGE_BYTES - 1] != (char)('a' + i))
			die("the host's bytes");
	say("served");
	for (;;)
		pause();
}

/* What the host has of a guest. */
struct tenancy {
	char *pages;
	int port;
};

struct host {
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	struct xs_handle *xsh;
	struct tenancy kept[KEPT];
};

static uint32_t read_number(struct host *host, uint32_t domid, const char *name)
{
	unsigned int len;
	char path[64];

	snprintf(path, sizeof(path), "/local/domain/%u/data/%s", domid, name);
	char *text = xs_read(host->xsh, XBT_NULL, path, &len);
	if (!text)
		die(path);
	uint32_t number = strtoul(text, NULL, 10);
	free(text);
	return number;
}

static void drop(struct host *host, struct tenancy *tenancy)
{
	if (!tenancy->pages)
		return;
	if (xengnttab_unmap(host->xgt, tenancy->pages, PAGES) ||
	    xenevtchn_unbind(host->xce, tenancy->port))
		die("unmap");
	tenancy->pages = NULL;
}

static void serve(struct host *host, struct tenancy *tenancy, uint32_t domid)
{
	uint32_t ref = read_number(host, domid, "ref"), refs[PAGES];
	uint32_t *first = xengnttab_map_grant_ref(host->xgt, domid, ref, PROT_READ);

	if (!first)
		die("map");
	memcpy(refs, first, sizeof(refs));
	if (xengnttab_unmap(host->xgt, first, 1))
		die("unmap");
	tenancy->pages = xengnttab_map_domain_grant_refs(host->xgt, PAGES, domid, refs,
							 PROT_READ | PROT_WRITE);
	tenancy->port =
		xenevtchn_bind_interdomain(host->xce, domid, read_number(host, domid, "port"));
	if (!tenancy->pages || tenancy->port < 0)
		die("map");
	for (uint32_t i = 0; i < PAGES; i++)
		tenancy->pages[(i + 1) * PAGE_BYTES - 1] = (char)('a' + i);
	await_event(host->xce, tenancy->port); /* binding leaves one */
	if (xenevtchn_notify(host->xce, tenancy->port))
		die("notify");
}

static int play_host(void)
{
	struct host host = {xengnttab_open(NULL, 0), xenevtchn_open(NULL, 0), xs_open(0), {{0}}};
	uint32_t domid;
	int n = 0;

	if (!host.xgt || !host.xce || !host.xsh)
		die("open");
	for (; scanf("%u", &domid) == 1; n = (n + 1) % KEPT) {
		drop(&host, &host.kept[n]);
		serve(&host, &host.kept[n], domid);
	}
	return EXIT_SUCCESS; /* what it still maps and has bound ends with it */
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "guest"))
		play_guest();
	if (argc == 2 && !strcmp(argv[1], "host"))
		return play_host();
	fprintf(stderr, "Usage: tenant guest|host\n");
	return 2;
}
