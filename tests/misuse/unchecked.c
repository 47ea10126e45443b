// A malloc that notices nothing: on it every program must come to its end. Where its blocks are it knows from tables beside
// them, so no misuse of a block leads it astray; what has been freed last is handed out next, as often as it was freed.
// cflags: -shared -fPIC
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { GRANULE = 16, FREED = 1 << 18 };
#define ARENA ((size_t)1 << 34)
/// As much in front of the first block and behind the last as a loop without an end runs over.
#define MARGIN ((size_t)128 << 20)

static char *arena;
static size_t used = MARGIN;
/// By granule: the bytes of the block that begins there.
static uint32_t *sizes;
static struct {
    char *block;
    size_t bytes;
} freed[FREED];
static size_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *reserve(size_t bytes) {
    void *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return place == MAP_FAILED ? NULL : place;
}

static size_t size_of(void *block) {
    uintptr_t offset = (uintptr_t)block - (uintptr_t)arena;
    return offset < ARENA && offset % GRANULE == 0 ? sizes[offset / GRANULE] : 0;
}

static void *take(size_t alignment, size_t bytes) {
    bytes = (bytes + 2 * GRANULE - 1) / GRANULE * GRANULE;
    pthread_mutex_lock(&lock);
    if (!arena) {
        arena = reserve(ARENA);
        sizes = reserve(ARENA / GRANULE * sizeof *sizes);
    }
    char *block = NULL;
    for (size_t i = count; i-- > 0 && count - i < 64 && !block;) {
        if (freed[i].bytes == bytes && (uintptr_t)freed[i].block % alignment == 0) {
            block = freed[i].block;
            freed[i] = freed[--count];
        }
    }
    if (!block && used + bytes + alignment + MARGIN < ARENA) {
        used = (used + alignment - 1) / alignment * alignment;
        block = arena + used;
        used += bytes;
        sizes[(size_t)(block - arena) / GRANULE] = (uint32_t)bytes;
    }
    pthread_mutex_unlock(&lock);
    if (!block) errno = ENOMEM;
    return block;
}

void *malloc(size_t bytes) { return take(GRANULE, bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { return take(alignment < GRANULE ? GRANULE : alignment, bytes); }
void *memalign(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }
int posix_memalign(void **place, size_t alignment, size_t bytes) {
    *place = aligned_alloc(alignment, bytes);
    return *place ? 0 : ENOMEM;
}
size_t malloc_usable_size(void *block) { return block ? size_of(block) : 0; }

void free(void *block) {
    if (!block) return;
    pthread_mutex_lock(&lock);
    if (count < FREED && size_of(block)) {
        freed[count].block = block;
        freed[count++].bytes = size_of(block);
    }
    pthread_mutex_unlock(&lock);
}
void free_sized(void *block, size_t bytes) { (void)bytes, free(block); }
void free_aligned_sized(void *block, size_t alignment, size_t bytes) { (void)alignment, (void)bytes, free(block); }

void *calloc(size_t number, size_t bytes) {
    if (bytes && number > SIZE_MAX / bytes) return NULL;
    void *block = malloc(number * bytes);
    return block ? memset(block, 0, number * bytes) : NULL;
}
void *realloc(void *block, size_t bytes) {
    void *moved = malloc(bytes);
    if (!moved || !block) return moved;
    size_t had = size_of(block);
    memcpy(moved, block, had < bytes ? had : bytes);
    free(block);
    return moved;
}
