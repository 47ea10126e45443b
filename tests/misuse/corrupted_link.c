// Writes an address where an allocator may keep a list of free blocks, so as to be given memory of its own choice.
// case: first-word second-word to-itself | small medium | same other | corrupted free list: * / write after free | -
// case: first-word second-word to-itself | small medium | remote | SEGV / write after free: * / corrupted free list: * | -
// case: first-word second-word to-itself | large | same | SEGV | -
// case: first-word second-word to-itself | large | other | SEGV / unnoticed | -
// case: first-word second-word to-itself | huge | same other | SEGV | -
#include "misuse.h"

static uintptr_t victim[4096] __attribute__((aligned(4096)));
static void *target;

static void first_word(void *block) { *(void *volatile *)opaque(block) = target; }
static void second_word(void *block) { ((void *volatile *)opaque(block))[1] = target; }

static void scene(void) {
    enum { ROW = 8 };
    char *row[ROW], *given[256];
    for (size_t i = 0; i < ROW; i++) row[i] = fresh();
    for (size_t i = 0; i < ROW; i++) release(row[i]);
    char *block = announce(row[ROW / 2]);
    // It looks like a block of this size to an allocator with headers.
    victim[511] = (size + 16) & ~(size_t)15;
    target = is(variant, "to-itself") ? (void *)block : (void *)&victim[512];
    commit(is(variant, "second-word") ? second_word : first_word, block);
    size_t count = crowd < COUNT(given) ? crowd : COUNT(given);
    for (size_t i = 0; i < count; i++) given[i] = malloc(size);
    for (size_t i = 0; i < count; i++) {
        bool taken = given[i] == (char *)&victim[512];
        for (size_t k = 0; k < i; k++) taken |= given[k] == given[i];
        if (taken && wrong) end("unnoticed, and the victim was handed out");
    }
    for (size_t i = 0; i < count; i++) free(given[i]);
    traffic();
}
