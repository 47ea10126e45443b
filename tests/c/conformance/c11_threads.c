// clause: C 7.26.5 | threads of the C standard allocate, and hand their blocks on when they end
// clause: C 7.26.6 | destructors of tss_create free
// skip: musl -- thrd_create takes its own way there, and no destructor of tss_create runs for the main thread either
// thrd_create and tss_create are no pthread calls to the program; to the library it is all the same.
#include "../common.h"
#include <threads.h>

static tss_t key;
static atomic_int freed;

static void drop(void *block) {
    CHECK(painted(block, 3000, 3), "block of a thread that ends");
    free(block);
    freed++;
}

static int body(void *given) {
    void *mine = malloc(3000);
    CHECK(mine, "malloc");
    paint(mine, 3000, 3);
    CHECK(tss_set(key, mine) == thrd_success, "tss_set");
    CHECK(painted(given, 500, 5), "what main gave");
    free(given);
    return 42;
}

int main(void) {
    CHECK(tss_create(&key, drop) == thrd_success, "tss_create");
    for (int round = 0; round < 300; round++) {
        thrd_t thread[4];
        for (int i = 0; i < 4; i++) {
            void *block = malloc(500);
            paint(block, 500, 5);
            CHECK(thrd_create(&thread[i], body, block) == thrd_success, "thrd_create");
        }
        for (int i = 0; i < 4; i++) {
            int result;
            CHECK(thrd_join(thread[i], &result) == thrd_success && result == 42, "thrd_join");
        }
    }
    CHECK(freed == 1200, "%d destructors ran", freed);
}
