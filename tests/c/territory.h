// Who owns which bytes: one bit per 8 bytes of the address space, in a mapping that is only
// touched where blocks are. Two blocks that overlap claim the same bit, whoever allocated them,
// in whichever thread: `claim` sees it exactly, and costs one atomic per 512 bytes.
//
// An emulator keeps a note for each page of a mapping, touched or not, and cannot hold so large a one. There the bits of each
// gibibyte have a mapping of their own, made when the first block turns up in it.
#pragma once
#include "common.h"

#define ADDRESS_BITS (sizeof(void *) == 8 ? 47 : 32)
#define GRAIN 8
/// Words of 64 bits for a gibibyte.
#define WINDOW ((size_t)1 << 30 >> 9)
#define WINDOWS ((size_t)1 << 17)

static _Atomic(uint64_t) *territory;
/// Where `territory` is null.
static _Atomic(uint64_t) *_Atomic windows[WINDOWS];

static void *bits_for(size_t bytes) {
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(map != MAP_FAILED, "mmap of the territory: %s", strerror(errno));
    return map;
}

UNUSED void territory_open(void) {
    if (!is_emulated()) territory = bits_for((size_t)(((uint64_t)1 << ADDRESS_BITS) / GRAIN / 8));
}

/// The word of this number.
static inline _Atomic(uint64_t) *territory_word(uintptr_t index) {
    if (territory) return &territory[index];
    _Atomic(uint64_t) *window = atomic_load(&windows[index / WINDOW]);
    if (!window) {
        _Atomic(uint64_t) *fresh = bits_for(WINDOW * sizeof *fresh);
        if (atomic_compare_exchange_strong(&windows[index / WINDOW], &window, fresh)) {
            window = fresh;
        } else {
            munmap(fresh, WINDOW * sizeof *fresh);
        }
    }
    return &window[index % WINDOW];
}

/// Applies one change to all bits of a block; a bit that already is as it should become is a fault.
static inline bool survey(const void *block, size_t n, bool take) {
    uintptr_t bit = (uintptr_t)block / GRAIN;
    uintptr_t end = (uintptr_t)(((uint64_t)(uintptr_t)block + (n ? n : 1) + GRAIN - 1) / GRAIN);
    if ((uint64_t)(uintptr_t)block + n > (uint64_t)1 << ADDRESS_BITS) return false;
    while (bit < end) {
        unsigned low = bit % 64;
        size_t count = end - bit < 64 - low ? end - bit : 64 - low;
        uint64_t mask = (count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1) << low;
        // Relaxed: only the bits themselves matter; a block changes hands by other means.
        _Atomic(uint64_t) *word = territory_word(bit / 64);
        uint64_t old = take ? atomic_fetch_or_explicit(word, mask, memory_order_relaxed)
                            : atomic_fetch_and_explicit(word, ~mask, memory_order_relaxed);
        if ((old & mask) != (take ? 0 : mask)) return false;
        bit += count;
    }
    return true;
}

/// After an allocation: nobody else has a byte of it. Before a free: all of it is still ours.
#define CLAIM(p, n) CHECK(survey(p, n, true), "%p + %zu overlaps a living block", (void *)(p), (size_t)(n))
#define DISCLAIM(p, n) CHECK(survey(p, n, false), "%p + %zu was not all ours", (void *)(p), (size_t)(n))
