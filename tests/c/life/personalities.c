// clause: life | personalities: addresses that are not random, mappings that can be executed, the old layout
// skip: qemu -- it has no personality
// The program starts itself again under each: where the kernel puts mappings, and which rights they have, differs.
#include "../common.h"
#include <sys/personality.h>

static void work(void) {
    for (size_t n = 1; n < 64 * MIB; n += n / 2 + 1) {
        char *p = calloc(1, n);
        CHECK(p && p[n - 1] == 0, "calloc(%zu)", n);
        p[n - 1] = 1;
        p = realloc(p, n + n / 2);
        CHECK(p && p[n - 1] == 1, "realloc(%zu)", n + n / 2);
        free(p);
    }
    for (size_t alignment = 16; alignment <= 64 * MIB; alignment *= 4) {
        void *p = memalign(alignment, 1000);
        CHECK(p && is_aligned(p, alignment), "alignment %zu: %p", alignment, p);
        free(p);
    }
}

int main(int count, char **arguments) {
    unsigned long kinds[] = {ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, ADDR_COMPAT_LAYOUT, MMAP_PAGE_ZERO,
                             ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT};
    if (count > 1) {
        work();
        return 0;
    }
    for (size_t i = 0; i < COUNT(kinds); i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            alarm(60);
            // Where the kernel refuses one there is nothing to be seen.
            if (personality(kinds[i]) < 0) _exit(0);
            execl(arguments[0], arguments[0], "again", (char *)NULL);
            _exit(2);
        }
        await_child(child, "a personality");
    }
}
