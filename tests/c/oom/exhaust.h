// Memory runs out, is given back, and runs out again: for one kind of block after the other, each
// must reach nearly what it reached the first time, nothing that was handed out may suffer, and the
// refusal is NULL with ENOMEM. The resource that is short is the includer's choice.
#pragma once
#include "../common.h"

#define ALLOWANCE (64 * MIB)

/// Allows the process `more` than it has now of a resource that `in_use` is the measure of.
UNUSED void limit_memory(int resource, size_t in_use, size_t more) {
    struct rlimit limit = {in_use + more, RLIM_INFINITY};
    CHECK(setrlimit(resource, &limit) == 0, "setrlimit: %s", strerror(errno));
}

/// The blocks are their own table: each holds the next one and its size, the rest is painted.
struct hoard {
    struct hoard *next;
    size_t size;
};

/// Allocates until NULL; adds to `bytes` what it got.
static struct hoard *hoard(size_t size, size_t *bytes) {
    struct hoard *all = NULL;
    for (;;) {
        errno = 0;
        struct hoard *h = malloc(size);
        if (!h) {
            CHECK(errno == ENOMEM, "malloc(%zu) left errno %d", size, errno);
            return all;
        }
        h->next = all;
        h->size = size;
        paint(h + 1, size - sizeof *h, size);
        all = h;
        *bytes += size;
    }
}

static void verify(struct hoard *h) {
    for (; h; h = h->next) {
        CHECK(painted(h + 1, h->size - sizeof *h, h->size), "block of %zu, when memory was out", h->size);
    }
}

static void release(struct hoard *h) {
    for (struct hoard *next; h; h = next) {
        next = h->next;
        free(h);
    }
}

/// Each kind of block in turn has the whole allowance.
UNUSED void exhaust_each_kind(void) {
    size_t sizes[] = {32, 200, 1024, 10000, 32 * KIB, 40 * KIB, 500 * KIB, 2 * MIB, 3 * MIB, 9 * MIB};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT(sizes); i++) {
            size_t first = 0, second = 0;
            struct hoard *all = hoard(sizes[i], &first);
            verify(all);
            release(all);
            all = hoard(sizes[i], &second);
            verify(all);
            release(all);
            fprintf(stderr, "%8zu bytes: %.1f MiB, then %.1f MiB\n", sizes[i], in_mib(first), in_mib(second));
            // Large blocks may fit their surroundings badly; the address space pays, not the memory.
            CHECK(first >= ALLOWANCE / 5 * 2, "round %d: only %.1f of %.1f MiB in blocks of %zu", round,
                  in_mib(first), in_mib(ALLOWANCE), sizes[i]);
            CHECK(second >= first / 10 * 9, "blocks of %zu: %.1f MiB, then only %.1f MiB", sizes[i],
                  in_mib(first), in_mib(second));
        }
    }
}

/// A mixture, in which the large ones are refused first and the small ones go on for a while.
UNUSED void exhaust_mixture(void) {
    size_t first = 0;
    for (int round = 0; round < 6; round++) {
        uint64_t stream = seed;
        struct hoard *all = NULL;
        size_t got = 0;
        for (size_t limit = 8 * MIB, refusals = 0; limit >= 64;) {
            size_t size = sizeof(struct hoard) + any_size(&stream, limit);
            errno = 0;
            struct hoard *h = below(&stream, 10) ? malloc(size) : calloc(1, size);
            if (h) {
                *h = (struct hoard){all, size};
                paint(h + 1, size - sizeof *h, size);
                all = h;
                got += size;
                continue;
            }
            CHECK(errno == ENOMEM, "size %zu left errno %d", size, errno);
            if (++refusals % 100 == 0) limit /= 2;
        }
        verify(all);
        release(all);
        if (round == 0) first = got;
        fprintf(stderr, "mixture: %.1f MiB\n", in_mib(got));
        CHECK(got >= first / 10 * 9, "round %d: %.1f MiB of a mixture, %.1f before", round, in_mib(got), in_mib(first));
    }
}
