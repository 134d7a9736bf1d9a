// SPDX-License-Identifier: MIT
/*
 * The null engine: reads give zeroes, writes vanish, flushes are done. For measuring everything
 * above the engine. Called by backend/data through engine_ops.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "backend/engine/engine.h"

static void complete(struct engine_event *event, int32_t res, uint32_t flags)
{
	struct engine_io *io = (struct engine_io *)event;

	(void)res;
	(void)flags;
	io->result = 0;
	io->done(io);
}

static void submit(struct engine *engine, struct engine_io *io)
{
	if (io->op == ENGINE_READ) {
		for (uint32_t i = 0; i < io->nr_iov; i++)
			memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
	}
	io->event.fn = complete;
	engine->host->call_later(engine->host, &io->event);
}

static int open_null(struct engine_host *host, const struct engine_params *params,
		     struct engine **engine)
{
	struct engine *null = calloc(1, sizeof(*null));

	(void)params;
	if (!null)
		return -ENOMEM;
	null->ops = &engine_null;
	null->host = host;
	*engine = null;
	return 0;
}

static void close_null(struct engine *engine)
{
	free(engine);
}

const struct engine_ops engine_null = {
	.name = "null",
	.open = open_null,
	.submit = submit,
	.close = close_null,
};
