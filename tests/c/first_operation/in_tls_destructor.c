// clause: POSIX pthread_key_create | destructors allocate and free, in every round
// clause: life | destructors of dying threads
// skip: musl -- it has another number of rounds of destructors
// skip: qemu -- what is resident is the emulator's
// A dying thread allocates and frees in the destructors of its thread-specific data, in each of
// their rounds, so also after the allocator's own farewell, wherever that happens to come. And
// libc frees the thread's own leftovers (its strerror text) later still.
#include "../common.h"

#define THREADS 600
#define BLOCKS 32

static pthread_key_t before, after;
static atomic_size_t rounds;

struct luggage {
    void *block[BLOCKS];
    int rounds_left;
};

static size_t size_of(size_t i) { return (i + 1) * (i + 1) * 17; }

static void fill(struct luggage *l) {
    for (size_t i = 0; i < BLOCKS; i++) {
        l->block[i] = i % 2 ? malloc(size_of(i)) : calloc(1, size_of(i));
        CHECK(l->block[i], "block %zu", i);
        paint(l->block[i], size_of(i), i);
    }
}
static void empty(struct luggage *l) {
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK(painted(l->block[i], size_of(i), i), "block %zu", i);
        free(l->block[i]);
    }
}

static void again(pthread_key_t key, struct luggage *l) {
    atomic_fetch_add(&rounds, 1);
    empty(l);
    void *large = malloc(200 * KIB);
    CHECK(large, "large block");
    if (--l->rounds_left == 0) {
        free(l);
    } else {
        fill(l);
        // Set again: the destructor is called once more, in the next round.
        CHECK(pthread_setspecific(key, l) == 0, "pthread_setspecific");
    }
    free(large);
}
static void destroy_before(void *l) { again(before, l); }
static void destroy_after(void *l) { again(after, l); }

static struct luggage *pack(void) {
    struct luggage *l = malloc(sizeof *l);
    CHECK(l, "luggage");
    l->rounds_left = PTHREAD_DESTRUCTOR_ITERATIONS;
    fill(l);
    return l;
}

static void *thread(void *number) {
    // libc keeps this text for the thread and frees it after all destructors.
    if ((size_t)number % 2) {
        CHECK(*strerror(70000 + (int)(size_t)number), "strerror");
    }
    CHECK(pthread_setspecific(before, pack()) == 0, "pthread_setspecific");
    CHECK(pthread_setspecific(after, pack()) == 0, "pthread_setspecific");
    return NULL;
}

static void first_call(void *unused) {
    (void)unused;
    void *p = malloc(100);
    CHECK(p, "malloc as the first call of a thread, in its destructor");
    free(p);
}
static pthread_key_t lazy;
static void *silent_thread(void *unused) {
    (void)unused;
    pthread_setspecific(lazy, &lazy);
    return NULL;
}

/// Runs before the constructors of all libraries, so that this key is below any of theirs.
static void first_key(void) {
    CHECK(pthread_key_create(&before, destroy_before) == 0, "pthread_key_create");
}
__attribute__((section(".preinit_array"), used)) static void (*first_key_entry)(void) = first_key;

int main(void) {
    free(malloc(1));
    // Above it.
    CHECK(pthread_key_create(&after, destroy_after) == 0, "pthread_key_create");
    CHECK(pthread_key_create(&lazy, first_call) == 0, "pthread_key_create");
    size_t start = 0;
    for (size_t i = 0; i < THREADS; i += 4) {
        pthread_t threads[4];
        for (size_t k = 0; k < 4; k++) threads[k] = start_thread(thread, (void *)(i + k));
        for (size_t k = 0; k < 4; k++) join_thread(threads[k]);
        if (i == 200) start = resident();
    }
    CHECK(rounds == 2 * THREADS * PTHREAD_DESTRUCTOR_ITERATIONS, "%zu rounds", (size_t)rounds);
    CHECK(growth(start, resident()) < 8 * MIB, "dying threads left %.1f MiB",
          in_mib(growth(start, resident())));
    for (int i = 0; i < 100; i++) join_thread(start_thread(silent_thread, NULL));
}
