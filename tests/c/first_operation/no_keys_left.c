// clause: life | a program that has taken every key for thread-specific data
// skip: qemu -- a thousand keys for each of many threads take minutes there
// The program has taken every key for thread-specific data before the library could have one. It may
// then miss the end of threads, and keep more than it would, but it works.
#include "../common.h"

static void take_all_keys(void) {
    pthread_key_t key;
    while (pthread_key_create(&key, NULL) == 0) {}
}
__attribute__((section(".preinit_array"), used)) static void (*take_all_keys_entry)(void) = take_all_keys;

static void *from_before[100];

static void *thread(void *number) {
    for (size_t i = 0; i < COUNT(from_before); i++) {
        if (from_before[i]) CHECK(painted(from_before[i], i * 20 + 1, i), "block %zu", i);
        free(from_before[i]);
        from_before[i] = malloc(i * 20 + 1);
        CHECK(from_before[i], "malloc");
        paint(from_before[i], i * 20 + 1, i);
    }
    return number;
}

int main(void) {
    size_t before = resident();
    for (size_t i = 0; i < 500; i++) join_thread(start_thread(thread, (void *)i));
    fprintf(stderr, "500 threads later: %.1f MiB\n", in_mib(growth(before, resident())));
    CHECK(growth(before, resident()) < 500 * MIB, "a megabyte and more per thread");
}
