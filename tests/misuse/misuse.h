// What the programs of misuse share. A program is wrong in exactly one way; run as
//
//     PROGRAM VARIANT SIZE THREAD [control]
//
// it does that one thing to a block of that size, gives the allocator an ordinary program's occasions to notice, says
// "end: unnoticed" and ends with status 0. With `control` it does all but the one thing, and says "end: control".
// It says "block 0x..." before the one thing, so that an address in a fatal line can be compared.
#pragma once
#include "../c/common.h"
#include <dlfcn.h>
#include <inttypes.h>

/// In bytes, and such that every allocator has a few bytes more than was asked for.
static size_t size;
/// How many blocks of this size make ordinary traffic.
static size_t crowd;
/// What is to be done to the block; each program has its own.
static const char *variant;
/// False in the control.
static bool wrong;
/// Who does what: `same`: one thread does all; `other`: another does what is wrong; `remote`: another frees.
static const char *thread;

static const struct {
    const char *name;
    size_t size, crowd;
} sizes[] = {
    {"small", 101, 8192}, {"medium", 5001, 1024}, {"large", 300001, 48}, {"huge", 5000001, 6}, {"none", 101, 8192},
};

__attribute__((format(printf, 1, 2))) UNUSED void say(const char *format, ...) {
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (write(STDOUT_FILENO, text, (size_t)length) != length) _exit(3);
}

__attribute__((noreturn)) UNUSED void end(const char *how) {
    say("end: %s\n", wrong ? how : "control");
    _exit(0);
}

/// This allocator has no such function, or never does what the bug needs.
__attribute__((noreturn)) UNUSED void not_applicable(void) {
    say("end: not applicable\n");
    _exit(0);
}

/// The pointer that is going to be misused.
UNUSED void *announce(void *block) {
    say("block %p\n", block);
    return block;
}

static bool is(const char *text, const char *word) { return strcmp(text, word) == 0; }

/// A block that is used as a program uses one: all of it is written.
UNUSED char *fresh_of(size_t bytes) {
    char *block = malloc(bytes);
    CHECK(block, "no memory");
    memset(block, 'b', bytes);
    return block;
}
UNUSED char *fresh(void) { return fresh_of(size); }

struct errand {
    void (*run)(void *);
    void *what;
};

static void *run_errand(void *given) {
    struct errand *errand = given;
    errand->run(errand->what);
    return NULL;
}

/// Calls `run(what)` in a thread that comes for it and goes.
UNUSED void in_a_thread(void (*run)(void *), void *what) {
    struct errand errand = {run, what};
    join_thread(start_thread(run_errand, &errand));
}

/// Does what is wrong, in this thread or in another.
UNUSED void commit(void (*run)(void *), void *what) {
    if (!wrong) return;
    if (is(thread, "same")) run(what);
    else in_a_thread(run, what);
}

static void free_it(void *block) { free(block); }

/// Frees as an innocent does, in this thread or in another.
UNUSED void release(void *block) {
    if (is(thread, "remote")) in_a_thread(free_it, block);
    else free(block);
}

/// What an ordinary program does next: it allocates, writes, and frees, more than any quarantine of blocks holds.
UNUSED void traffic_of(size_t bytes, size_t count) {
    static void *blocks[8192];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) {
            blocks[i] = malloc(bytes);
            CHECK(blocks[i], "no memory");
            *(char *)blocks[i] = 't';
            ((char *)blocks[i])[bytes - 1] = 't';
        }
        for (size_t i = 0; i < count; i++) free(blocks[i]);
    }
}
UNUSED void traffic(void) { traffic_of(size, crowd); }

static void scene(void);

int main(int count, char **words) {
    CHECK(count >= 4, "usage: %s VARIANT SIZE THREAD [control]", words[0]);
    variant = words[1];
    thread = words[3];
    wrong = count == 4;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        if (is(words[2], sizes[i].name)) size = sizes[i].size, crowd = sizes[i].crowd;
    }
    CHECK(size, "no size is called %s", words[2]);
    scene();
    end("unnoticed");
}
