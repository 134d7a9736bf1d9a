// SPDX-License-Identifier: MIT
/*
 * A disk on which writes arrive late, for end-to-end tests: a file in user space (FUSE, as the
 * kernel speaks it), mounted over a file, in front of an image. `late_disk FILE IMAGE` does what it
 * reads from stdin, a word a line: `hold`, writes that come from now on are kept; `pass`, they land
 * in the image at once; `land`, those that were kept land now, the oldest last; `end`, the disk
 * is unmounted. Each write is a line on stdout: `held BYTES` or `came BYTES`, and `landed BYTES` for one
 * that was held. Reads are answered at once. Direct I/O does not wait for other
 * I/O, as on a device. Trusts the test that runs it, and the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_HELD	64u
#define MAX_WRITE_BYTES (128u * 1024)
#define EXIT_CANNOT	77 /* no such mounts here */

/* A request of the kernel's. */
struct message {
	struct fuse_in_header header;
	char body[sizeof(struct fuse_write_in) + MAX_WRITE_BYTES];
};

struct held {
	uint64_t unique;
	uint64_t offset_bytes;
	uint32_t bytes;
	char *data;
};

static struct {
	int fuse;
	int image;
	bool holding;
	uint32_t nr_held;
	struct held held[MAX_HELD];
} disk;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "late_disk: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void say(const char *word, uint32_t bytes)
{
	if (printf("%s %u\n", word, bytes) < 0 || fflush(stdout))
		die("stdout");
}

/* The kernel has no use for the answer any more if who asked was killed: -ENOENT. */
static void reply(uint64_t unique, int err, const void *body, size_t len)
{
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + len), .error = err, .unique = unique};
	struct iovec iov[] = {{&header, sizeof(header)}, {(void *)body, len}};

	if (writev(disk.fuse, iov, 2) < 0 && errno != ENOENT)
		die("reply");
}

static void on_init(const struct message *m)
{
	const struct fuse_init_in *in = (const struct fuse_init_in *)m->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor
							       : FUSE_KERNEL_MINOR_VERSION,
		.flags = in->flags &
			 (FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_BIG_WRITES | FUSE_MAX_PAGES),
		.max_write = MAX_WRITE_BYTES,
		.max_pages = MAX_WRITE_BYTES / 4096,
		.max_background = 2 * MAX_HELD,
		.congestion_threshold = 2 * MAX_HELD,
	};

	reply(m->header.unique, 0, &out, sizeof(out));
}

static void on_getattr(const struct message *m)
{
	struct fuse_attr_out out = {.attr_valid = 3600};
	struct stat st;

	if (fstat(disk.image, &st))
		die("image");
	out.attr.ino = FUSE_ROOT_ID;
	out.attr.size = (uint64_t)st.st_size;
	out.attr.mode = S_IFREG | 0600;
	out.attr.nlink = 1;
	out.attr.blksize = 4096;
	reply(m->header.unique, 0, &out, sizeof(out));
}

static void on_open(const struct message *m)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};

#ifdef FOPEN_PARALLEL_DIRECT_WRITES
	out.open_flags |= FOPEN_PARALLEL_DIRECT_WRITES;
#endif
	reply(m->header.unique, 0, &out, sizeof(out));
}

static void on_read(const struct message *m)
{
	const struct fuse_read_in *in = (const struct fuse_read_in *)m->body;
	static char data[1024 * 1024];
	size_t want = in->size < sizeof(data) ? in->size : sizeof(data);
	ssize_t len = pread(disk.image, data, want, (off_t)in->offset);

	if (len < 0)
		die("image");
	reply(m->header.unique, 0, data, (size_t)len);
}

static void land(uint64_t unique, const char *data, uint32_t bytes, uint64_t offset_bytes)
{
	struct fuse_write_out out = {.size = bytes};

	if (pwrite(disk.image, data, bytes, (off_t)offset_bytes) != (ssize_t)bytes)
		die("image");
	reply(unique, 0, &out, sizeof(out));
}

static void hold(uint64_t unique, const char *data, uint32_t bytes, uint64_t offset_bytes)
{
	struct held *h = &disk.held[disk.nr_held++];

	if (disk.nr_held > MAX_HELD)
		die("too many writes to hold");
	*h = (struct held){unique, offset_bytes, bytes, malloc(bytes)};
	if (!h->data)
		die("memory");
	memcpy(h->data, data, bytes);
}

static void on_write(const struct message *m)
{
	const struct fuse_write_in *in = (const struct fuse_write_in *)m->body;
	const char *data = m->body + sizeof(*in);

	say(disk.holding ? "held" : "came", in->size);
	if (disk.holding)
		hold(m->header.unique, data, in->size, in->offset);
	else
		land(m->header.unique, data, in->size, in->offset);
}

static void land_all(void)
{
	while (disk.nr_held > 0) {
		struct held *h = &disk.held[--disk.nr_held];

		land(h->unique, h->data, h->bytes, h->offset_bytes);
		say("landed", h->bytes);
		free(h->data);
	}
}

/* False: there is no file system any more. */
static bool serve_one(void)
{
	static struct message m;
	ssize_t len = read(disk.fuse, &m, sizeof(m));

	if (len < 0 && errno == ENODEV)
		return false;
	if (len < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
		die("/dev/fuse");
	if (len < 0)
		return true;
	switch (m.header.opcode) {
	case FUSE_INIT:
		on_init(&m);
		break;
	case FUSE_GETATTR:
		on_getattr(&m);
		break;
	case FUSE_OPEN:
		on_open(&m);
		break;
	case FUSE_READ:
		on_read(&m);
		break;
	case FUSE_WRITE:
		on_write(&m);
		break;
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
	case FUSE_ACCESS:
		reply(m.header.unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: /* what was handed over is not taken back */
		break;
	default:
		reply(m.header.unique, -ENOSYS, NULL, 0);
		break;
	}
	return true;
}

/* False: there are no more. */
static bool obey_one(void)
{
	char word[16];

	if (!fgets(word, sizeof(word), stdin) || !strcmp(word, "end\n"))
		return false;
	if (!strcmp(word, "land\n"))
		land_all();
	else
		disk.holding = !strcmp(word, "hold\n");
	return true;
}

static int mount_over(const char *file)
{
	char options[128];

	disk.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (disk.fuse < 0)
		return -errno;
	snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=%u,group_id=%u,allow_other",
		 disk.fuse, S_IFREG, getuid(), getgid());
	return mount("late_disk", file, "fuse", MS_NOSUID | MS_NODEV, options) ? -errno : 0;
}

static void serve(void)
{
	struct pollfd pfd[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = disk.fuse, .events = POLLIN}};

	setvbuf(stdin, NULL, _IONBF, 0); /* or poll would not see what was read ahead */
	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			die("poll");
		if (pfd[0].revents && !obey_one())
			return;
		if (pfd[1].revents && !serve_one())
			return;
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "Usage: late_disk FILE IMAGE\n");
		return 2;
	}
	disk.image = open(argv[2], O_RDWR | O_CLOEXEC);
	if (disk.image < 0)
		die(argv[2]);
	int err = mount_over(argv[1]);
	if (err) {
		fprintf(stderr, "can't mount a file in user space here: %s\n", strerror(-err));
		return EXIT_CANNOT;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN); /* it ends when it is told to, after who uses it */
	serve();
	land_all();
	umount2(argv[1], MNT_DETACH);
	return EXIT_SUCCESS;
}
