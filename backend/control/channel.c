// SPDX-License-Identifier: MIT
/*
 * The message socket to one data process. Trusts the other end to send neither whole messages nor
 * descriptors nor anything at all. Called by worker.c and worker_lease.c.
 */
#include "backend/control/channel.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGES_PER_ROUND 64

struct outgoing {
	STAILQ_ENTRY(outgoing) next;
	int fds[CHANNEL_MAX_FDS]; /* ours */
	unsigned int nr_fds;
	size_t len;
	char bytes[CHANNEL_MESSAGE_BYTES];
};

struct channel {
	struct rwy_loop_source *source;
	int fd; /* -1: closed */
	const struct channel_events *events;
	void *ctx;
	STAILQ_HEAD(outgoing_list, outgoing) queue;
};

static void lose(struct channel *ch, const char *why)
{
	channel_close(ch);
	ch->events->lost(ch->ctx, why);
}

/* 1: sent; 0: the socket is full; -errno. */
static int send_now(int socket_fd, const void *msg, size_t len, const int *fds, unsigned int nr_fds)
{
	union {
		char space[CMSG_SPACE(CHANNEL_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t fd_bytes = nr_fds * sizeof(int);

	if (nr_fds) {
		mh.msg_control = control.space;
		mh.msg_controllen = CMSG_SPACE(fd_bytes);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(fd_bytes);
		memcpy(CMSG_DATA(cm), fds, fd_bytes);
	}
	if (sendmsg(socket_fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 1;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static void drop(struct outgoing *out)
{
	while (out->nr_fds)
		close(out->fds[--out->nr_fds]);
	free(out);
}

static int copy_fds(struct outgoing *out, const int *fds, unsigned int nr_fds)
{
	for (; out->nr_fds < nr_fds; out->nr_fds++) {
		int fd = fcntl(fds[out->nr_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		out->fds[out->nr_fds] = fd;
	}
	return 0;
}

static int enqueue(struct channel *ch, const void *msg, size_t len, const int *fds,
		   unsigned int nr_fds)
{
	struct outgoing *out = calloc(1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	int err = copy_fds(out, fds, nr_fds);
	if (err) {
		drop(out);
		return err;
	}
	memcpy(out->bytes, msg, len);
	out->len = len;
	STAILQ_INSERT_TAIL(&ch->queue, out, next);
	return rwy_loop_modify_fd(ch->source, EPOLLIN | EPOLLOUT);
}

int channel_send(struct channel *channel, const void *msg, size_t len, const int *fds,
		 unsigned int nr_fds)
{
	if (channel->fd < 0)
		return -EPIPE;
	if (len > CHANNEL_MESSAGE_BYTES || nr_fds > CHANNEL_MAX_FDS)
		return -EINVAL;
	if (STAILQ_EMPTY(&channel->queue)) {
		int sent = send_now(channel->fd, msg, len, fds, nr_fds);

		if (sent)
			return sent < 0 ? sent : 0;
	}
	return enqueue(channel, msg, len, fds, nr_fds);
}

static int flush_queue(struct channel *ch)
{
	struct outgoing *out;

	while ((out = STAILQ_FIRST(&ch->queue))) {
		int sent = send_now(ch->fd, out->bytes, out->len, out->fds, out->nr_fds);

		if (sent <= 0)
			return sent;
		STAILQ_REMOVE_HEAD(&ch->queue, next);
		drop(out);
	}
	return rwy_loop_modify_fd(ch->source, EPOLLIN);
}

/*
 * Descriptors are never expected from a data process: without room for them the kernel drops them.
 */
static void receive(struct channel *ch)
{
	_Alignas(8) char buf[CHANNEL_MESSAGE_BYTES];

	for (int i = 0; i < MESSAGES_PER_ROUND && ch->fd >= 0; i++) {
		struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t len = recvmsg(ch->fd, &mh, MSG_DONTWAIT);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len <= 0) {
			lose(ch, len ? strerror(errno) : "closed its socket");
			return;
		}
		if ((size_t)len < sizeof(struct ctl_header) || (mh.msg_flags & MSG_TRUNC)) {
			lose(ch, "sent a message of a wrong length");
			return;
		}
		ch->events->message(ch->ctx, (const struct ctl_header *)buf, (size_t)len);
	}
}

static void on_socket(void *ctx, uint32_t epoll_events)
{
	struct channel *ch = ctx;
	int err = 0;

	if (epoll_events & EPOLLOUT)
		err = flush_queue(ch);
	if (err < 0)
		lose(ch, strerror(-err));
	else
		receive(ch);
}

int channel_create(struct channel **channel, struct rwy_loop *loop, int fd,
		   const struct channel_events *events, void *ctx)
{
	struct channel *ch = calloc(1, sizeof(*ch));

	if (!ch)
		return -ENOMEM;
	ch->fd = fd;
	ch->events = events;
	ch->ctx = ctx;
	STAILQ_INIT(&ch->queue);

	int err = rwy_loop_add_fd(loop, fd, EPOLLIN, on_socket, ch, &ch->source);
	if (err) {
		free(ch);
		return err;
	}
	*channel = ch;
	return 0;
}

void channel_close(struct channel *channel)
{
	if (channel->fd < 0)
		return;
	rwy_loop_remove(channel->source);
	channel->source = NULL;
	close(channel->fd);
	channel->fd = -1;
}

void channel_destroy(struct channel *channel)
{
	struct outgoing *out;

	if (!channel)
		return;
	channel_close(channel);
	while ((out = STAILQ_FIRST(&channel->queue))) {
		STAILQ_REMOVE_HEAD(&channel->queue, next);
		drop(out);
	}
	free(channel);
}
