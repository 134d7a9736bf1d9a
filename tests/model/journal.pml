// SPDX-License-Identifier: MIT
/*
 * One queue of a disk: ring, journal (backend/journal.h), data processes that die between any two
 * stores, I/O that the kernel goes on with after their death, and a frontend. Each store and each
 * load of what others write is a step of its own, in the order of journal.h. What is checked is
 * under "Properties"; bounds, and what is left out, are in README.md. HOSTILE makes the frontend one
 * that forges. The other names tested with #ifdef take one mechanism out each, to see a property
 * fail without it; run.sh has the list.
 */

#ifndef SLOTS
#define SLOTS 2 /* of the ring, and tags: 2 or 4 */
#endif
#ifndef REQUESTS
#define REQUESTS 4 /* that the frontend makes in all, not above 8 */
#endif
#ifndef DEATHS
#define DEATHS 2 /* of data processes: kills, and orderly ends when control has died */
#endif

/* Indexes wrap at 16 instead of 2^32; the ring has been in use, so that they wrap in every run. */
#define WRAP 16
#define START 14
#define INDEX(x) ((x) & (WRAP - 1))
#define AHEAD(a, b) INDEX((a) - (b)) /* how far a is ahead of b */
#define SLOT(index) ((index) & (SLOTS - 1))

#if SLOTS == 4
#define EACH(option) option(0) option(1) option(2) option(3)
#define SOME(state)                                                                                \
	(m_state[0] == state || m_state[1] == state || m_state[2] == state || m_state[3] == state)
#else
#define EACH(option) option(0) option(1)
#define SOME(state) (m_state[0] == state || m_state[1] == state)
#endif
#define ALL_SLOTS 0 .. (SLOTS - 1)
#define ALL_BLOCKS ((1 << SLOTS) - 1)
#define ALL_REQUESTS ((1 << REQUESTS) - 1)

/* --- The ring. A slot holds the number of a request, or RESPONSE + the number that it answers. */
#define RESPONSE 16
#define NUMBER(slot) ((slot) & 7)
byte sring_req_prod = START;
byte sring_req_event = START + 1;
byte sring_rsp_prod = START;
byte sring_rsp_event = START + 1;
byte sring_slot[SLOTS];

/* --- The journal; outlives the process. A word is a state and, when ANSWERED, a response index. */
#define FREE 0
#define TAKEN 1
#define ANSWERED 2
#define STATE(word) ((word) & 3)
#define RESPONSE_INDEX(word) ((word) >> 2)
#define WORD(state, index) ((state) + ((index) << 2))
bit j_live;
byte j_req_cons;
byte j_intended;
byte j_committed;
byte j_slot[SLOTS];
byte j_index[SLOTS];
byte j_word[SLOTS];

/* --- The process's tags; gone when it dies. */
#define IDLE 0
#define READY 1	    /* to be started */
#define UNDER_WAY 2 /* the kernel has it */
#define DONE 3
#define PUT 4 /* its response is in the ring's slot */
byte m_state[SLOTS];
byte m_number[SLOTS];
byte m_index[SLOTS];
#ifdef BY_SLOT
#define ENTRY(tag) SLOT(m_index[tag])
#else
#define ENTRY(tag) (tag)
#endif

/* --- The process's circumstances. */
bit up;	     /* the fence has passed, it runs */
bit killed;  /* it has been; it makes no further step */
bit refused; /* the ring or the journal: the device is closed */
bit leaving; /* control has died: it takes nothing more, and ends when all is answered */
bit bound;   /* it has the event channel; what is sent otherwise is gone */
bit back_event;
bit front_event;
byte deaths;

/* --- The kernel and the disk. */
byte stale;	  /* writes of dead processes that are still to land: a bit for each number */
byte disk[SLOTS]; /* by block: 1 + the number of the write that it holds, 0 at first */

/* --- The frontend. It relies on answers: one write at a time to a block. */
byte f_req_prod = START;
byte f_rsp_cons = START;
byte f_next;	       /* number of the next request */
byte f_under_way;      /* requests without an answer, a bit for each number */
byte f_answered;       /* the same for those with */
byte f_busy;	       /* blocks with a write under way, a bit for each */
byte f_block[8];       /* by number: the block that it writes to */
byte f_written[SLOTS]; /* by block: what was written last, as in disk[] */

/* --- Properties: a bit each, set where it is violated, so that the verdict has a name. */
bit lost_request;	  /* nothing can happen any more, and a request has no answer */
bit lost_wakeup;	  /* the same, and somebody sleeps who has something to look at */
bit double_response;	  /* a request is answered twice */
bit garbage_response;	  /* the frontend sees a response that nobody made */
bit stale_overwrite;	  /* a block does not hold the last write to it that was answered */
bit honest_guest_refused; /* the ring or the journal of an honest frontend is */
bit journal_not_idle;	  /* all is answered, and the journal says otherwise */
bit unjournaled_io;	  /* I/O begins that a successor would not know of */
bit out_of_range;	  /* no tag for a request, or a response to none */
bit unpublished_freed;	  /* an entry is freed, and its response was not published */

/* EXPECT=property leaves the others aside. */
#ifdef EXPECT
#define NR_lost_request 0
#define NR_lost_wakeup 1
#define NR_double_response 2
#define NR_garbage_response 3
#define NR_stale_overwrite 4
#define NR_honest_guest_refused 5
#define NR_journal_not_idle 6
#define NR_unjournaled_io 7
#define NR_out_of_range 8
#define NR_unpublished_freed 9
#define NR_OF(property) NR_##property
#define NR(property) NR_OF(property)
#define ASIDE(property) (NR(property) != NR(EXPECT))
#else
#define ASIDE(property) false
#endif
#define CHECK(cond, property)                                                                      \
	if                                                                                         \
	:: (cond) || ASIDE(property)                                                               \
	:: else -> property = 1; assert(!property)                                                 \
	fi
#ifdef HOSTILE
#define CHECK_HONEST(cond, property) skip
#define CHECK_HOSTILE(cond, property) CHECK(cond, property)
#else
#define CHECK_HONEST(cond, property) CHECK(cond, property)
#define CHECK_HOSTILE(cond, property) skip
#endif
/* By request index, a bit for each: its response was published; and not yet committed. */
int w_published;
int w_uncommitted;
#define BIT(n) (1 << (n))

/* ================================ the frontend ================================ */

#ifdef HOSTILE

/* Any index at any time: whenever one is read. And an event at any time. */
inline read_index(to, sring_index)
{
	select(i : (START - 1) .. (START + REQUESTS));
	to = INDEX(i);
	i = 0
}
#define EVENT true

#else

inline read_index(to, sring_index)
{
	to = sring_index
}
#define EVENT back_event

inline front_put()
{
	d_step {
		f_next < REQUESTS && AHEAD(f_req_prod, f_rsp_cons) < SLOTS && f_busy != ALL_BLOCKS ->
		for (i : ALL_SLOTS) {
			if
			:: !(f_busy & BIT(i)) -> block = i
			:: else
			fi
		}
		i = 0;
		CHECK(disk[block] == f_written[block], stale_overwrite);
		f_block[f_next] = block;
		f_written[block] = f_next + 1;
		f_busy = f_busy | BIT(block);
		f_under_way = f_under_way | BIT(f_next);
		sring_slot[SLOT(f_req_prod)] = f_next;
		f_req_prod = INDEX(f_req_prod + 1);
		f_next++;
		block = 0
	}
}

inline front_push()
{
	sring_req_prod = f_req_prod;
	if
	:: atomic { sring_req_event == f_req_prod -> back_event = bound }
	:: else
	fi
}

inline front_take()
{
	d_step {
		f_rsp_cons != seen ->
		slot = sring_slot[SLOT(f_rsp_cons)];
		f_rsp_cons = INDEX(f_rsp_cons + 1);
		CHECK(slot >= RESPONSE, garbage_response);
		slot = NUMBER(slot);
		CHECK(!(f_answered & BIT(slot)), double_response);
		CHECK(f_under_way & BIT(slot), garbage_response);
		if
		:: f_under_way & BIT(slot) ->
			CHECK(disk[f_block[slot]] == slot + 1, stale_overwrite);
			f_answered = f_answered | BIT(slot);
			f_under_way = f_under_way & ~BIT(slot);
			f_busy = f_busy & ~BIT(f_block[slot])
		:: else
		fi
		slot = 0
	}
}

active proctype frontend()
{
	byte i, block, slot, seen = START;

	do
	:: front_put();
		front_push()
	:: atomic { front_event -> front_event = 0 }
		do
		:: atomic {
			seen = sring_rsp_prod;
			if
			:: AHEAD(seen, f_rsp_cons) > AHEAD(f_req_prod, f_rsp_cons) -> goto deceived
			:: else
			fi
		}
			do
			:: front_take()
			:: atomic { f_rsp_cons == seen -> sring_rsp_event = INDEX(f_rsp_cons + 1); break }
			od;
			if
			:: sring_rsp_prod == f_rsp_cons -> break
			:: else
			fi
		od
	od;
deceived:
	CHECK(false, garbage_response)
}

#endif

/* ================================ a data process: resume ================================ */

#define NEVER_TAKEN(i) (AHEAD(j_index[i], j_req_cons) < SLOTS)
#define PUBLISHED(i)                                                                               \
	(STATE(j_word[i]) == ANSWERED && rsp_prod != RESPONSE_INDEX(j_word[i]) &&                  \
	 AHEAD(rsp_prod, RESPONSE_INDEX(j_word[i])) <= SLOTS)
#define TO_BE_DONE(i) (j_word[i] != FREE && !NEVER_TAKEN(i) && !PUBLISHED(i))

#ifdef BLIND
#define BELIEVED true
#else
#define BELIEVED (rsp_prod == j_intended || rsp_prod == j_committed)
#endif

/* A journal that no process has used: it begins where the ring is. */
inline begin()
{
	atomic { read_index(rsp_prod, sring_rsp_prod) }
#ifdef LIVE_FIRST
	j_live = 1;
#endif
	j_req_cons = rsp_prod;
	j_intended = rsp_prod;
	j_committed = rsp_prod;
	j_live = 1;
	req_cons = rsp_prod
}

/*
 * What was published, now that rsp_prod is believed: for the properties alone. As long as the two
 * values differ, a hostile guest may take responses back, or publish them itself: it then has what
 * it asked for.
 */
inline witness_belief()
{
	d_step {
		if
		:: rsp_prod != j_intended && rsp_prod == j_committed ->
			CHECK_HONEST(w_uncommitted == 0, double_response);
			w_published = w_published & ~w_uncommitted;
			w_uncommitted = 0
		:: rsp_prod == j_intended && rsp_prod != j_committed ->
			for (i : ALL_SLOTS) {
				if
				:: PUBLISHED(i) ->
					w_published = w_published | BIT(j_index[i]);
					w_uncommitted = w_uncommitted | BIT(j_index[i])
				:: else
				fi
			}
			i = 0
		:: else
		fi
	}
}

/*
 * What the entries say; nothing is stored. Those to be done again are as many as req_cons is ahead
 * of rsp_prod, or the journal is damaged.
 */
inline judge()
{
	d_step {
		req_cons = j_req_cons;
		for (i : ALL_SLOTS) {
			if
			:: TO_BE_DONE(i) ->
				m_state[i] = READY;
				m_number[i] = NUMBER(j_slot[i]);
				m_index[i] = j_index[i];
#ifdef WITHIN_RING
				damaged = damaged || AHEAD(j_req_cons, j_index[i]) > SLOTS;
#endif
				n++
			:: else
			fi
		}
#ifndef NO_COUNT
		damaged = damaged || n != AHEAD(req_cons, rsp_prod);
#endif
		i = 0;
		n = 0
	}
}

#define FREE_NEVER_TAKEN(i) :: atomic { j_word[i] != FREE && NEVER_TAKEN(i) -> j_word[i] = FREE }
#define FREE_PUBLISHED(i)                                                                          \
	:: d_step {                                                                                \
		!NEVER_TAKEN(i) && PUBLISHED(i) ->                                                 \
		CHECK_HOSTILE(w_published & BIT(j_index[i]), unpublished_freed);                             \
		j_word[i] = FREE                                                                   \
	}
#define TAKE_AGAIN(i)                                                                              \
	:: atomic { STATE(j_word[i]) == ANSWERED && TO_BE_DONE(i) -> j_word[i] = TAKEN }

/* Before anything is taken or answered. The order of these stores does not matter: it is any. */
inline tidy()
{
	do
#ifndef NO_EVEN
	:: atomic { j_intended != rsp_prod -> j_intended = rsp_prod }
	:: d_step { j_committed != rsp_prod -> j_committed = rsp_prod; w_uncommitted = 0 }
#endif
#ifndef KEEP_NEVER_TAKEN
	EACH(FREE_NEVER_TAKEN)
#endif
	EACH(FREE_PUBLISHED)
#ifndef KEEP_ANSWERED
	EACH(TAKE_AGAIN)
#endif
	:: else -> break
	od
}

inline resume()
{
	atomic {
		read_index(rsp_prod, sring_rsp_prod);
		if
		:: BELIEVED -> witness_belief()
		:: else -> goto refuse
		fi;
		judge();
		if
		:: damaged -> goto refuse
		:: else
		fi
	}
	tidy()
}

/* ================================ a data process: serve ================================ */

/* There will be a turn without an event. */
#define BUSY (SOME(UNDER_WAY) || SOME(DONE))

#define START_READY(i)                                                                             \
	:: d_step {                                                                                \
		m_state[i] == READY ->                                                             \
		CHECK(STATE(j_word[ENTRY(i)]) == TAKEN && !NEVER_TAKEN(ENTRY(i)) &&                \
		      j_index[ENTRY(i)] == m_index[i] &&                                           \
		      NUMBER(j_slot[ENTRY(i)]) == m_number[i], unjournaled_io);                       \
		m_state[i] = UNDER_WAY                                                             \
	}

/* All, or fewer: the others wait until some of these are done. */
inline start_ready()
{
	do
	EACH(START_READY)
	:: BUSY || !SOME(READY) -> break
	od
}

/* The slot's one copy, into an entry of a free tag. */
inline take_one()
{
	d_step {
		req_cons != req_seen ->
		t = SLOTS;
		for (i : ALL_SLOTS) {
			if
			:: m_state[i] == IDLE && t == SLOTS -> t = i
			:: else
			fi
		}
		i = 0;
		CHECK(t < SLOTS, out_of_range);
		m_state[t] = READY;
		m_number[t] = NUMBER(sring_slot[SLOT(req_cons)]);
		m_index[t] = req_cons;
		req_cons = INDEX(req_cons + 1);
		j_slot[ENTRY(t)] = m_number[t]
	}
	j_index[ENTRY(t)] = m_index[t];
	d_step {
		j_word[ENTRY(t)] = TAKEN;
		t = 0
	}
}

/* All that is there, or nothing: perhaps there is no buffer until another request is answered. */
inline take()
{
	atomic {
		read_index(n, sring_req_prod);
		n = AHEAD(n, req_seen);
		if
		:: n > SLOTS - AHEAD(req_seen, pushed) -> goto refuse
		:: else -> req_seen = INDEX(req_seen + n)
		fi;
		n = 0;
		if
		:: req_cons == req_seen || BUSY -> goto taken
		:: req_cons != req_seen
		fi
	}
#ifdef REQ_CONS_FIRST
	j_req_cons = req_seen;
#endif
	do
	:: take_one()
	:: req_cons == req_seen -> break
	od;
#ifdef ENGINE_FIRST
	start_ready();
#endif
	j_req_cons = req_cons;
	start_ready()
}

#if defined(WORD_LATE) || defined(RESPONSE_LATE)
#define MORE_ANSWERS (rsp_prod == pushed)
#else
#define MORE_ANSWERS true
#endif
#ifdef RESPONSE_LATE
#define PUT_RESPONSE(i) skip
#else
#define PUT_RESPONSE(i) sring_slot[SLOT(rsp_prod)] = RESPONSE + m_number[i]
#endif
#ifdef WORD_LATE
#define SAY_ANSWERED(i) skip
#else
#define SAY_ANSWERED(i) j_word[ENTRY(i)] = WORD(ANSWERED, rsp_prod)
#endif

#define ANSWER(i)                                                                                  \
	:: d_step {                                                                                \
		m_state[i] == DONE && MORE_ANSWERS ->                                              \
		CHECK(rsp_prod != req_cons, out_of_range);                                         \
		PUT_RESPONSE(i)                                                                    \
	}                                                                                          \
	d_step {                                                                                   \
		SAY_ANSWERED(i);                                                                   \
		m_state[i] = PUT;                                                                  \
		rsp_prod = INDEX(rsp_prod + 1)                                                     \
	}

inline publish_ring()
{
	d_step {
		for (t : ALL_SLOTS) {
			if
			:: m_state[t] == PUT ->
				CHECK(!(w_published & BIT(m_index[t])), double_response);
				w_published = w_published | BIT(m_index[t]);
				w_uncommitted = w_uncommitted | BIT(m_index[t])
			:: else
			fi
		}
		t = 0;
		sring_rsp_prod = rsp_prod
	}
}

inline commit()
{
	d_step {
		j_committed = rsp_prod;
		w_uncommitted = 0
	}
}

#define FREE_PUT(i)                                                                                \
	:: d_step {                                                                                \
		m_state[i] == PUT && j_word[ENTRY(i)] != FREE ->                                   \
		CHECK_HOSTILE(w_published & BIT(m_index[i]), unpublished_freed);                             \
		j_word[ENTRY(i)] = FREE                                                            \
	}

inline free_put()
{
	do
	EACH(FREE_PUT)
	:: else -> break
	od
}

/* The tags of what is published are free. */
inline forget()
{
	d_step {
		true ->
		for (t : ALL_SLOTS) {
			if
			:: m_state[t] == PUT ->
				m_state[t] = IDLE;
				m_number[t] = 0;
				m_index[t] = 0
			:: else
			fi
		}
		t = 0;
		pushed = rsp_prod
	}
}

/* In the order of journal.h; the notification after it, when the frontend asked for one. */
inline publish()
{
#ifdef FREE_FIRST
	free_put();
#endif
#if !defined(NO_INTENDED) && !defined(INTENDED_LATE)
	j_intended = rsp_prod;
#endif
#ifdef COMMIT_FIRST
	commit();
#endif
	publish_ring();
	must_notify = AHEAD(rsp_prod, sring_rsp_event) < AHEAD(rsp_prod, pushed);
#ifdef INTENDED_LATE
	j_intended = rsp_prod;
#endif
#ifdef WORD_LATE
	for (t : ALL_SLOTS) {
		if
		:: m_state[t] == PUT -> j_word[ENTRY(t)] = WORD(ANSWERED, pushed)
		:: else
		fi
	}
	t = 0;
#endif
#ifdef RESPONSE_LATE
	for (t : ALL_SLOTS) {
		if
		:: m_state[t] == PUT -> sring_slot[SLOT(pushed)] = RESPONSE + m_number[t]
		:: else
		fi
	}
	t = 0;
#endif
	commit();
	if
	:: atomic { must_notify -> front_event = 1; must_notify = 0 }
	:: else
	fi;
#ifndef FREE_FIRST
	free_put();
#endif
	forget()
}

/* One batch: some of what is done, in any order. */
inline answer()
{
	do
	EACH(ANSWER)
	:: rsp_prod != pushed -> publish(); break
	:: !SOME(DONE) && rsp_prod == pushed -> break
	od
}

inline bind()
{
#ifdef NOTIFY_UNBOUND
	front_event = bound; /* what it comes to */
#endif
	bound = 1;
#if !defined(NO_NOTIFY) && !defined(NOTIFY_UNBOUND)
	front_event = 1;
#endif
}

/* Nothing of it outlives a process. */
inline forget_all()
{
	for (i : ALL_SLOTS) {
		m_state[i] = IDLE;
		m_number[i] = 0;
		m_index[i] = 0
	}
	i = 0;
	t = 0;
	n = 0;
	damaged = 0;
	must_notify = 0;
	req_cons = 0;
	req_seen = 0;
	rsp_prod = 0;
	pushed = 0;
	up = 0;
	bound = 0;
	back_event = 0;
	leaving = 0;
	killed = 0
}

/* What the kernel has goes on without the process. */
inline die()
{
	d_step {
		for (i : ALL_SLOTS) {
			if
			:: m_state[i] == UNDER_WAY -> stale = stale | BIT(m_number[i])
			:: else
			fi
		}
		forget_all()
	}
}

active proctype backend()
{
	byte i, t, n;
	bit damaged, must_notify;
	byte req_cons, req_seen, rsp_prod, pushed;

incarnation:
	{
#ifndef NO_FENCE
		stale == 0;
#endif
		up = 1;
		if
		:: !j_live -> begin()
		:: else -> resume()
		fi;
		req_seen = req_cons;
		pushed = rsp_prod;
#ifndef BIND_LATE
		bind();
#endif
#ifdef NO_SCAN
		start_ready();
		goto settle;
#endif
turn:
		start_ready();
		if
		:: !leaving && !SOME(READY) -> take()
		:: leaving || SOME(READY)
		fi;
taken:
		answer();
settle:
		if
		:: leaving && !SOME(READY) && !BUSY -> goto left
		:: SOME(READY) || (req_cons != req_seen && !leaving) || (leaving && BUSY) ->
			atomic { SOME(DONE) || !SOME(UNDER_WAY) -> goto turn }
		:: !leaving && !SOME(READY) && req_cons == req_seen
		fi;
#if !defined(NO_REQ_EVENT) && !defined(REQ_EVENT_LATE)
		sring_req_event = INDEX(req_cons + 1);
#endif
#ifndef NO_SCAN
		if
		:: sring_req_prod != req_cons -> goto turn
		:: else
		fi;
#endif
#ifdef REQ_EVENT_LATE
		sring_req_event = INDEX(req_cons + 1);
#endif
#ifdef BIND_LATE
		bind();
#endif
		atomic { EVENT || SOME(DONE) || leaving -> back_event = 0 }
		goto turn;
left:
		skip;
		d_step {
			CHECK(j_intended == rsp_prod && j_committed == rsp_prod && j_req_cons == rsp_prod, journal_not_idle);
			forget_all()
		}
		goto incarnation;
refuse:
		CHECK_HONEST(false, honest_guest_refused);
		refused = 1;
		false
	} unless {
		killed;
	}
	die();
	goto incarnation
}

/* ================================ the others ================================ */

#define LAND(i)                                                                                    \
	:: d_step {                                                                                \
		m_state[i] == UNDER_WAY ->                                                         \
		disk[f_block[m_number[i]]] = m_number[i] + 1;                                      \
		m_state[i] = DONE                                                                  \
	}

#define LAND_STALE(i)                                                                              \
	:: d_step {                                                                                \
		stale & BIT(i) ->                                                                  \
		disk[f_block[i]] = i + 1;                                                          \
		stale = stale & ~BIT(i)                                                            \
	}

active proctype kernel()
{
	do
	EACH(LAND)
	LAND_STALE(0)
	LAND_STALE(1)
	LAND_STALE(2)
	LAND_STALE(3)
	LAND_STALE(4)
	LAND_STALE(5)
	LAND_STALE(6)
	LAND_STALE(7)
	od
}

/* Kills, or has the process leave, and stops that at some time. */
active proctype fate()
{
	do
	:: d_step {
		deaths < DEATHS && up && !killed ->
		deaths++;
		killed = 1
	}
	:: d_step {
		deaths < DEATHS && up && !killed && !leaving ->
		deaths++;
		leaving = 1
	}
	:: break
	od
}

#ifndef HOSTILE
/* Nothing can happen any more: is all done? */
active proctype verdict()
{
	byte i;

	timeout;
	!refused;
	d_step {
		CHECK(f_answered == ALL_REQUESTS || sring_rsp_prod == f_rsp_cons, lost_wakeup);
		CHECK(f_answered == ALL_REQUESTS || j_req_cons == sring_req_prod, lost_wakeup);
		CHECK(f_answered == ALL_REQUESTS, lost_request);
		for (i : ALL_SLOTS) {
			CHECK(disk[i] == f_written[i], stale_overwrite);
			CHECK(j_word[i] == FREE, journal_not_idle)
		}
	}
}
#endif
