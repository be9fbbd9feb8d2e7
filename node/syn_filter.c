/* The filter's program:
 *
 *   no SYN: let in
 *   the lot: with a chance of `share` let in, else drop
 *   IPv4 or IPv6, the source's 32 or 64 bits: for each limited address: the lot; with `all`: for each known one: let in
 *   the rest: with `all` the lot, else let in
 *
 * Every address is a test that skips its own verdict, so no jump depends on how many there are. */
#include "node/syn_filter.h"

#include <assert.h>
#include <errno.h>

#define LET_IN 0xffffffffu
#define DROP 0u
#define TCP_FLAGS_AT 13u
#define TCP_SYN 0x02u
#define TCP_SYN_ACK 0x12u
#define IP_AT(offset) ((uint32_t)(SKF_NET_OFF + (offset)))
#define RANDOM_AT ((uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM))

enum cell { CELL_LOT, CELL_HIGH, CELL_LOW };

struct program {
	struct sock_filter *code;
	uint32_t count;
};

static void put(struct program *program, uint32_t code, uint32_t k)
{
	assert(program->count < SYN_FILTER_PROGRAM_MAX);
	program->code[program->count++] = (struct sock_filter){(uint16_t)code, 0, 0, k};
}

/* Otherwise so many instructions are skipped. */
static void put_if(struct program *program, uint32_t comparison, uint32_t k, uint8_t skipped)
{
	put(program, BPF_JMP | comparison | BPF_K, k);
	program->code[program->count - 1].jf = skipped;
}

/* The verdict of a place in the program, two instructions: let in, or the lot. */
static void put_verdict(struct program *program, bool let_in)
{
	if (let_in)
		put(program, BPF_LD | BPF_IMM, LET_IN);
	else
		put(program, BPF_LD | BPF_MEM, CELL_LOT);
	put(program, BPF_RET | BPF_A, 0);
}

static void put_address(struct program *program, const struct peer_address *address, bool let_in)
{
	if (address->family == 6) {
		put(program, BPF_LD | BPF_MEM, CELL_HIGH);
		put_if(program, BPF_JEQ, (uint32_t)(address->bits >> 32), 4);
	}
	put(program, BPF_LD | BPF_MEM, CELL_LOW);
	put_if(program, BPF_JEQ, (uint32_t)address->bits, 2);
	put_verdict(program, let_in);
}

static void put_addresses(struct program *program, const struct syn_filter *filter, uint8_t family)
{
	for (uint32_t i = 0; i < filter->limited_count; i++) {
		if (filter->limited[i].family == family)
			put_address(program, &filter->limited[i], false);
	}
	for (uint32_t i = 0; filter->all && i < filter->known_count; i++) {
		if (filter->known[i].family == family)
			put_address(program, &filter->known[i], true);
	}
	put_verdict(program, !filter->all);
}

static void put_load(struct program *program, uint32_t at, enum cell cell)
{
	put(program, BPF_LD | BPF_W | BPF_ABS, at);
	put(program, BPF_ST, cell);
}

static void put_lot(struct program *program, uint32_t share)
{
	put(program, BPF_LD | BPF_W | BPF_ABS, RANDOM_AT);
	put(program, BPF_ALU | BPF_AND | BPF_K, SYN_FILTER_WHOLE - 1);
	put_if(program, BPF_JGE, share, 2);
	put(program, BPF_LD | BPF_IMM, DROP);
	put(program, BPF_JMP | BPF_JA, 1);
	put(program, BPF_LD | BPF_IMM, LET_IN);
	put(program, BPF_ST, CELL_LOT);
}

uint16_t syn_filter_build(const struct syn_filter *filter, struct sock_filter code[SYN_FILTER_PROGRAM_MAX])
{
	struct program program = {.code = code};
	uint32_t other;

	assert(filter->limited_count <= SYN_FILTER_LIMITED_MAX && filter->known_count <= SYN_FILTER_KNOWN_MAX);
	put(&program, BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS_AT);
	put(&program, BPF_ALU | BPF_AND | BPF_K, TCP_SYN_ACK);
	put_if(&program, BPF_JEQ, TCP_SYN, 1);
	put(&program, BPF_JMP | BPF_JA, 1);
	put(&program, BPF_RET | BPF_K, LET_IN);
	put_lot(&program, filter->share);
	put(&program, BPF_LD | BPF_B | BPF_ABS, IP_AT(0));
	put(&program, BPF_ALU | BPF_AND | BPF_K, 0xf0);
	put_if(&program, BPF_JEQ, 0x40, 1);
	put(&program, BPF_JMP | BPF_JA, 1);
	other = program.count;
	put(&program, BPF_JMP | BPF_JA, 0);
	put_load(&program, IP_AT(12), CELL_LOW);
	put_addresses(&program, filter, 4);
	code[other].k = program.count - other - 1;
	put_load(&program, IP_AT(8), CELL_HIGH);
	put_load(&program, IP_AT(12), CELL_LOW);
	put_addresses(&program, filter, 6);
	return (uint16_t)program.count;
}

int syn_filter_set(const struct syn_filter *filter, int listener)
{
	struct sock_filter code[SYN_FILTER_PROGRAM_MAX];
	struct sock_fprog program = {.filter = code};
	int none = 0;

	if (filter->share >= SYN_FILTER_WHOLE) {
		if (setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none) != 0 && errno != ENOENT)
			return errno;
		return 0;
	}
	program.len = syn_filter_build(filter, code);
	return setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : errno;
}
