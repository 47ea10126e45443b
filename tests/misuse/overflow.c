// Writes behind a block's end.
// case: slack slack-realloc past-block | small medium large huge | same other remote | overflow | -
// case: linear | small medium | same other remote | overflow / write after free: * | -
// case: linear | large huge | same other remote | overflow | -
// case: next-page | large huge | same other | SEGV | -
// case: runaway | small medium large huge | same other | SEGV | -
#include "misuse.h"

static size_t usable;

static void into_slack(void *block) { ((volatile char *)block)[size] = 'o'; }
static void past_block(void *block) { ((volatile char *)block)[usable] = 'o'; }
static void linear(void *block) { memset(opaque((char *)block + size), 'o', usable - size + 64); }
static void next_page(void *block) {
    uintptr_t page = ((uintptr_t)block + usable + 4095) & ~(uintptr_t)4095;
    *(volatile char *)page = 'o';
}
/// A loop that has lost its end.
static void runaway(void *block) {
    for (size_t i = size; i < 64 * MIB; i++) ((volatile char *)block)[i] = 'o';
}

static void scene(void) {
    enum { ROW = 32 };
    char *row[ROW];
    size_t count = crowd < ROW ? crowd : ROW;
    for (size_t i = 0; i < count; i++) row[i] = fresh();
    char *block = announce(row[count / 2]);
    usable = opaque_size(malloc_usable_size(block));
    if (is(variant, "slack")) commit(into_slack, block);
    else if (is(variant, "slack-realloc")) commit(into_slack, block);
    else if (is(variant, "past-block")) commit(past_block, block);
    else if (is(variant, "linear")) commit(linear, block);
    else if (is(variant, "next-page")) commit(next_page, block);
    else if (is(variant, "runaway")) commit(runaway, block);
    else CHECK(false, "no variant %s", variant);
    if (is(variant, "slack-realloc")) {
        row[count / 2] = realloc(block, 2 * size);
        CHECK(row[count / 2], "no memory");
    }
    for (size_t i = 0; i < count; i++) release(row[i]);
    traffic();
}
