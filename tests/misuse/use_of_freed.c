// Hands a block that has been freed to realloc or malloc_usable_size.
// case: grow shrink usable-size | small medium | same other remote | freed block | -
// case: grow shrink usable-size | large huge | same other remote | freed block | invalid free
#include "misuse.h"

static void grow(void *block) { free(realloc(block, 2 * size)); }
static void shrink(void *block) { free(realloc(block, size / 2)); }
static void ask(void *block) { CHECK(opaque_size(malloc_usable_size(opaque(block))) + 1, "a size"); }

static void scene(void) {
    char *before = fresh(), *block = announce(fresh()), *behind = fresh();
    release(block);
    if (is(variant, "grow")) commit(grow, block);
    else if (is(variant, "shrink")) commit(shrink, block);
    else if (is(variant, "usable-size")) commit(ask, block);
    else CHECK(false, "no variant %s", variant);
    traffic();
    free(before);
    free(behind);
}
