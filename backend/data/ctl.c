// SPDX-License-Identifier: MIT
/* Implementation of ctl.h: framing, dispatch, and what is told to control. Called by the lane. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "backend/data/ctl.h"
#include "common/log.h"

/* Messages taken in one round, so that control cannot keep the guests waiting. */
#define ROUND_MESSAGES 16u
/* That come with a message. */
#define MAX_FILES 2u

union ctl_packet {
	struct ctl_header header;
	struct ctl_attach attach;
	struct ctl_device device;
};

struct ctl_answer {
	STAILQ_ENTRY(ctl_answer) link;
	size_t bytes;
	char packet[];
};

/* Control is gone, or we can't talk to it any more: serve what is in flight, then leave. */
static void leave(struct ctl *ctl)
{
	struct blkback *dev;

	ctl->leaving = true;
	lane_watch_for(&ctl->input, 0);
	lane_watch_for(&ctl->output, 0);
	LIST_FOREACH(dev, &ctl->devices, link)
	blkback_leave(dev);
	if (ctl->nr_devices == 0)
		lane_stop(ctl->lane);
}

static void queue_answer(struct ctl *ctl, const void *packet, size_t bytes)
{
	struct ctl_answer *answer = malloc(sizeof(*answer) + bytes);

	if (!answer) {
		rwy_error("no memory to answer the control process");
		leave(ctl);
		return;
	}
	answer->bytes = bytes;
	memcpy(answer->packet, packet, bytes);
	STAILQ_INSERT_TAIL(&ctl->unsent, answer, link);
	/* Room is what we wait for now, instead of messages: these cause more answers. */
	lane_watch_for(&ctl->input, 0);
	lane_watch_for(&ctl->output, POLLOUT);
}

static int send_packet(struct ctl *ctl, const void *packet, size_t bytes)
{
	ssize_t n;

	do
		n = send(ctl->fd, packet, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void say(struct ctl *ctl, const void *packet, size_t bytes)
{
	if (ctl->leaving)
		return;
	int err = STAILQ_EMPTY(&ctl->unsent) ? send_packet(ctl, packet, bytes) : -EAGAIN;

	if (err == -EAGAIN || err == -ENOBUFS)
		queue_answer(ctl, packet, bytes);
	else if (err)
		leave(ctl);
}

static void say_result(struct ctl *ctl, enum ctl_type type, uint32_t device_id, int err,
		       const char *reason)
{
	struct ctl_result result = {
		.header = {.type = type, .device_id = device_id},
		.err = err,
	};

	snprintf(result.reason, sizeof(result.reason), "%s", err ? reason : "");
	say(ctl, &result, sizeof(result));
}

static void drop_unsent(struct ctl *ctl)
{
	struct ctl_answer *answer = STAILQ_FIRST(&ctl->unsent);

	STAILQ_REMOVE_HEAD(&ctl->unsent, link);
	free(answer);
}

static void send_unsent(struct lane_watch *watch, uint32_t poll_mask)
{
	struct ctl *ctl = watch->ctx;

	(void)poll_mask;
	while (!STAILQ_EMPTY(&ctl->unsent)) {
		const struct ctl_answer *answer = STAILQ_FIRST(&ctl->unsent);
		int err = send_packet(ctl, answer->packet, answer->bytes);

		if (err == -EAGAIN || err == -ENOBUFS)
			return;
		if (err) {
			leave(ctl);
			return;
		}
		drop_unsent(ctl);
	}
	lane_watch_for(&ctl->output, 0);
	if (!ctl->leaving)
		lane_watch_for(&ctl->input, POLLIN);
}

static struct blkback *find(struct ctl *ctl, uint32_t device_id)
{
	struct blkback *dev;

	LIST_FOREACH(dev, &ctl->devices, link)
	if (dev->id == device_id)
		return dev;
	return NULL;
}

static void broken(void *ctx, struct blkback *dev, int err, const char *reason)
{
	say_result(ctx, CTL_BROKEN, dev->id, err, reason);
}

static void detached(void *ctx, struct blkback *dev)
{
	struct ctl *ctl = ctx;

	LIST_REMOVE(dev, link);
	ctl->nr_devices--;
	say_result(ctl, CTL_DETACHED, dev->id, 0, "");
	if (ctl->leaving && ctl->nr_devices == 0)
		lane_stop(ctl->lane);
}

static const struct blkback_owner owner = {.broken = broken, .detached = detached};

static void attach(struct ctl *ctl, const struct ctl_attach *msg, const struct blkback_files *files)
{
	char reason[CTL_REASON_BYTES] = "there are too many devices, or one of this number";
	struct blkback *dev;
	int err = -EINVAL;

	if (ctl->nr_devices < DATA_MAX_DEVICES && !find(ctl, msg->header.device_id))
		err = blkback_attach(ctl->lane, msg, files, &owner, ctl, &dev, reason);
	if (!err) {
		LIST_INSERT_HEAD(&ctl->devices, dev, link);
		ctl->nr_devices++;
	}
	say_result(ctl, CTL_ATTACHED, msg->header.device_id, err, reason);
}

static void detach(struct ctl *ctl, uint32_t device_id)
{
	struct blkback *dev = find(ctl, device_id);

	if (dev)
		blkback_detach(dev);
	else
		say_result(ctl, CTL_DETACHED, device_id, -ENOENT, "there is no such device");
}

static void stats(struct ctl *ctl, uint32_t device_id)
{
	struct ctl_stats_reply reply = {
		.header = {.type = CTL_STATS_REPLY, .device_id = device_id},
		.err = -ENOENT,
	};
	const struct blkback *dev = find(ctl, device_id);

	if (dev) {
		reply.err = 0;
		blkback_stats(dev, &reply.stats);
	}
	say(ctl, &reply, sizeof(reply));
}

/* A packet of bytes bytes, and the files that came with it, which the caller closes. */
static void dispatch(struct ctl *ctl, const union ctl_packet *packet, size_t bytes,
		     const struct blkback_files *files)
{
	uint32_t id = packet->header.device_id;

	if (bytes == sizeof(packet->attach) && packet->header.type == CTL_ATTACH)
		attach(ctl, &packet->attach, files);
	else if (bytes == sizeof(packet->device) && packet->header.type == CTL_DETACH)
		detach(ctl, id);
	else if (bytes == sizeof(packet->device) && packet->header.type == CTL_STATS)
		stats(ctl, id);
	else
		rwy_error("a message of type %u with %zu bytes makes no sense",
			  bytes >= sizeof(packet->header) ? packet->header.type : 0, bytes);
}

/* The journal comes first, then the target; -1 for what did not come. */
static void take_files(struct msghdr *msg, struct blkback_files *files)
{
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int fds[MAX_FILES] = {-1, -1};

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len <= CMSG_LEN(sizeof(fds)))
		memcpy(fds, CMSG_DATA(cmsg), cmsg->cmsg_len - CMSG_LEN(0));
	*files = (struct blkback_files){.journal = fds[0], .target = fds[1]};
}

static void close_files(const struct blkback_files *files)
{
	if (files->journal >= 0)
		close(files->journal);
	if (files->target >= 0)
		close(files->target);
}

/* One packet; its length, 0 at EOF, or -errno: then there are no files to close. */
static ssize_t receive(struct ctl *ctl, union ctl_packet *packet, struct blkback_files *files)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(MAX_FILES * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = packet, .iov_len = sizeof(*packet)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(ctl->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_files(&msg, files);
	return n;
}

static void receive_some(struct lane_watch *watch, uint32_t poll_mask)
{
	struct ctl *ctl = watch->ctx;

	(void)poll_mask;
	for (uint32_t n = 0; n < ROUND_MESSAGES && ctl->input.poll_mask; n++) {
		union ctl_packet packet = {0};
		struct blkback_files files;
		ssize_t bytes = receive(ctl, &packet, &files);

		if (bytes == -EAGAIN)
			return;
		if (bytes <= 0) {
			leave(ctl);
			return;
		}
		dispatch(ctl, &packet, (size_t)bytes, &files);
		close_files(&files);
	}
}

int ctl_init(struct ctl *ctl, struct lane *lane, int fd)
{
	struct ctl_hello hello = {
		.header = {.type = CTL_HELLO},
		.version = CTL_VERSION,
		.pid = (uint32_t)getpid(),
	};

	*ctl = (struct ctl){.lane = lane, .fd = fd};
	LIST_INIT(&ctl->devices);
	STAILQ_INIT(&ctl->unsent);
	int err = lane_watch(lane, &ctl->input, fd, POLLIN, receive_some, ctl);

	if (!err)
		err = lane_watch(lane, &ctl->output, fd, 0, send_unsent, ctl);
	if (err)
		return err;
	err = send_packet(ctl, &hello, sizeof(hello));
	return err == -EPIPE ? 0 : err; /* control is gone: that is heard in its turn */
}

void ctl_fini(struct ctl *ctl)
{
	while (!STAILQ_EMPTY(&ctl->unsent))
		drop_unsent(ctl);
}
