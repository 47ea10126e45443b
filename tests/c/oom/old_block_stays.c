// clause: C 7.22.3.5 | realloc: if it fails, the old block is as it was
// clause: POSIX posix_memalign | ENOMEM is returned, and the pointer is left alone
// skip: qemu -- limits are those of the emulator
// realloc and reallocarray, when there is nothing left: NULL, ENOMEM, and the block is as it was, in
// its old size; shrinking still works, and so does free. posix_memalign leaves its pointer alone.
#include "exhaust.h"

static void refuse_to_grow(struct hoard *h, uint64_t *stream) {
    size_t body = h->size - sizeof *h, target = h->size * 2 + 8 * MIB + below(stream, 64 * MIB);
    errno = 0;
    struct hoard *grown = below(stream, 2) ? realloc(h, target) : reallocarray(h, target / 8, 8);
    CHECK(!grown && errno == ENOMEM, "realloc from %zu to %zu gave %p, errno %d", h->size, target,
          (void *)grown, errno);
    CHECK(painted(h + 1, body, h->size), "block of %zu after a refused realloc", h->size);
}

int main(void) {
    uint64_t stream = seed;
    limit_memory(RLIMIT_AS, address_space(), 96 * MIB);
    for (int round = 0; round < 4; round++) {
        size_t got = 0;
        size_t sizes[] = {5 * MIB, 1 * MIB, 100 * KIB, 20000, 3000, 500, 100, 32};
        struct hoard *all[COUNT(sizes)];
        // The largest first, so that all kinds are there, and the smallest fill what is left.
        for (size_t i = 0; i < COUNT(sizes); i++) {
            if (i == 0) {
                size_t half = 0;
                all[0] = NULL;
                for (; half < 48 * MIB; half += sizes[0]) {
                    struct hoard *h = malloc(sizes[0]);
                    CHECK(h, "malloc(%zu)", sizes[0]);
                    *h = (struct hoard){all[0], sizes[0]};
                    paint(h + 1, sizes[0] - sizeof *h, sizes[0]);
                    all[0] = h;
                }
            } else if (i < 5) {
                all[i] = NULL;
                for (int k = 0; k < 20; k++) {
                    struct hoard *h = malloc(sizes[i]);
                    if (!h) break;
                    *h = (struct hoard){all[i], sizes[i]};
                    paint(h + 1, sizes[i] - sizeof *h, sizes[i]);
                    all[i] = h;
                }
            } else {
                all[i] = hoard(sizes[i], &got);
            }
        }
        for (size_t i = 0; i < COUNT(all); i++) {
            int few = 0;
            for (struct hoard *h = all[i]; h && few < 200; h = h->next, few++) refuse_to_grow(h, &stream);
        }
        void *untouched = &untouched;
        CHECK(posix_memalign(&untouched, 4096, 100 * MIB) == ENOMEM, "posix_memalign");
        CHECK(untouched == &untouched, "posix_memalign wrote %p", untouched);
        errno = 0;
        CHECK(!calloc(100, MIB) && errno == ENOMEM, "calloc: errno %d", errno);
        errno = 0;
        CHECK(!memalign(8 * MIB, 90 * MIB) && errno == ENOMEM, "memalign: errno %d", errno);

        // Shrinking may be refused too (it may need a smaller block), but never loses anything.
        for (size_t i = 0; i < COUNT(all); i++) {
            verify(all[i]);
            struct hoard *h = all[i], *rest = h ? h->next : NULL;
            if (h) {
                size_t size = h->size;
                struct hoard *smaller = realloc(h, sizeof *h + 8);
                if (smaller) h = smaller;
                CHECK(h->next == rest && h->size == size, "shrunk from %zu", size);
                CHECK(prefix_painted(h + 1, 8, size), "shrunk from %zu", size);
                free(h);
            }
            release(rest);
        }
    }
}
