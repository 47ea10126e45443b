// clause: life | fork while other threads write to their heaps
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// The kernel copies a process page by page while the other threads go on: what they were writing is in
// the child partly old and partly new, free lists included. Blocks that they made long before, on the
// same pages, are sound, and so must be whatever the child allocates: by itself, and in new threads.
#include "../territory.h"

#define THREADS 4
#define BLOCKS 3000
#define SECONDS 8

struct item { void *block; size_t size; };

static struct item settled[THREADS][BLOCKS];
static pthread_barrier_t barrier;
static atomic_bool stop;

static size_t a_size(uint64_t *stream) {
    return below(stream, 8) ? 16 * between(stream, 1, 20) : between(stream, 1 * KIB, 6 * KIB);
}

static void *work(void *number) {
    size_t me = (size_t)number;
    uint64_t stream = seed + me;
    static __thread void *restless[BLOCKS];
    // One settled, one restless, in turn, so that they share pages.
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = a_size(&stream);
        settled[me][i] = (struct item){malloc(n), n};
        restless[i] = malloc(n);
        CHECK(settled[me][i].block && restless[i], "malloc(%zu)", n);
        paint(settled[me][i].block, n, me * BLOCKS + i);
    }
    pthread_barrier_wait(&barrier);
    while (!stop) {
        // Long bursts of one kind, so that pages are emptied, closed, opened and extended.
        size_t from = below(&stream, BLOCKS), n = between(&stream, 1, 300), size = a_size(&stream);
        for (size_t i = 0; i < n; i++) free(restless[(from + i) % BLOCKS]), restless[(from + i) % BLOCKS] = NULL;
        for (size_t i = 0; i < n; i++) {
            void *p = malloc(size);
            CHECK(p, "malloc(%zu)", size);
            memset(p, 0x77, size);
            restless[(from + i) % BLOCKS] = p;
        }
    }
    for (size_t i = 0; i < BLOCKS; i++) free(restless[i]);
    return NULL;
}

static void allocate_in_child(uint64_t stream) {
    static __thread struct item mine[2000];
    for (size_t i = 0; i < 2 * COUNT(mine); i++) {
        struct item *m = &mine[below(&stream, COUNT(mine))];
        if (m->block) {
            CHECK(painted(m->block, m->size, 5), "the child's block of %zu", m->size);
            DISCLAIM(m->block, m->size);
            free(m->block);
        }
        m->size = a_size(&stream);
        m->block = malloc(m->size);
        CHECK(m->block, "malloc(%zu)", m->size);
        CLAIM(m->block, m->size);
        paint(m->block, m->size, 5);
    }
}
static void *thread_of_child(void *number) {
    allocate_in_child(seed * 31 + (size_t)number);
    return NULL;
}

static void child_life(uint64_t stream) {
    alarm(60);
    for (size_t t = 0; t < THREADS; t++) {
        for (size_t i = 0; i < BLOCKS; i++) CLAIM(settled[t][i].block, settled[t][i].size);
    }
    // Half of the settled blocks go, and their pages are used again.
    for (int half = 0; half < 2; half++) {
        for (size_t t = 0; t < THREADS; t++) {
            for (size_t i = half; i < BLOCKS; i += 2) {
                struct item *s = &settled[t][i];
                CHECK(painted(s->block, s->size, t * BLOCKS + i), "block %zu of thread %zu", i, t);
                DISCLAIM(s->block, s->size);
                free(s->block);
            }
        }
        allocate_in_child(stream);
        run_threads(2, thread_of_child);
    }
    _exit(0);
}

int main(void) {
    territory_open();
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0, "pthread_barrier_init");
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) threads[i] = start_thread(work, (void *)i);
    pthread_barrier_wait(&barrier);
    double deadline = now() + patience(SECONDS);
    uint64_t forks = 0;
    for (; now() < deadline; forks++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) child_life(seed * 1000 + forks);
        await_child(child, "a child of restless threads");
    }
    stop = true;
    fprintf(stderr, "%d forks\n", (int)forks);
    for (size_t i = 0; i < THREADS; i++) join_thread(threads[i]);
}
