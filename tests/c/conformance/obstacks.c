// clause: glibc 3.2.6 | obstacks on malloc and free: grown, shrunk, freed to any object
// skip: musl -- no obstacks
// Obstacks take chunks from malloc and give them back when an object below them is freed.
#include "../common.h"
#undef malloc
#undef free
#include <obstack.h>
#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

int main(void) {
    struct obstack stack;
    for (int round = 0; round < 50; round++) {
        obstack_init(&stack);
        uint64_t stream = seed + (uint64_t)round;
        void *object[500];
        size_t size[500];
        for (size_t i = 0; i < 500; i++) {
            size[i] = any_size(&stream, 30000);
            for (size_t n = 0; n < size[i]; n++) obstack_1grow(&stack, (char)i);
            object[i] = obstack_finish(&stack);
        }
        for (size_t i = 0; i < 500; i++) {
            const char *p = object[i];
            for (size_t n = 0; n < size[i]; n++) CHECK(p[n] == (char)i, "object %zu", i);
        }
        obstack_free(&stack, object[250]);
        CHECK(obstack_printf(&stack, "%0*d", 5000, 7) == 5000, "obstack_printf");
        obstack_free(&stack, NULL);
    }
}
