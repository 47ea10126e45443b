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

/// The block of a row that lies closest behind another: in front of it is a block.
static char *close_behind(char **row, size_t count) {
    char *found = row[0];
    intptr_t least = INTPTR_MAX;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            intptr_t distance = row[i] - row[k];
            if (distance > 0 && distance < least) least = distance, found = row[i];
        }
    }
    return found;
}

static void scene(void) {
    enum { ROW = 32 };
    char *row[ROW] = {NULL};
    size_t count = crowd < ROW ? crowd : ROW;
    for (size_t i = 0; i < count; i++) row[i] = fresh();
    char *block = announce(close_behind(row, count));
    if (is(variant, "1-byte")) commit(one_byte, block);
    else if (is(variant, "16-bytes")) commit(header, block);
    else if (is(variant, "runaway")) commit(runaway, block);
    else CHECK(false, "no variant %s", variant);
    for (size_t i = 0; i < count; i++) release(row[i]);
    traffic();
}
