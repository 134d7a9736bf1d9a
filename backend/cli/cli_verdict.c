// SPDX-License-Identifier: MIT
/*
 * Asking for a verdict. Called by the attach, hotplug and verdict commands.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli_json.h"
#include "backend/cli/cli_query.h"
#include "backend/cli/cli_verdict.h"

static const char *const names[] = {
	[CLI_VERDICT_NONE] = "unknown",
	[CLI_VERDICT_GRANTED] = "granted",
	[CLI_VERDICT_REFUSED] = "refused",
};

const char *cli_verdict_name(enum cli_verdict_word word)
{
	return names[word];
}

static void take_text(json_t *reply, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(reply, key));

	snprintf(out, size, "%s", text ? text : "");
}

static int take(json_t *reply, struct cli_verdict *v)
{
	const char *word = json_string_value(json_object_get(reply, "verdict"));

	if (!word)
		return -EBADMSG;
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(word, names[i]))
			v->word = (enum cli_verdict_word)i;
	}
	take_text(reply, "reason", v->reason, sizeof(v->reason));
	take_text(reply, "trouble", v->trouble, sizeof(v->trouble));
	take_text(reply, "path", v->path, sizeof(v->path));
	take_text(reply, "device", v->device, sizeof(v->device));
	if (v->word != CLI_VERDICT_GRANTED && !v->reason[0])
		snprintf(v->reason, sizeof(v->reason), "ringwayd gave no reason");
	return 0;
}

static int explain(struct cli_verdict *v, int err)
{
	if (cli_query_is_down(err))
		snprintf(v->reason, sizeof(v->reason),
			 "ringwayd is not running; start it with systemctl start ringwayd");
	else if (err == -ETIMEDOUT)
		snprintf(v->reason, sizeof(v->reason),
			 "no verdict from ringwayd in time; see journalctl -u ringwayd, or try a "
			 "longer --timeout");
	else
		snprintf(v->reason, sizeof(v->reason),
			 "ringwayd went away or answered wrongly (%s); see journalctl -u ringwayd",
			 strerror(-err));
	return err;
}

int cli_verdict_ask(uint32_t domid, uint32_t devid, uint64_t deadline_ns, struct cli_verdict *v)
{
	_cli_json json_t *reply = NULL;
	int fd = cli_query_open();

	memset(v, 0, sizeof(*v));
	if (fd < 0)
		return explain(v, fd);
	int err = cli_query_ask(fd, deadline_ns, &reply, "verdict %u %u", domid, devid);
	if (!err)
		err = take(reply, v);
	return err ? explain(v, err) : 0;
}
