// SPDX-License-Identifier: MIT
/*
 * blkif requests and responses, wire to struct and back, and the rules a request must pass
 * (contract: blk_wire.h). Works on private copies; trusts none of their values. Called by
 * backend/data and frontend/core.
 */
#include "ring/blk_layout.h"

/* Where the fields differ between the layouts; operation, its operand byte and the 16 bits after it
 * are at 0, 1 and 2 in both, and the response's fields too are at the same places. */
struct layout {
	uint8_t slot_bytes;
	uint8_t response_bytes;
	uint8_t id;
	uint8_t sector;
	uint8_t seg;
	uint8_t discard_nr;
	uint8_t indirect_handle;
	uint8_t indirect_gref;
};

#define OPERATION_AT 0u
#define OPERAND_AT   1u /* nr_segments, flag or indirect_op */
#define HANDLE_AT    2u /* nr_segments of an indirect request */

#define LAYOUT(bits)                                                                             \
	{                                                                                        \
		.slot_bytes = sizeof(struct rwy_blk_wire##bits##_rw),                            \
		.response_bytes = sizeof(struct rwy_blk_wire##bits##_response),                  \
		.id = offsetof(struct rwy_blk_wire##bits##_rw, id),                              \
		.sector = offsetof(struct rwy_blk_wire##bits##_rw, sector_number),               \
		.seg = offsetof(struct rwy_blk_wire##bits##_rw, seg),                            \
		.discard_nr = offsetof(struct rwy_blk_wire##bits##_discard, nr_sectors),         \
		.indirect_handle = offsetof(struct rwy_blk_wire##bits##_indirect, handle),       \
		.indirect_gref = offsetof(struct rwy_blk_wire##bits##_indirect, indirect_grefs), \
	}

static const struct layout layout_32 = LAYOUT(32);
static const struct layout layout_64 = LAYOUT(64);

static const struct layout *layout_of(enum rwy_blk_abi abi)
{
	switch (abi) {
	case RWY_BLK_ABI_X86_32:
		return &layout_32;
	case RWY_BLK_ABI_X86_64:
		return &layout_64;
	case RWY_BLK_ABI_NATIVE:
		break;
	}
	return sizeof(RWY_BLK_NATIVE(rw)) == sizeof(struct rwy_blk_wire32_rw) ? &layout_32
									      : &layout_64;
}

static uint16_t get_u16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint64_t get_u64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static void put_u16(uint8_t *at, uint16_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void put_u32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void put_u64(uint8_t *at, uint64_t v)
{
	memcpy(at, &v, sizeof(v));
}

uint32_t rwy_blk_slot_bytes(enum rwy_blk_abi abi)
{
	return layout_of(abi)->slot_bytes;
}

uint32_t rwy_blk_response_bytes(enum rwy_blk_abi abi)
{
	return layout_of(abi)->response_bytes;
}

static bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

int rwy_blk_abi_parse(const char *protocol, enum rwy_blk_abi *abi)
{
	if (!protocol)
		*abi = RWY_BLK_ABI_NATIVE;
	else if (same_text(protocol, XEN_IO_PROTO_ABI_X86_32))
		*abi = RWY_BLK_ABI_X86_32;
	else if (same_text(protocol, XEN_IO_PROTO_ABI_X86_64))
		*abi = RWY_BLK_ABI_X86_64;
	else if (same_text(protocol, XEN_IO_PROTO_ABI_NATIVE))
		*abi = RWY_BLK_ABI_NATIVE;
	else
		return -EINVAL;
	return 0;
}

const char *rwy_blk_abi_name(enum rwy_blk_abi abi)
{
	switch (abi) {
	case RWY_BLK_ABI_X86_32:
		return XEN_IO_PROTO_ABI_X86_32;
	case RWY_BLK_ABI_X86_64:
		return XEN_IO_PROTO_ABI_X86_64;
	case RWY_BLK_ABI_NATIVE:
		break;
	}
	return XEN_IO_PROTO_ABI_NATIVE;
}

static enum rwy_blk_op op_from_wire(uint8_t wire_op)
{
	switch (wire_op) {
	case BLKIF_OP_READ:
		return RWY_BLK_OP_READ;
	case BLKIF_OP_WRITE:
		return RWY_BLK_OP_WRITE;
	case BLKIF_OP_WRITE_BARRIER:
		return RWY_BLK_OP_BARRIER;
	case BLKIF_OP_FLUSH_DISKCACHE:
		return RWY_BLK_OP_FLUSH;
	case BLKIF_OP_DISCARD:
		return RWY_BLK_OP_DISCARD;
	case BLKIF_OP_INDIRECT:
		return RWY_BLK_OP_INDIRECT;
	default:
		return RWY_BLK_OP_UNKNOWN;
	}
}

/* The wire's operation, or -EINVAL for one that has none. */
static int op_to_wire(enum rwy_blk_op op)
{
	switch (op) {
	case RWY_BLK_OP_READ:
		return BLKIF_OP_READ;
	case RWY_BLK_OP_WRITE:
		return BLKIF_OP_WRITE;
	case RWY_BLK_OP_BARRIER:
		return BLKIF_OP_WRITE_BARRIER;
	case RWY_BLK_OP_FLUSH:
		return BLKIF_OP_FLUSH_DISKCACHE;
	case RWY_BLK_OP_DISCARD:
		return BLKIF_OP_DISCARD;
	case RWY_BLK_OP_INDIRECT:
		return BLKIF_OP_INDIRECT;
	case RWY_BLK_OP_UNKNOWN:
		break;
	}
	return -EINVAL;
}

static enum rwy_blk_op inner_from_wire(uint8_t wire_op)
{
	enum rwy_blk_op op = op_from_wire(wire_op);

	return op == RWY_BLK_OP_READ || op == RWY_BLK_OP_WRITE ? op : RWY_BLK_OP_UNKNOWN;
}

uint32_t rwy_blk_indirect_pages(uint32_t nr_segs)
{
	if (nr_segs > RWY_BLK_MAX_INDIRECT_SEGS)
		return RWY_BLK_MAX_INDIRECT_PAGES;
	return (nr_segs + RWY_BLK_SEGS_PER_PAGE - 1) / RWY_BLK_SEGS_PER_PAGE;
}

void rwy_blk_decode_segs(const void *page, uint32_t nr, struct rwy_blk_seg *seg)
{
	const uint8_t *at = page;

	for (uint32_t i = 0; i < nr; i++, at += RWY_BLK_SEG_BYTES) {
		seg[i].gref = get_u32(at);
		seg[i].first_sect = at[offsetof(struct rwy_blk_wire_seg, first_sect)];
		seg[i].last_sect = at[offsetof(struct rwy_blk_wire_seg, last_sect)];
	}
}

void rwy_blk_encode_segs(const struct rwy_blk_seg *seg, uint32_t nr, void *page)
{
	uint8_t *at = page;

	for (uint32_t i = 0; i < nr; i++, at += RWY_BLK_SEG_BYTES) {
		put_u32(at, seg[i].gref);
		at[offsetof(struct rwy_blk_wire_seg, first_sect)] = seg[i].first_sect;
		at[offsetof(struct rwy_blk_wire_seg, last_sect)] = seg[i].last_sect;
	}
}

static void decode_direct(const struct layout *l, const uint8_t *at, struct rwy_blk_request *req)
{
	uint32_t nr = at[OPERAND_AT];

	req->handle = get_u16(at + HANDLE_AT);
	req->nr_segs = (uint16_t)nr;
	/* Frontends leave any sector in a request without data: a flush, or a bare barrier. */
	if (req->op == RWY_BLK_OP_FLUSH || !nr)
		return;
	req->sector = get_u64(at + l->sector);
	if (nr > RWY_BLK_MAX_DIRECT_SEGS)
		nr = RWY_BLK_MAX_DIRECT_SEGS;
	rwy_blk_decode_segs(at + l->seg, nr, req->seg);
}

static void decode_discard(const struct layout *l, const uint8_t *at, struct rwy_blk_request *req)
{
	req->flag = at[OPERAND_AT] & BLKIF_DISCARD_SECURE;
	req->handle = get_u16(at + HANDLE_AT);
	req->sector = get_u64(at + l->sector);
	req->nr_sect = get_u64(at + l->discard_nr);
}

static void decode_indirect(const struct layout *l, const uint8_t *at, struct rwy_blk_request *req)
{
	req->wire_op = at[OPERAND_AT];
	req->inner = inner_from_wire(req->wire_op);
	req->nr_segs = get_u16(at + HANDLE_AT);
	req->handle = get_u16(at + l->indirect_handle);
	req->sector = get_u64(at + l->sector);
	for (uint32_t i = 0; i < rwy_blk_indirect_pages(req->nr_segs); i++)
		req->indirect_gref[i] = get_u32(at + l->indirect_gref + i * sizeof(uint32_t));
}

void rwy_blk_decode_request(enum rwy_blk_abi abi, const void *slot, struct rwy_blk_request *req)
{
	const struct layout *l = layout_of(abi);
	const uint8_t *at = slot;

	memset(req, 0, sizeof(*req));
	req->wire_op = at[OPERATION_AT];
	req->op = op_from_wire(req->wire_op);
	req->id = get_u64(at + l->id);
	switch (req->op) {
	case RWY_BLK_OP_READ:
	case RWY_BLK_OP_WRITE:
	case RWY_BLK_OP_BARRIER:
	case RWY_BLK_OP_FLUSH:
		decode_direct(l, at, req);
		break;
	case RWY_BLK_OP_DISCARD:
		decode_discard(l, at, req);
		break;
	case RWY_BLK_OP_INDIRECT:
		decode_indirect(l, at, req);
		break;
	case RWY_BLK_OP_UNKNOWN:
		break;
	}
}

static int encode_direct(const struct layout *l, const struct rwy_blk_request *req, uint8_t *at)
{
	uint32_t most = req->op == RWY_BLK_OP_FLUSH ? 0 : RWY_BLK_MAX_DIRECT_SEGS;

	if (req->nr_segs > most)
		return -EINVAL;
	at[OPERAND_AT] = (uint8_t)req->nr_segs;
	put_u16(at + HANDLE_AT, req->handle);
	if (req->nr_segs)
		put_u64(at + l->sector, req->sector);
	rwy_blk_encode_segs(req->seg, req->nr_segs, at + l->seg);
	return l->slot_bytes;
}

static int encode_discard(const struct layout *l, const struct rwy_blk_request *req, uint8_t *at)
{
	at[OPERAND_AT] = req->flag & BLKIF_DISCARD_SECURE;
	put_u16(at + HANDLE_AT, req->handle);
	put_u64(at + l->sector, req->sector);
	put_u64(at + l->discard_nr, req->nr_sect);
	return l->slot_bytes;
}

static int encode_indirect(const struct layout *l, const struct rwy_blk_request *req, uint8_t *at)
{
	if (req->inner != RWY_BLK_OP_READ && req->inner != RWY_BLK_OP_WRITE)
		return -EINVAL;
	if (req->nr_segs > RWY_BLK_MAX_INDIRECT_SEGS)
		return -EINVAL;
	at[OPERAND_AT] = (uint8_t)op_to_wire(req->inner);
	put_u16(at + HANDLE_AT, req->nr_segs);
	put_u16(at + l->indirect_handle, req->handle);
	put_u64(at + l->sector, req->sector);
	for (uint32_t i = 0; i < rwy_blk_indirect_pages(req->nr_segs); i++)
		put_u32(at + l->indirect_gref + i * sizeof(uint32_t), req->indirect_gref[i]);
	return l->slot_bytes;
}

int rwy_blk_encode_request(enum rwy_blk_abi abi, const struct rwy_blk_request *req, void *slot)
{
	const struct layout *l = layout_of(abi);
	int wire_op = op_to_wire(req->op);
	uint8_t *at = slot;

	if (wire_op < 0)
		return wire_op;
	memset(at, 0, RWY_BLK_MAX_SLOT_BYTES);
	at[OPERATION_AT] = (uint8_t)wire_op;
	put_u64(at + l->id, req->id);
	if (req->op == RWY_BLK_OP_DISCARD)
		return encode_discard(l, req, at);
	if (req->op == RWY_BLK_OP_INDIRECT)
		return encode_indirect(l, req, at);
	return encode_direct(l, req, at);
}

static enum rwy_blk_fault judge_op(const struct rwy_blk_request *req,
				   const struct rwy_blk_limits *lim)
{
	bool offered = true, writes = true;

	switch (req->op) {
	case RWY_BLK_OP_READ:
		writes = false;
		break;
	case RWY_BLK_OP_WRITE:
		break;
	case RWY_BLK_OP_BARRIER:
		offered = lim->barrier;
		break;
	case RWY_BLK_OP_FLUSH:
		offered = lim->flush;
		writes = false;
		break;
	case RWY_BLK_OP_DISCARD:
		offered = lim->discard;
		break;
	case RWY_BLK_OP_INDIRECT:
		offered = lim->indirect_segs > 0;
		writes = req->inner != RWY_BLK_OP_READ;
		break;
	default:
		return RWY_BLK_BAD_OP;
	}
	if (!offered)
		return RWY_BLK_NOT_OFFERED;
	if (req->op == RWY_BLK_OP_INDIRECT && req->inner != RWY_BLK_OP_READ &&
	    req->inner != RWY_BLK_OP_WRITE)
		return RWY_BLK_BAD_INNER_OP;
	return writes && lim->read_only ? RWY_BLK_READ_ONLY : RWY_BLK_OK;
}

static enum rwy_blk_fault judge_count(const struct rwy_blk_request *req,
				      const struct rwy_blk_limits *lim)
{
	uint32_t least = 1, most = RWY_BLK_MAX_DIRECT_SEGS;

	switch (req->op) {
	case RWY_BLK_OP_BARRIER:
		least = 0;
		break;
	case RWY_BLK_OP_FLUSH:
	case RWY_BLK_OP_DISCARD:
		least = most = 0;
		break;
	case RWY_BLK_OP_INDIRECT:
		most = lim->indirect_segs;
		if (most > RWY_BLK_MAX_INDIRECT_SEGS)
			most = RWY_BLK_MAX_INDIRECT_SEGS;
		break;
	default:
		break;
	}
	if (req->nr_segs < least)
		return RWY_BLK_NO_SEGMENTS;
	return req->nr_segs > most ? RWY_BLK_TOO_MANY_SEGMENTS : RWY_BLK_OK;
}

/* Without a sum that could overflow: sector and nr_sect are the frontend's 64-bit words. */
static enum rwy_blk_fault judge_range(uint64_t sector, uint64_t nr_sect, uint64_t capacity_sect)
{
	if (nr_sect > capacity_sect || sector > capacity_sect - nr_sect)
		return RWY_BLK_PAST_END;
	return RWY_BLK_OK;
}

enum rwy_blk_fault rwy_blk_validate_segs(struct rwy_blk_request *req, const struct rwy_blk_seg *seg,
					 const struct rwy_blk_limits *lim)
{
	uint32_t nr_sect = 0;

	for (uint32_t i = 0; i < req->nr_segs; i++) {
		if (seg[i].last_sect >= RWY_BLK_PAGE_SECT)
			return RWY_BLK_SEGMENT_PAST_PAGE;
		if (seg[i].first_sect > seg[i].last_sect)
			return RWY_BLK_SEGMENT_BACKWARDS;
		nr_sect += seg[i].last_sect - seg[i].first_sect + 1u;
	}
	req->nr_sect = nr_sect;
	return judge_range(req->sector, nr_sect, lim->capacity_sect);
}

enum rwy_blk_fault rwy_blk_validate(struct rwy_blk_request *req, const struct rwy_blk_limits *lim)
{
	enum rwy_blk_fault fault = judge_op(req, lim);

	if (!fault)
		fault = judge_count(req, lim);
	if (fault)
		return fault;
	switch (req->op) {
	case RWY_BLK_OP_DISCARD:
		return judge_range(req->sector, req->nr_sect, lim->capacity_sect);
	case RWY_BLK_OP_INDIRECT:
		return judge_range(req->sector, req->nr_segs, lim->capacity_sect);
	default:
		return rwy_blk_validate_segs(req, req->seg, lim);
	}
}

const char *rwy_blk_fault_text(enum rwy_blk_fault fault)
{
	switch (fault) {
	case RWY_BLK_OK:
		return "the request is valid";
	case RWY_BLK_BAD_OP:
		return "unknown operation";
	case RWY_BLK_NOT_OFFERED:
		return "operation that this device does not offer";
	case RWY_BLK_READ_ONLY:
		return "write to a read-only device";
	case RWY_BLK_NO_SEGMENTS:
		return "request for data without a segment";
	case RWY_BLK_TOO_MANY_SEGMENTS:
		return "more segments than allowed";
	case RWY_BLK_SEGMENT_PAST_PAGE:
		return "segment ends past its page";
	case RWY_BLK_SEGMENT_BACKWARDS:
		return "segment ends before it begins";
	case RWY_BLK_PAST_END:
		return "request reaches past the end of the device";
	case RWY_BLK_BAD_INNER_OP:
		return "indirect request that is neither read nor write";
	case RWY_BLK_NR_FAULTS:
		break;
	}
	return "unknown fault";
}

int16_t rwy_blk_fault_status(enum rwy_blk_fault fault)
{
	switch (fault) {
	case RWY_BLK_OK:
		return BLKIF_RSP_OKAY;
	case RWY_BLK_BAD_OP:
	case RWY_BLK_NOT_OFFERED:
		return BLKIF_RSP_EOPNOTSUPP;
	default:
		return BLKIF_RSP_ERROR;
	}
}

uint32_t rwy_blk_encode_response(enum rwy_blk_abi abi, const struct rwy_blk_response *rsp,
				 void *buf)
{
	const struct layout *l = layout_of(abi);
	uint8_t *at = buf;

	/* XSA-216: the padding goes to the guest too. */
	memset(at, 0, l->response_bytes);
	put_u64(at, rsp->id);
	at[offsetof(struct rwy_blk_wire32_response, operation)] = rsp->wire_op;
	put_u16(at + offsetof(struct rwy_blk_wire32_response, status), (uint16_t)rsp->status);
	return l->response_bytes;
}

void rwy_blk_decode_response(enum rwy_blk_abi abi, const void *buf, struct rwy_blk_response *rsp)
{
	const uint8_t *at = buf;

	(void)abi; /* id, operation and status are at the same places in both layouts */
	rsp->id = get_u64(at);
	rsp->wire_op = at[offsetof(struct rwy_blk_wire32_response, operation)];
	rsp->status = (int16_t)get_u16(at + offsetof(struct rwy_blk_wire32_response, status));
}
