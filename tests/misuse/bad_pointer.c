// Hands a pointer that is no block's to free, realloc or malloc_usable_size: VERB-WHERE.
// case: free-inside-16 free-inside-1 free-middle | small medium | same | interior pointer | -
// case: free-inside-16 free-inside-1 free-middle | small medium | other | interior pointer | interior pointer
// case: free-inside-16 free-inside-1 free-middle | large huge | same other | interior pointer | interior pointer
// case: free-inside-page | medium | same | interior pointer | -
// case: free-inside-page | medium | other | interior pointer | interior pointer
// case: free-inside-page | large huge | same other | interior pointer | interior pointer
// case: free-inside-4mib | huge | same other | interior pointer | interior pointer
// case: realloc-inside-16 usable-inside-16 | small medium large huge | same other | interior pointer | interior pointer
// case: free-never-allocated | small medium | same other | invalid free / interior pointer | -
// case: free-static free-code free-stack | none | same other | foreign pointer | -
// case: free-mapping | none | same other | foreign pointer / invalid free | -
// case: realloc-static realloc-stack usable-static usable-stack | none | same other | foreign pointer | foreign pointer
// case: realloc-mapping usable-mapping | none | same other | foreign pointer / invalid free | foreign pointer / invalid free
// case: free-unmapped realloc-unmapped usable-unmapped | none | same other | foreign pointer | -
#include "misuse.h"

static void grow(void *block) { free(realloc(block, 2 * size)); }
static void ask(void *block) { CHECK(opaque_size(malloc_usable_size(opaque(block))) + 1, "a size"); }

static char anywhere[64 * KIB] __attribute__((aligned(4096)));

static char *before, *behind;

static char *place(const char *where, char *block) {
    if (is(where, "middle")) return block + (size / 2 & ~(size_t)15);
    if (is(where, "inside-16")) return block + 16;
    if (is(where, "inside-1")) return block + 1;
    if (is(where, "inside-page")) return (char *)(((uintptr_t)block + 4096) & ~(uintptr_t)4095);
    if (is(where, "inside-4mib")) return (char *)(((uintptr_t)block + 4 * MIB) & ~(uintptr_t)(4 * MIB - 1));
    // No block that has been handed out begins there, but memory of the allocator is likely to be there.
    if (is(where, "never-allocated")) {
        size_t slot = 24;
        while (block + slot * malloc_usable_size(block) == before || block + slot * malloc_usable_size(block) == behind) slot++;
        return block + slot * malloc_usable_size(block);
    }
    if (is(where, "static")) return anywhere + 8192;
    if (is(where, "code")) return (char *)(uintptr_t)free_it;
    if (is(where, "unmapped")) return (char *)(uintptr_t)0x12345670;
    if (is(where, "mapping")) {
        char *mapped = mmap(NULL, 16 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(mapped != MAP_FAILED, "mmap");
        return mapped + 4096;
    }
    CHECK(false, "no place %s", where);
}

static void scene(void) {
    char on_the_stack[256] __attribute__((aligned(16)));
    memset(on_the_stack, 's', sizeof on_the_stack);
    before = fresh();
    char *block = fresh();
    behind = fresh();
    const char *where = strchr(variant, '-') + 1;
    char *pointer = is(where, "stack") ? on_the_stack + 64 : place(where, block);
    announce(pointer);
    switch (variant[0]) {
    case 'f': commit(free_it, pointer); break;
    case 'r': commit(grow, pointer); break;
    case 'u': commit(ask, pointer); break;
    default: CHECK(false, "no variant %s", variant);
    }
    traffic();
    free(before);
    free(block);
    free(behind);
    traffic();
}
