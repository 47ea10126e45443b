// Writes in front of a block.
// case: 1-byte 16-bytes | small medium | same other remote | overflow: * / write after free: * | -
// case: 1-byte 16-bytes | large huge | same other | SEGV | -
// case: runaway | small medium large huge | same other | SEGV | -
#include "misuse.h"

static void one_byte(void *block) { ((volatile char *)block)[-1] = 'u'; }
static void header(void *block) { memset(opaque((char *)block - 16), 'u', 16); }
/// A loop that runs down and does not stop.
static void runaway(void *block) {
    for (size_t i = 1; i < 64 * MIB; i++) ((volatile char *)block)[-i] = 'u';
}

static void scene(void) {
    enum { ROW = 32 };
    char *row[ROW];
    size_t count = crowd < ROW ? crowd : ROW;
    for (size_t i = 0; i < count; i++) row[i] = fresh();
    char *block = announce(row[count / 2]);
    if (is(variant, "1-byte")) commit(one_byte, block);
    else if (is(variant, "16-bytes")) commit(header, block);
    else if (is(variant, "runaway")) commit(runaway, block);
    else CHECK(false, "no variant %s", variant);
    for (size_t i = 0; i < count; i++) release(row[i]);
    traffic();
}
