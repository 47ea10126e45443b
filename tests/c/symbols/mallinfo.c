// clause: glibc 3.2.3.9 | mallinfo and mallinfo2: statistics of this heap
// skip: musl -- its headers declare none of it
// mallinfo2 speaks of this heap: what it counts as used is, to the byte, what the program holds; the parts add up; and
// mallinfo says the same in fewer bits.
// control: skip -- this libc counts its own headers, and large blocks elsewhere
// skip: static -- the loader is asked for names
// skip: musl -- its headers know nothing of it
#include "../common.h"
#include <dlfcn.h>

struct info2 { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost; };
static struct info2 (*info2)(void);

/// What is used now, after a look at whether the figures add up.
static size_t used(void) {
    errno = 77;
    struct info2 i = info2();
    CHECK(errno == 77, "errno is %d", errno);
    CHECK(i.arena == i.uordblks + i.fordblks, "%zu is not %zu + %zu", i.arena, i.uordblks, i.fordblks);
    CHECK(i.usmblks >= i.uordblks + i.hblkhd, "the peak %zu is below %zu + %zu", i.usmblks, i.uordblks, i.hblkhd);
    CHECK(i.smblks == 0 && i.fsmblks == 0, "there are no fastbins");
    struct mallinfo m = mallinfo();
    CHECK((size_t)m.arena == i.arena && (size_t)m.uordblks == i.uordblks && (size_t)m.fordblks == i.fordblks &&
              (size_t)m.hblks == i.hblks && (size_t)m.hblkhd == i.hblkhd,
          "mallinfo says otherwise");
    return i.uordblks + i.hblkhd;
}

enum { BLOCKS = 3000 };
static void *block[BLOCKS];
static size_t held;

static void take(size_t i, size_t size) {
    block[i] = malloc(size);
    CHECK(block[i], "no memory");
    held += malloc_usable_size(block[i]);
}
static void give(size_t i) {
    held -= block[i] ? malloc_usable_size(block[i]) : 0;
    free(block[i]);
    block[i] = NULL;
}
static void *give_the_rest(void *unused) {
    (void)unused;
    for (size_t i = 0; i < BLOCKS; i++) give(i);
    return NULL;
}
static void *take_some(void *from) {
    for (size_t i = (size_t)from; i < (size_t)from + 500; i++) take(i, 24 + 16 * (i % 50));
    return NULL;
}

int main(void) {
    *(void **)&info2 = dlsym(RTLD_DEFAULT, "mallinfo2");
    CHECK(info2, "no mallinfo2");
    uint64_t stream = seed;
    size_t base = used(), huge = info2().hblks;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 300; i++) {
            size_t which = below(&stream, BLOCKS);
            give(which);
            if (draw(&stream) % 3) take(which, any_size(&stream, round % 20 ? 100 * KIB : 12 * MIB));
        }
        CHECK(used() == base + held, "round %d: %zu used, %zu held", round, used() - base, held);
    }
    size_t large = 0;
    for (size_t i = 0; i < BLOCKS; i++) large += block[i] && malloc_usable_size(block[i]) > 2 * MIB;
    CHECK(info2().hblks == huge + large, "%zu huge blocks, %zu held", info2().hblks - huge, large);
    // What threads that have gone have left behind counts as well, to the byte.
    give_the_rest(NULL);
    CHECK(used() == base, "%zd bytes are used by nobody", (ssize_t)(used() - base));
    pthread_t warm = start_thread(take_some, (void *)0);
    join_thread(warm);
    give_the_rest(NULL);
    base = used();
    for (size_t from = 0; from < BLOCKS; from += 500) join_thread(start_thread(take_some, (void *)from));
    CHECK(used() == base + held, "%zu used, %zu held", used() - base, held);
    // Others' blocks, freed by this thread or by one that ends: they have arrived when they are asked for.
    for (size_t i = 0; i < BLOCKS; i += 2) give(i);
    CHECK(used() == base + held, "after remote frees: %zu used, %zu held", used() - base, held);
    join_thread(start_thread(give_the_rest, NULL));
    CHECK(held == 0 && used() == base, "%zd bytes are used by nobody", (ssize_t)(used() - base));
    // What a trim is said to give back, it gives back.
    for (size_t i = 0; i < 100; i++) memset((take(i, 100 * KIB), block[i]), 1, 100 * KIB);
    for (size_t i = 0; i < 100; i++) give(i);
    CHECK(info2().keepcost >= 4 * MIB, "%zu bytes to give back", info2().keepcost);
    malloc_trim(0);
    CHECK(info2().keepcost == 0, "%zu bytes to give back after a trim", info2().keepcost);
}
