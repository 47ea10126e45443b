// clause: POSIX fork | both processes go on with copies of their own
// Parent and child both go on with the same heap, at the same time, many times over: neither may
// see what the other writes, although they began with the same free lists. A mapping that the
// allocator shares by mistake would show.
#include "../common.h"

#define BLOCKS 2000
#define FORKS 200
#define TURNS 3000

static struct { void *block; size_t size; uint64_t tag; } held[BLOCKS];

static void live(uint64_t stream, const char *who) {
    for (int turn = 0; turn < TURNS; turn++) {
        size_t i = below(&stream, BLOCKS);
        if (held[i].block) CHECK(painted(held[i].block, held[i].size, held[i].tag), "%s, block %zu", who, i);
        free(held[i].block);
        held[i].size = any_size(&stream, turn % 300 ? 2 * KIB : 3 * MIB);
        held[i].tag = draw(&stream);
        held[i].block = malloc(held[i].size);
        CHECK(held[i].block, "%s: malloc(%zu)", who, held[i].size);
        paint(held[i].block, held[i].size, held[i].tag);
    }
}
static void verify(const char *who) {
    for (size_t i = 0; i < BLOCKS; i++) {
        if (held[i].block) CHECK(painted(held[i].block, held[i].size, held[i].tag), "%s, block %zu", who, i);
    }
}

int main(void) {
    live(seed, "before");
    for (uint64_t i = 0; i < FORKS; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        live(seed + 2 * i + (child == 0), child == 0 ? "child" : "parent");
        verify(child == 0 ? "child" : "parent");
        if (child == 0) _exit(0);
        await_child(child, "a child that goes on");
        verify("parent, after the child");
    }
}
