// Writes to a block that has been freed.
// case: first-word first-byte middle last-byte all | small medium | same other | write after free | -
// case: middle last-byte | small medium | remote | write after free | -
// case: first-word first-byte all | small medium | remote | SEGV / write after free: * / corrupted free list: * | -
// case: after-realloc | small medium | same other | write after free | -
// case: first-word first-byte middle last-byte all | large | same | SEGV | -
// case: first-word first-byte middle last-byte all | large | other remote | SEGV / unnoticed | -
// case: first-word first-byte middle last-byte all | huge | same other remote | SEGV | -
// case: after-realloc | large | same | SEGV | -
// case: after-realloc | large | other | SEGV / unnoticed | -
// case: after-realloc | huge | same other | SEGV | -
#include "misuse.h"

static void first_word(void *block) { *(volatile uint64_t *)opaque(block) = 0x4141414141414141; }
static void first_byte(void *block) { *(volatile char *)opaque(block) = 'w'; }
static void middle(void *block) { ((volatile char *)opaque(block))[size / 2] = 'w'; }
static void last_byte(void *block) { ((volatile char *)opaque(block))[size - 1] = 'w'; }
static void all_of_it(void *block) { memset(opaque(block), 'w', size); }

static void (*way(const char *name))(void *) {
    if (is(name, "first-word")) return first_word;
    if (is(name, "first-byte")) return first_byte;
    if (is(name, "middle")) return middle;
    if (is(name, "last-byte")) return last_byte;
    if (is(name, "all")) return all_of_it;
    return NULL;
}

static void scene(void) {
    char *before = fresh(), *block = fresh(), *behind = fresh();
    if (is(variant, "after-realloc")) {
        char *moved = block;
        for (size_t larger = 3 * size; larger < 600 * size && larger < GIB; larger *= 2) {
            moved = realloc(block, larger);
            CHECK(moved, "no memory");
            if (moved != block) break;
            block = moved;
        }
        if (moved == block) not_applicable();
        announce(block);
        commit(middle, block);
    } else {
        CHECK(way(variant), "no variant %s", variant);
        announce(block);
        release(block);
        commit(way(variant), block);
    }
    traffic();
    free(before);
    free(behind);
    traffic();
}
