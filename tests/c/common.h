// What the programs here share. A program is one situation: it ends with status 0, or says on
// stderr which expectation failed, where, and with which seed. `TEST_SEED=N` replays a seed.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define UNUSED __attribute__((unused)) static

// ---- Barriers against the optimiser ------------------------------------------------------------
// The compiler knows what malloc does: at -O1 it already removes pairs of calls, folds comparisons
// and trusts alignments. Behind these macros sizes go in opaque and pointers come out opaque.

static inline size_t opaque_size(size_t n) {
    __asm__ volatile("" : "+r"(n));
    return n;
}
static inline void *opaque(void *p) {
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
#define malloc(n) opaque(malloc(opaque_size(n)))
#define calloc(n, m) opaque(calloc(opaque_size(n), opaque_size(m)))
#define realloc(p, n) opaque(realloc(opaque(p), opaque_size(n)))
#define reallocarray(p, n, m) opaque(reallocarray(opaque(p), opaque_size(n), opaque_size(m)))
#define aligned_alloc(a, n) opaque(aligned_alloc(opaque_size(a), opaque_size(n)))
#define memalign(a, n) opaque(memalign(opaque_size(a), opaque_size(n)))
#define valloc(n) opaque(valloc(opaque_size(n)))
#define pvalloc(n) opaque(pvalloc(opaque_size(n)))
#define free(p) free(opaque(p))

#ifndef __GLIBC__
// Extensions that this C library lacks and ours has: where there is no such symbol, as in the control, the nearest thing there is.
__attribute__((weak)) int malloc_trim(size_t);
__attribute__((weak)) void *(pvalloc)(size_t);
#define malloc_trim(pad) (malloc_trim ? malloc_trim(pad) : 0)
#undef pvalloc
#define pvalloc(n) opaque(pvalloc ? pvalloc(opaque_size(n)) : valloc((n) > SIZE_MAX - 4095 ? SIZE_MAX : ((n) + 4095) & ~(size_t)4095))
#endif

// ---- Expectations ------------------------------------------------------------------------------

/// Printed with every failure; the programs draw all their random numbers from it.
static uint64_t seed = 1;

__attribute__((constructor)) static void seed_from_environment(void) {
    const char *text = getenv("TEST_SEED");
    if (text) {
        seed = 0;
        for (; *text >= '0' && *text <= '9'; text++) seed = seed * 10 + (uint64_t)(*text - '0');
    }
}

/// Whether an emulator runs the program: its own memory is what the kernel then counts.
UNUSED bool is_emulated(void) { return getenv("TEST_EMULATED") != NULL; }
/// How long a program that goes on for a while does so: TEST_PATIENCE times as long as usual.
UNUSED double patience(double seconds) {
    const char *times = getenv("TEST_PATIENCE");
    return times ? seconds * atof(times) : seconds;
}

/// Ends the process without allocating, without locks and without exit handlers: a failure may be
/// found while memory is exhausted, in a signal handler, or in a forked child.
__attribute__((noreturn, format(printf, 4, 5))) UNUSED void
fail(const char *file, int line, const char *condition, const char *format, ...) {
    char text[640];
    int n = snprintf(text, sizeof text, "%s:%d: failed: %s: ", file, line, condition);
    va_list arguments;
    va_start(arguments, format);
    if (n < (int)sizeof text) n += vsnprintf(text + n, sizeof text - (size_t)n, format, arguments);
    va_end(arguments);
    if (n < (int)sizeof text) {
        n += snprintf(text + n, sizeof text - (size_t)n, " [seed %llu]\n", (unsigned long long)seed);
    }
    if (n > (int)sizeof text) n = sizeof text;
    if (write(STDERR_FILENO, text, (size_t)n) < 0) _exit(2);
    _exit(1);
}

/// CHECK(condition, "format", ...): the message says what was seen, the condition what was expected.
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                       \
    } while (0)

// ---- Random numbers ----------------------------------------------------------------------------

/// The next number of a stream; a stream is its state, and any state is a valid start.
static inline uint64_t draw(uint64_t *stream) {
    uint64_t x = *stream += 0xD1B54A32D192ED03u;
    x = (x ^ x >> 29) * 0xAEF17502108EF2D9u;
    x = (x ^ x >> 32) * 0xC6A4A7935BD1E995u;
    return x ^ x >> 30;
}
/// From 0 to n - 1.
static inline size_t below(uint64_t *stream, size_t n) { return (size_t)(draw(stream) % n); }
/// From low to high, both included.
static inline size_t between(uint64_t *stream, size_t low, size_t high) {
    return low + below(stream, high - low + 1);
}
/// From 1 to about `limit`, each power of two as likely as the others.
static inline size_t any_size(uint64_t *stream, size_t limit) {
    unsigned bits = 64 - (unsigned)__builtin_clzll(limit);
    size_t n = 1 + below(stream, (size_t)1 << between(stream, 1, bits - 1));
    return n < limit ? n : limit;
}
static inline void shuffle(uint64_t *stream, void **items, size_t n) {
    for (; n > 1; n--) {
        size_t k = below(stream, n);
        void *held = items[n - 1];
        items[n - 1] = items[k];
        items[k] = held;
    }
}

// ---- Sizes on which something changes ----------------------------------------------------------

static size_t boundary[160];
static unsigned boundaries;

/// Fills `boundary` with the upper end of every size class, and the places where the kind of a
/// block changes: slices of 64 KiB, large blocks at 2 MiB, whole chunks of 4 MiB.
UNUSED void list_boundaries(size_t limit) {
    boundaries = 0;
    for (size_t n = 16; n <= 256; n += 16) boundary[boundaries++] = n;
    for (size_t base = 256; base < 1 * KIB; base *= 2) {
        for (size_t n = 1; n <= 8; n++) boundary[boundaries++] = base + n * base / 8;
    }
    for (size_t base = 1 * KIB; base < 32 * KIB; base *= 2) {
        for (size_t n = 1; n <= 4; n++) boundary[boundaries++] = base + n * base / 4;
    }
    for (size_t n = 1; n <= 16; n++) boundary[boundaries++] = n * 64 * KIB;
    for (size_t n = 20; n <= 32; n += 4) boundary[boundaries++] = n * 64 * KIB;
    for (size_t n = 4 * MIB; n <= 16 * MIB; n += 4 * MIB) boundary[boundaries++] = n;
    boundary[boundaries++] = 32 * MIB;
    boundary[boundaries++] = 64 * MIB;
    while (boundaries && boundary[boundaries - 1] > limit) boundaries--;
}

// ---- Contents ----------------------------------------------------------------------------------
// A painted block holds words that follow from its tag and their position. Up to DENSE every byte
// is painted; beyond it the first word of every 4 KiB, and the last 64 bytes.

#define DENSE (16 * KIB)
#define EDGE ((size_t)64)

static inline uint64_t hue(uint64_t tag, size_t offset) {
    return (tag + 1) * 0x9FB21C651E98DF25u ^ (offset + 1) * 0xD6E8FEB86659FD93u;
}

/// Paints or compares the bytes from `from` to `to`; false when one differs.
static inline bool brush(unsigned char *p, size_t from, size_t to, uint64_t tag, bool compare) {
    for (size_t i = from; i < to; i += 8) {
        uint64_t word = hue(tag, i);
        size_t n = to - i < 8 ? to - i : 8;
        if (!compare) memcpy(p + i, &word, n);
        else if (memcmp(p + i, &word, n) != 0) return false;
    }
    return true;
}
static inline bool brush_prefix(void *p, size_t n, uint64_t tag, bool compare) {
    if (!brush(p, 0, n < DENSE ? n : DENSE, tag, compare)) return false;
    for (size_t i = DENSE; i + 8 <= n; i += 4 * KIB) {
        if (!brush(p, i, i + 8, tag, compare)) return false;
    }
    return true;
}
static inline size_t edge(size_t n) { return (n - EDGE) & ~(size_t)7; }

UNUSED void paint(void *p, size_t n, uint64_t tag) {
    brush_prefix(p, n, tag, false);
    if (n > DENSE + EDGE) brush(p, edge(n), n, tag, false);
}
/// Whether the first `n` bytes are as when at least that many were painted (after a realloc).
UNUSED bool prefix_painted(void *p, size_t n, uint64_t tag) {
    return brush_prefix(p, n, tag, true);
}
/// Whether the block is as `paint(p, n, tag)` left it.
UNUSED bool painted(void *p, size_t n, uint64_t tag) {
    return brush_prefix(p, n, tag, true) && (n <= DENSE + EDGE || brush(p, edge(n), n, tag, true));
}
UNUSED bool all_zero(const void *p, size_t n) {
    const unsigned char *bytes = p;
    while (n && (uintptr_t)bytes % 8) {
        if (*bytes++) return false;
        n--;
    }
    for (; n >= 8; bytes += 8, n -= 8) {
        if (*(const uint64_t *)bytes) return false;
    }
    while (n--) {
        if (*bytes++) return false;
    }
    return true;
}

static inline bool is_aligned(const void *p, size_t alignment) {
    return (uintptr_t)p % alignment == 0;
}

// ---- Memory, as the kernel counts it -----------------------------------------------------------

/// A line "Name:   N kB" of a file of /proc/self, in bytes, without allocating.
UNUSED size_t proc_value(const char *file, const char *name) {
    char text[4096];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "%s: %s", file, strerror(errno));
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(n > 0, "%s: read gave %zd", file, n);
    text[n] = 0;
    const char *line = strstr(text, name);
    CHECK(line, "%s has no line %s", file, name);
    size_t value = 0;
    for (line += strlen(name); *line && (*line < '0' || *line > '9');) line++;
    for (; *line >= '0' && *line <= '9'; line++) value = value * 10 + (size_t)(*line - '0');
    return value * KIB;
}
UNUSED size_t resident(void) { return proc_value("/proc/self/status", "VmRSS:"); }
UNUSED size_t resident_peak(void) { return proc_value("/proc/self/status", "VmHWM:"); }
UNUSED size_t address_space(void) { return proc_value("/proc/self/status", "VmSize:"); }
static inline double in_mib(size_t bytes) { return (double)bytes / (double)MIB; }
/// How much more than `before` it is now; less counts as nothing.
static inline size_t growth(size_t before, size_t now) { return now > before ? now - before : 0; }

// ---- Time, threads, children -------------------------------------------------------------------

/// Seconds on a clock that only goes forward.
UNUSED double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

UNUSED pthread_t start_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, argument);
    CHECK(error == 0, "pthread_create: %s", strerror(error));
    return thread;
}
UNUSED void *join_thread(pthread_t thread) {
    void *result;
    int error = pthread_join(thread, &result);
    CHECK(error == 0, "pthread_join: %s", strerror(error));
    return result;
}
/// Runs `body(0)` to `body(n - 1)`, each in a thread of its own, and waits for all of them.
UNUSED void run_threads(size_t n, void *(*body)(void *)) {
    pthread_t threads[n];
    for (size_t i = 0; i < n; i++) threads[i] = start_thread(body, (void *)i);
    for (size_t i = 0; i < n; i++) join_thread(threads[i]);
}

/// Waits for a child, which must end by itself with status 0; `when` says what it was doing.
UNUSED void await_child(pid_t child, const char *when) {
    int status;
    pid_t got;
    do got = waitpid(child, &status, 0);
    while (got < 0 && errno == EINTR);
    CHECK(got == child, "%s: waitpid gave %d: %s", when, (int)got, strerror(errno));
    CHECK(!WIFSIGNALED(status), "%s: child killed by signal %d%s", when, WTERMSIG(status),
          WTERMSIG(status) == SIGALRM ? " (its alarm: it was stuck)" : "");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: child ended with status %#x", when,
          (unsigned)status);
}
