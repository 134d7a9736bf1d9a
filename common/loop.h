/* SPDX-License-Identifier: MIT */
/*
 * An epoll event loop with timers and an injected clock. Used by ringwayd and by loopback Xen.
 * Single-threaded: every call from the thread that runs it. Callbacks may add and remove any
 * source, including the one being called.
 */
#pragma once
#include <signal.h>
#include <stdint.h>

struct rwy_loop;
struct rwy_loop_source; /* an fd or a signal set being watched */
struct rwy_loop_timer;

typedef uint64_t (*rwy_loop_clock_fn)(void *ctx); /* monotonic nanoseconds */
typedef void (*rwy_loop_fd_fn)(void *ctx, uint32_t epoll_events);
typedef void (*rwy_loop_timer_fn)(void *ctx);
typedef void (*rwy_loop_signal_fn)(void *ctx, int signo);

/* clock NULL: CLOCK_MONOTONIC. */
int rwy_loop_create(struct rwy_loop **loop, rwy_loop_clock_fn clock, void *clock_ctx);
/* Frees the loop and all sources and timers left in it; closes none of the watched fds. NULL is
 * fine. */
void rwy_loop_destroy(struct rwy_loop *loop);
uint64_t rwy_loop_now_ns(struct rwy_loop *loop);

/* Watch an fd (borrowed, must outlive the source) for epoll_events (EPOLLIN, ...). */
int rwy_loop_add_fd(struct rwy_loop *loop, int fd, uint32_t epoll_events, rwy_loop_fd_fn fn,
		    void *ctx, struct rwy_loop_source **source);
int rwy_loop_modify_fd(struct rwy_loop_source *source, uint32_t epoll_events);
/* Block the signals in the calling thread and watch them through a signalfd that the source owns.
 * They stay blocked after the source is removed. */
int rwy_loop_add_signals(struct rwy_loop *loop, const sigset_t *set, rwy_loop_signal_fn fn,
			 void *ctx, struct rwy_loop_source **source);
/* NULL is fine. Safe inside any callback; the source's callback is not called again. */
void rwy_loop_remove(struct rwy_loop_source *source);

/* A one-shot timer, not armed. */
int rwy_loop_add_timer(struct rwy_loop *loop, rwy_loop_timer_fn fn, void *ctx,
		       struct rwy_loop_timer **timer);
/* (Re-)arm to fire once at the absolute time; disarm stops it. Fires up to a millisecond late,
 * never early; equal times fire in the order they were armed. What a callback arms for now or
 * earlier fires in the next round. */
void rwy_loop_arm_timer(struct rwy_loop_timer *timer, uint64_t at_ns);
void rwy_loop_disarm_timer(struct rwy_loop_timer *timer);
/* NULL is fine. Safe inside any callback. */
void rwy_loop_remove_timer(struct rwy_loop_timer *timer);

/* One round: wait for at most timeout_ns (UINT64_MAX: until something happens), call what is due. 0
 * or -errno. */
int rwy_loop_run_once(struct rwy_loop *loop, uint64_t timeout_ns);
/* Rounds until rwy_loop_stop (one given before counts); returns the code given there, or -errno. */
int rwy_loop_run(struct rwy_loop *loop);
void rwy_loop_stop(struct rwy_loop *loop, int code);
