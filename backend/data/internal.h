/* SPDX-License-Identifier: MIT */
/*
 * The map of the data process, and its limits. Who calls whom, from the top:
 *
 * 	main         arguments, handles, sandbox, then the lane until it stops
 * 	ctl          the control socket: ATTACH, DETACH, STATS in; their answers and BROKEN out
 * 	sandbox      what is given up before the first word of a guest is read
 * 	lane         one thread: turns for tasks, event channels, grant handle, buffers
 * 	  uring      its io_uring, restricted; the engines' host
 * 	  gbuf       its grant buffers
 * 	blkback      a vbd: what it was offered, its engine, its counters, attach and detach
 * 	  blkqueue   one ring of it, a task of a lane: take, copy, submit, answer
 * 	  request    a tag: one request from slot to response
 * 	  journal    what was taken and not answered, where it outlives us; a tag's entry in it
 * 	  guestlog   what may be logged at a guest's doing; outlives its devices
 * 	  grantcopy  data between a guest's pages and grant buffers, a batch at a time
 * 	../engine    where blocks go
 *
 * A round of a lane: completions and events make tasks runnable; each runnable task gets one
 * bounded turn; then one submit. A request goes blkqueue.take (slot to journal entry) ->
 * request_open (decode, validate) -> grant copy (writes) -> engine -> blkqueue.answer (grant copy for
 * reads, response, publish, notify, entry free). What a dead process had taken and not answered
 * enters at request_open, before anything new.
 *
 * Where what is to come has its place: a second lane is a second struct lane and thread, and ctl
 * stays with the first; a second queue is a second blkqueue of a blkback; a vif is another task
 * beside blkqueue; sched sits between take and the submit to the engine (blkqueue.c, start);
 * persistent grants replace the copy of grantcopy.c.
 */
#pragma once

#define DATA_MAX_DEVICES 1024u

/* Registered files: a target per device, the fence, the control socket, the event channel, some to
 * spare. */
#define DATA_FILES (DATA_MAX_DEVICES + 8u)

/* Entries that can be prepared between two submits; a fuller queue is submitted early. */
#define DATA_SQ_ENTRIES 256u
/* Completions that can wait to be seen: at least one for each buffer, and flushes have none. */
#define DATA_CQ_ENTRIES 4096u

/* Grant buffers of a lane: 44 MiB when all have been in use at the same time. */
#define DATA_LANE_BUFFERS 1024u

/* Requests that one task takes or answers in one turn. */
#define DATA_TURN_REQUESTS 32u

/* Reads and writes of one queue that the engine has at a time; the others wait in the queue. */
#define DATA_UNDER_WAY 64u
/* Kernel threads of a lane for what can't be done without waiting: one queue can't occupy all. */
#define DATA_WORKERS 96u

/* Events read from the event channel in one round. */
#define DATA_ROUND_EVENTS 64u

/* A guest whose events bring no work this often in a row has its port unmasked late. */
#define DATA_SPURIOUS_EVENTS   8u
#define DATA_SPURIOUS_DELAY_NS 10000000u
