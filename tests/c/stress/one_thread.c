// clause: C 7.22.3 | blocks are disjoint, and live until freed
// control: skip musl -- its realloc to zero gives a block
// The oracle over one thread, seed after seed; each seed's run is the same on every machine. After a
// failure, TEST_SEED with the number that it printed goes straight there.
#include "oracle.h"

#define SLOTS 4000
#define OPERATIONS 250000
#define SECONDS 9

static struct slot slots[SLOTS];

int main(void) {
    oracle_open();
    double deadline = now() + patience(SECONDS);
    uint64_t first = seed;
    while (now() < deadline) {
        uint64_t stream = seed;
        for (size_t i = 0; i < OPERATIONS; i++) {
            // Swelling, shrinking, and a few slots only, in turn.
            size_t phase = i / 10000 % 5, appetite = phase < 2 ? 256 : phase == 2 ? 20 : 128;
            size_t some = phase == 4 ? 100 : SLOTS;
            oracle_act(&slots[below(&stream, some)], &stream, appetite);
        }
        oracle_close(slots, SLOTS, &stream);
        CHECK(held_bytes == 0, "%zu bytes held", (size_t)held_bytes);
        seed++;
    }
    fprintf(stderr, "seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)seed - 1);
}
