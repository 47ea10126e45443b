/*
 * ralloc, a memory allocator: its functions under its own prefix, to be used beside another allocator.
 *
 * A program that links or preloads the library has them under the names of the standards as well (malloc, free and so on, and
 * C++'s operators new and delete); these are declared in <stdlib.h>, <malloc.h> and <new>. ralloc(3) says more.
 *
 * Made by `cargo xtask header` from libralloc/src; do not edit.
 */

#ifndef RALLOC_H
#define RALLOC_H

#include <stddef.h>

/**
 * What mallinfo2 reports, in bytes but for the numbers. `uordblks + hblkhd` is the sum of the usable sizes of all blocks
 * (blocks that other threads hold in reserve included), `arena == uordblks + fordblks`.
 */
struct ralloc_mallinfo2 {
    /**
     * Mapped for blocks that are not huge.
     */
    size_t arena;
    /**
     * Free blocks and free runs of memory, their number.
     */
    size_t ordblks;
    /**
     * Always 0.
     */
    size_t smblks;
    /**
     * Huge blocks (above 2 MiB), their number.
     */
    size_t hblks;
    /**
     * In huge blocks.
     */
    size_t hblkhd;
    /**
     * The most that blocks have ever taken up.
     */
    size_t usmblks;
    /**
     * Always 0.
     */
    size_t fsmblks;
    /**
     * In blocks that are not huge.
     */
    size_t uordblks;
    /**
     * Mapped for blocks that are not huge, and free.
     */
    size_t fordblks;
    /**
     * What malloc_trim would give back.
     */
    size_t keepcost;
};

/**
 * As ralloc_mallinfo2. What does not fit is INT_MAX.
 */
struct ralloc_mallinfo {
    /**
     * As in ralloc_mallinfo2.
     */
    int arena;
    /**
     * As in ralloc_mallinfo2.
     */
    int ordblks;
    /**
     * As in ralloc_mallinfo2.
     */
    int smblks;
    /**
     * As in ralloc_mallinfo2.
     */
    int hblks;
    /**
     * As in ralloc_mallinfo2.
     */
    int hblkhd;
    /**
     * As in ralloc_mallinfo2.
     */
    int usmblks;
    /**
     * As in ralloc_mallinfo2.
     */
    int fsmblks;
    /**
     * As in ralloc_mallinfo2.
     */
    int uordblks;
    /**
     * As in ralloc_mallinfo2.
     */
    int fordblks;
    /**
     * As in ralloc_mallinfo2.
     */
    int keepcost;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * ISO C, malloc(3).
 */
void *ralloc_malloc(size_t size);

/**
 * ISO C, free(3).
 *
 * `block` is null or a live block of this library.
 */
void ralloc_free(void *block);

/**
 * ISO C, calloc(3).
 */
void *ralloc_calloc(size_t count, size_t size);

/**
 * ISO C, realloc(3).
 *
 * `block` is null or a live block of this library.
 */
void *ralloc_realloc(void *block, size_t size);

/**
 * POSIX.1-2024, reallocarray(3).
 *
 * `block` is null or a live block of this library.
 */
void *ralloc_reallocarray(void *block, size_t count, size_t size);

/**
 * ISO C17, aligned_alloc(3).
 */
void *ralloc_aligned_alloc(size_t align, size_t size);

/**
 * POSIX, posix_memalign(3). On failure the pointer is left alone.
 *
 * `out` may be written to.
 */
int ralloc_posix_memalign(void **out, size_t align, size_t size);

/**
 * ISO C23, free_sized.
 *
 * `block` is null, or was allocated with `size` by malloc, calloc or realloc, and is live.
 */
void ralloc_free_sized(void *block, size_t size);

/**
 * ISO C23, free_aligned_sized.
 *
 * `block` is null, or was allocated with `align` and `size` by aligned_alloc, and is live.
 */
void ralloc_free_aligned_sized(void *block, size_t _align, size_t size);

/**
 * SUSv2, sbrk(2).
 *
 * Memory that a negative increment gives up is not used any more.
 */
void *ralloc_sbrk(ptrdiff_t increment);

/**
 * SUSv2, brk(2).
 *
 * Memory above `address` is not used any more.
 */
int ralloc_brk(void *address);

/**
 * Obsolete, memalign(3).
 */
void *ralloc_memalign(size_t align, size_t size);

/**
 * Obsolete, valloc(3).
 */
void *ralloc_valloc(size_t size);

/**
 * Obsolete, pvalloc(3).
 */
void *ralloc_pvalloc(size_t size);

/**
 * GNU, malloc_usable_size(3).
 *
 * `block` is null or a live block of this library.
 */
size_t ralloc_malloc_usable_size(void *block);

/**
 * GNU, malloc_trim(3). The pad is ignored: nothing is kept at the top of a heap that has no top.
 */
int ralloc_malloc_trim(size_t _pad);

/**
 * GNU, mallinfo2(3), of this heap.
 */
struct ralloc_mallinfo2 ralloc_mallinfo2(void);

/**
 * GNU, mallinfo(3), of this heap.
 */
struct ralloc_mallinfo ralloc_mallinfo(void);

/**
 * GNU, mallopt(3). Returns 1 for what this heap has: M_TRIM_THRESHOLD, the bytes of idle memory that it keeps (a negative
 * value: all of it). Returns 0 and does nothing for the rest.
 */
int ralloc_mallopt(int parameter,
                   int value);

/**
 * GNU, malloc_stats(3): print the statistics of this heap on standard error.
 */
void ralloc_malloc_stats(void);

/**
 * GNU, malloc_info(3): write the figures of this heap to a `FILE` of `<stdio.h>`, as XML. `options` is 0. Returns 0, or -1 with
 * EINVAL for other options or with the error of the stream.
 *
 * `stream` is an open stream.
 */
int ralloc_malloc_info(int options,
                       void *stream);

/**
 * FreeBSD, reallocf(3): as realloc, but a block that cannot be resized is given back.
 *
 * `block` is null or a live block of this library.
 */
void *ralloc_reallocf(void *block, size_t size);

/**
 * OpenBSD, recallocarray(3): as reallocarray; what is new reads zero, and what is given up is cleared. EINVAL if
 * `old_count * size` overflows, ENOMEM if `new_count * size` does.
 *
 * `block` is null or a live block of this library that was allocated with `old_count * size` bytes.
 */
void *ralloc_recallocarray(void *block,
                           size_t old_count,
                           size_t new_count,
                           size_t size);

/**
 * OpenBSD, freezero(3): clear the first `size` bytes of a block, which no optimisation leaves out, and give it back.
 *
 * `block` is null or a live block of this library that was allocated with `size` bytes or more.
 */
void ralloc_freezero(void *block,
                     size_t size);

/**
 * macOS, malloc_size(3): as malloc_usable_size.
 *
 * `block` is null or a live block of this library.
 */
size_t ralloc_malloc_size(const void *block);

/**
 * macOS, malloc_good_size(3): the usable size of the block that malloc would return for `size`.
 */
size_t ralloc_malloc_good_size(size_t size);

/**
 * C++ operator new(size).
 */
void *ralloc_new(size_t size);

/**
 * C++ operator new(size, align). Throws std::bad_alloc at once if `align` is not a power of two.
 */
void *ralloc_new_aligned(size_t size, size_t align);

/**
 * C++ operator new(size, std::nothrow).
 */
void *ralloc_new_nothrow(size_t size);

/**
 * C++ operator new(size, align, std::nothrow).
 */
void *ralloc_new_aligned_nothrow(size_t size, size_t align);

/**
 * C++ operator delete(block).
 *
 * `block` is null or a live block of this library.
 */
void ralloc_delete(void *block);

/**
 * C++ operator delete(block, size).
 *
 * `block` is null, or was allocated with `size`, and is live.
 */
void ralloc_delete_sized(void *block, size_t size);

/**
 * C++ operator delete(block, align).
 *
 * `block` is null, or was allocated with `align`, and is live.
 */
void ralloc_delete_aligned(void *block, size_t _align);

/**
 * C++ operator delete(block, size, align).
 *
 * `block` is null, or was allocated with `size` and `align`, and is live.
 */
void ralloc_delete_sized_aligned(void *block, size_t size, size_t _align);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RALLOC_H */
