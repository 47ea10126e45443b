// The library on Windows, as a C program meets it: under the library's own prefix, in threads, and without memory.
//
// `cargo xtask ports` links it with libralloc.a and with ralloc.dll, and runs it under wine. It prints what fails.

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "ralloc.h"

#define CHECK(what) \
    do { \
        if (!(what)) { \
            printf("line %d: %s\n", __LINE__, #what); \
            fflush(stdout); \
            ExitProcess(1); \
        } \
    } while (0)

enum { THREADS = 8, ROUNDS = 20000, SLOTS = 512 };

static uint32_t random_word(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static size_t random_size(uint32_t *state) {
    uint32_t word = random_word(state);
    switch (word % 16) {
    case 0: return word % 300000;
    case 1: return word % 40000;
    case 2: return word % 64 == 2 ? word % (8 << 20) : 0;
    default: return word % 1100;
    }
}

// A block that says in its first and last bytes what it is.
struct held {
    unsigned char *block;
    size_t size;
    unsigned char mark;
};

static void take(struct held *held, uint32_t *state) {
    held->size = random_size(state);
    held->mark = (unsigned char)random_word(state);
    held->block = ralloc_malloc(held->size);
    CHECK(held->block != NULL && (uintptr_t)held->block % 16 == 0);
    CHECK(ralloc_malloc_usable_size(held->block) >= held->size);
    if (held->size > 0) {
        held->block[0] = held->mark;
        held->block[held->size - 1] = held->mark;
    }
}

static void give_back(struct held *held) {
    if (held->block != NULL && held->size > 0) {
        CHECK(held->block[0] == held->mark && held->block[held->size - 1] == held->mark);
    }
    ralloc_free(held->block);
    held->block = NULL;
}

// What threads hand to each other: blocks are freed by whoever finds them.
static struct held *volatile shared[SLOTS];

static DWORD WINAPI churn(void *seed) {
    uint32_t state = (uint32_t)(uintptr_t)seed;
    struct held own[64] = {{0}};
    for (int round = 0; round < ROUNDS; round++) {
        struct held *held = &own[random_word(&state) % 64];
        give_back(held);
        take(held, &state);
        if (round % 4 == 0) {
            struct held *gift = ralloc_malloc(sizeof *gift);
            CHECK(gift != NULL);
            take(gift, &state);
            void *volatile *slot = (void *volatile *)&shared[random_word(&state) % SLOTS];
            struct held *found = InterlockedExchangePointer(slot, gift);
            if (found != NULL) {
                give_back(found);
                ralloc_free(found);
            }
        }
    }
    for (int i = 0; i < 64; i++) give_back(&own[i]);
    return 0;
}

static void threads(void) {
    for (int generation = 0; generation < 3; generation++) {
        HANDLE all[THREADS];
        for (int i = 0; i < THREADS; i++) {
            all[i] = CreateThread(NULL, 0, churn, (void *)(uintptr_t)(i + 1 + 100 * generation), 0, NULL);
            CHECK(all[i] != NULL);
        }
        CHECK(WaitForMultipleObjects(THREADS, all, TRUE, 300000) == WAIT_OBJECT_0);
        for (int i = 0; i < THREADS; i++) CloseHandle(all[i]);
    }
    for (int i = 0; i < SLOTS; i++) {
        if (shared[i] != NULL) {
            give_back(shared[i]);
            ralloc_free(shared[i]);
        }
    }
}

static DWORD WINAPI leave(void *blocks) {
    void **all = blocks;
    for (int i = 0; i < 1000; i++) CHECK((all[i] = ralloc_malloc(1000)) != NULL);
    return 0;
}

// What threads have left is used again: a thousand of them, one after the other, need the memory of one.
static void thread_exit(void) {
    size_t before = 0;
    for (int i = 0; i < 200; i++) {
        void *blocks[1000];
        HANDLE thread = CreateThread(NULL, 0, leave, blocks, 0, NULL);
        CHECK(thread != NULL && WaitForSingleObject(thread, 60000) == WAIT_OBJECT_0);
        CloseHandle(thread);
        for (int j = 0; j < 1000; j++) ralloc_free(blocks[j]);
        if (i == 20) before = ralloc_mallinfo2().arena;
    }
    CHECK(ralloc_mallinfo2().arena <= before + (8 << 20));
}

static void exhaustion(void) {
    errno = 0;
    CHECK(ralloc_malloc(SIZE_MAX / 2) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(ralloc_malloc((size_t)1 << 47) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(ralloc_calloc(SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
    char *block = ralloc_malloc(100);
    strcpy(block, "kept");
    CHECK(ralloc_realloc(block, SIZE_MAX / 2) == NULL && strcmp(block, "kept") == 0);
    ralloc_free(block);
    errno = 77;
    ralloc_free(ralloc_malloc(10));
    CHECK(errno == 77);
    // There is no program break.
    errno = 0;
    CHECK(ralloc_sbrk(4096) == (void *)-1 && errno == ENOMEM);
}

static int is_zero(const unsigned char *block, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (block[i] != 0) return 0;
    }
    return 1;
}

static void contents(void) {
    for (int i = 0; i < 20; i++) {
        size_t size = (size_t)3 << 20;
        unsigned char *block = ralloc_calloc(1, size);
        CHECK(block != NULL && is_zero(block, size));
        memset(block, 7, size);
        block = ralloc_realloc(block, 2 * size);
        CHECK(block != NULL && block[0] == 7 && block[size - 1] == 7);
        block = ralloc_realloc(block, 1000);
        CHECK(block != NULL && block[0] == 7 && block[999] == 7);
        ralloc_free(block);
        unsigned char *run = ralloc_malloc(500000);
        memset(run, 9, 500000);
        ralloc_free(run);
        CHECK(ralloc_malloc_trim(0) == 0 || ralloc_malloc_trim(0) <= 1);
        run = ralloc_calloc(1, 500000);
        CHECK(is_zero(run, 500000));
        ralloc_free(run);
    }
    for (size_t align = 16; align <= (4 << 20); align *= 2) {
        void *block = ralloc_aligned_alloc(align, 100);
        CHECK(block != NULL && (uintptr_t)block % align == 0);
        ralloc_free(block);
    }
}

int main(void) {
    contents();
    exhaustion();
    thread_exit();
    threads();
    printf("all is well: %d threads\n", THREADS * 3);
    return 0;
}
