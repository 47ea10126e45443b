// Frees a block a second time.
// case: at-once after-neighbour of-the-dead aligned after-realloc | small medium | same other remote | double free | -
// case: at-once after-neighbour of-the-dead aligned after-realloc | large | same other remote | double free | invalid free
// case: at-once after-neighbour of-the-dead aligned after-realloc | huge | same other remote | double free / invalid free | invalid free
// Another may have the block by then.
// case: after-traffic | small medium | same other remote | double free / invalid free / interior pointer / unnoticed | -
// The chunk of a large block may have gone by then: in the default build that ends the program, with or without a line.
// case: after-traffic | large | same other remote | double free / invalid free | -
// case: after-traffic | huge | same other remote | double free / invalid free | invalid free
// case: together | small medium | same | double free | -
// case: together | large huge | same | double free / invalid free | invalid free
#include "misuse.h"

static void at_once(void) {
    char *before = fresh(), *block = fresh(), *behind = fresh();
    announce(block);
    release(block);
    commit(free_it, block);
    traffic();
    free(before);
    free(behind);
}

/// The block beside it is in use again when it is freed the second time.
static void after_neighbour(void) {
    enum { MOST = 64 };
    for (int attempt = 0; attempt < 200; attempt++) {
        char *one = fresh(), *two = fresh(), *held[MOST];
        // Which of the two is handed out first is the allocator's affair.
        char *block = attempt % 2 ? one : two, *neighbour = attempt % 2 ? two : one;
        release(attempt % 4 < 2 ? block : neighbour);
        release(attempt % 4 < 2 ? neighbour : block);
        bool reused = false, back = false;
        size_t count = 0;
        while (count < (crowd < MOST ? crowd : MOST) && !reused && !back) {
            held[count] = malloc(size);
            back = held[count] == block;
            reused = held[count++] == neighbour;
        }
        if (!back) {
            announce(block);
            commit(free_it, block);
            traffic();
            return;
        }
        while (count) free(held[--count]);
    }
    not_applicable();
}

/// Much has happened in between, and has been freed again.
static void after_traffic(void) {
    char *block = announce(fresh());
    release(block);
    traffic_of(24, 8192);
    traffic();
    traffic_of(20 * KIB, 256);
    commit(free_it, block);
    traffic();
}

static pthread_barrier_t barrier;

static void *free_together(void *block) {
    pthread_barrier_wait(&barrier);
    free(block);
    return NULL;
}

/// Two threads free it at the same moment.
static void together(void) {
    char *block = announce(fresh());
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_t thread = start_thread(free_together, block);
    pthread_barrier_wait(&barrier);
    if (wrong) free(block);
    join_thread(thread);
    traffic();
}

static void take(void *place) { *(char **)place = fresh(); }

/// The thread that has allocated it is gone.
static void of_the_dead(void) {
    char *block;
    in_a_thread(take, &block);
    announce(block);
    release(block);
    commit(free_it, block);
    traffic();
}

static void aligned(void) {
    char *block = aligned_alloc(size < 4096 ? 64 : 8192, size);
    CHECK(block, "no memory");
    announce(block);
    release(block);
    commit(free_it, block);
    traffic();
}

/// realloc has moved the block, and with it freed it.
static void after_realloc(void) {
    char *block = fresh(), *behind = fresh(), *moved = block;
    for (size_t larger = 3 * size; larger < 600 * size && larger < GIB; larger *= 2) {
        moved = realloc(block, larger);
        CHECK(moved, "no memory");
        if (moved != block) break;
        block = moved;
    }
    if (moved == block) not_applicable();
    announce(block);
    commit(free_it, block);
    traffic();
    free(moved);
    free(behind);
}

static void scene(void) {
    if (is(variant, "at-once")) at_once();
    else if (is(variant, "after-neighbour")) after_neighbour();
    else if (is(variant, "after-traffic")) after_traffic();
    else if (is(variant, "together")) together();
    else if (is(variant, "of-the-dead")) of_the_dead();
    else if (is(variant, "aligned")) aligned();
    else if (is(variant, "after-realloc")) after_realloc();
    else CHECK(false, "no variant %s", variant);
}
