// A shadow of the heap that cannot be wrong: every block's size, what was written into it, and which
// bytes of the address space are whose. Random operations on random slots, over all public verbs,
// with sizes from both sides of every boundary; each result is held against the shadow.
#pragma once
#include "../territory.h"
#include <dlfcn.h>

struct slot {
    void *block;
    size_t size, usable;
    uint64_t tag;
    /// What aligned_alloc was given, if the block comes from there: for free_aligned_sized.
    size_t alignment;
    /// Whether a verb has given exactly `size` bytes: for free_sized.
    bool plain;
    atomic_flag taken;
};

/// The amount that all slots together may hold; beyond it, only small blocks are made.
static size_t budget = 192 * MIB;
static atomic_size_t held_bytes;
static void (*c23_free_sized)(void *, size_t);
static void (*c23_free_aligned_sized)(void *, size_t, size_t);

static void oracle_open(void) {
    territory_open();
    list_boundaries(16 * MIB);
    c23_free_sized = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    c23_free_aligned_sized = (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
}

static size_t oracle_size(uint64_t *stream) {
    bool poor = held_bytes > budget;
    switch (below(stream, 8)) {
    case 0:
    case 1:
    case 2: return any_size(stream, 300);
    case 3:
    case 4: return boundary[below(stream, boundaries * 2 / 3)] + between(stream, 0, 2) - 1;
    case 5: return any_size(stream, poor ? 1 * KIB : 64 * KIB);
    case 6:
        if (poor || below(stream, 20)) return between(stream, 0, 40);
        return boundary[below(stream, boundaries)] + between(stream, 0, 2) - 1;
    default: return any_size(stream, poor || below(stream, 10) ? 4 * KIB : 3 * MIB);
    }
}

/// A block has come into the world: nobody else has it, and it is ours to write on.
static void enter(struct slot *s, void *p, size_t size, size_t alignment, uint64_t tag) {
    CHECK(p, "%zu bytes, alignment %zu: NULL", size, alignment);
    CHECK(is_aligned(p, alignment), "%zu bytes, alignment %zu: %p", size, alignment, p);
    s->block = p;
    s->size = size;
    s->usable = malloc_usable_size(p);
    s->tag = tag;
    CHECK(s->usable >= size, "%zu bytes usable of %zu", s->usable, size);
    CLAIM(p, s->usable);
    // Programs may use what is usable; half of these do.
    if (tag % 2) s->size = s->usable;
    paint(p, s->size, tag);
    held_bytes += s->usable;
}

/// It is about to leave: it is as it was left, and all of it is still ours.
static void leave(struct slot *s) {
    CHECK(malloc_usable_size(s->block) == s->usable, "%zu bytes usable, then %zu", s->usable,
          malloc_usable_size(s->block));
    CHECK(painted(s->block, s->size, s->tag), "contents of %p + %zu", s->block, s->size);
    DISCLAIM(s->block, s->usable);
    held_bytes -= s->usable;
}

static void oracle_free(struct slot *s, uint64_t *stream) {
    leave(s);
    void *p = s->block;
    bool coin = below(stream, 2);
    s->block = NULL;
    // Sized frees want the size of the request, which is forgotten where all that is usable was used.
    if (coin && s->plain && c23_free_sized && s->tag % 2 == 0) c23_free_sized(p, s->size);
    else if (coin && s->alignment && c23_free_aligned_sized && s->tag % 2 == 0) c23_free_aligned_sized(p, s->alignment, s->size);
    else if (below(stream, 50) == 0) CHECK(!realloc(p, 0), "realloc(p, 0)");
    else free(p);
}

static void oracle_allocate(struct slot *s, uint64_t *stream, uint64_t tag) {
    size_t n = oracle_size(stream), k = 1 + below(stream, 9), alignment = 8 << below(stream, 20);
    if (n > 256 * KIB || held_bytes > budget) alignment = 8 << below(stream, 10);
    void *p = NULL;
    s->plain = false;
    s->alignment = 0;
    switch (below(stream, 16)) {
    case 0: p = calloc(k, n / k); n = n / k * k; s->plain = true; goto zero;
    case 1: p = calloc(1, n); s->plain = true; goto zero;
    case 2: p = realloc(NULL, n); s->plain = true; break;
    case 3: p = reallocarray(NULL, k, n / k); n = n / k * k; s->plain = true; break;
    case 4: p = aligned_alloc(alignment, n); s->alignment = alignment; enter(s, p, n, alignment, tag); return;
    case 5: CHECK(posix_memalign(&p, alignment, n) == 0, "posix_memalign"); enter(s, p, n, alignment, tag); return;
    case 6: p = memalign(alignment, n); enter(s, p, n, alignment, tag); return;
    case 7: p = below(stream, 2) ? valloc(n) : pvalloc(n); enter(s, p, n, 4096, tag); return;
    default: p = malloc(n); s->plain = true; break;
    }
    enter(s, p, n, 16, tag);
    return;
zero:
    CHECK(p && all_zero(p, n), "calloc of %zu: %p", n, p);
    enter(s, p, n, 16, tag);
}

static void oracle_resize(struct slot *s, uint64_t *stream, uint64_t tag) {
    size_t kept = s->size, n = below(stream, 3) ? oracle_size(stream) : kept + between(stream, 0, 64) - (kept < 32 ? 0 : 32);
    if (n == 0) n = 1;
    if (below(stream, 40) == 0) {
        errno = 0;
        CHECK(!realloc(s->block, SIZE_MAX - below(stream, 1 << 20)) && errno == ENOMEM, "absurd realloc");
        CHECK(painted(s->block, s->size, s->tag), "contents after an absurd realloc");
    }
    leave(s);
    void *p = below(stream, 4) ? realloc(s->block, n) : reallocarray(s->block, 1, n);
    if (n < kept) kept = n;
    CHECK(p && prefix_painted(p, kept, s->tag), "realloc from %zu to %zu: %p", s->size, n, p);
    s->plain = true;
    s->alignment = 0;
    enter(s, p, n, 16, tag);
}

/// One operation on a slot. `appetite` of 256 empty slots are filled, the others stay empty; the
/// heap swells and shrinks with it.
static void oracle_act(struct slot *s, uint64_t *stream, size_t appetite) {
    uint64_t tag = draw(stream);
    if (below(stream, 100000) == 0) malloc_trim(0);
    if (!s->block) {
        if (below(stream, 256) < appetite) oracle_allocate(s, stream, tag);
        return;
    }
    switch (below(stream, 8)) {
    case 0: CHECK(painted(s->block, s->size, s->tag), "contents of %p + %zu", s->block, s->size); break;
    case 1:
    case 2: oracle_resize(s, stream, tag); break;
    default: oracle_free(s, stream);
    }
}

static void oracle_close(struct slot *slots, size_t n, uint64_t *stream) {
    for (size_t i = 0; i < n; i++) {
        if (slots[i].block) oracle_free(&slots[i], stream);
    }
}
