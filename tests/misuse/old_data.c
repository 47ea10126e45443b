// Reads what was in a block before. No allocator can see the read; it can see to it that there is nothing to be read.
// case: malloc realloc read | small medium | same other remote | prevented | -
// case: malloc realloc | large huge | same other remote | prevented | -
// case: read | large huge | same other remote | SEGV / prevented | -
#include "misuse.h"

static const char secret[16] = "the secret word!";

static void fill(char *block) {
    for (size_t i = 0; i + sizeof secret <= size; i += sizeof secret) memcpy(block + i, secret, sizeof secret);
}

static bool knows(const char *block, size_t bytes) {
    // Links and such may lie over the beginning.
    return memmem(opaque((void *)block), bytes, secret, sizeof secret) != NULL;
}

static bool found;

static void uninitialised(void *unused) {
    (void)unused;
    char *given[64];
    size_t count = crowd < COUNT(given) ? crowd : COUNT(given);
    for (size_t i = 0; i < count; i++) {
        given[i] = malloc(size);
        CHECK(given[i], "no memory");
        found |= knows(given[i], size);
    }
    for (size_t i = 0; i < count; i++) free(given[i]);
}
static void read_it(void *block) { found = knows(block, size); }
static void grown(void *block) {
    (void)block;
    for (int i = 0; i < 64 && !found; i++) {
        char *given = malloc(size / 2);
        CHECK(given, "no memory");
        memset(given, 'g', size / 2);
        given = realloc(given, size);
        CHECK(given, "no memory");
        found = knows(given + size / 2, size - size / 2);
        if (size > MIB && i > 5) break;
    }
}

static void scene(void) {
    enum { ROW = 4 };
    char *row[ROW];
    for (size_t i = 0; i < ROW; i++) {
        row[i] = fresh();
        // In the control there was no secret.
        if (wrong) fill(row[i]);
    }
    announce(row[0]);
    for (size_t i = 0; i < ROW; i++) release(row[i]);
    if (is(variant, "malloc")) commit(uninitialised, NULL);
    else if (is(variant, "read")) commit(read_it, row[0]);
    else if (is(variant, "realloc")) commit(grown, NULL);
    else CHECK(false, "no variant %s", variant);
    if (!found) end("prevented");
}
