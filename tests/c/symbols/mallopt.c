// clause: glibc 3.2.3.7 | mallopt: tunable parameters
// skip: musl -- its headers declare none of it
// mallopt does what it says it has done: the trim threshold is the memory that is kept, and nothing else is promised.
// control: skip -- this libc promises more
// skip: musl -- its headers know nothing of it
// skip: qemu -- what is resident is the emulator's
#include "../common.h"

static size_t left_after(size_t size, size_t count) {
    static void *block[1000];
    malloc_trim(0);
    size_t before = resident();
    for (size_t i = 0; i < count; i++) memset(block[i] = malloc(size), 1, size);
    for (size_t i = 0; i < count; i++) free(block[i]);
    return growth(before, resident());
}

int main(void) {
    left_after(100 * KIB, 100);
    CHECK(left_after(100 * KIB, 60) > 4 * MIB, "by default some MiB are kept");
    CHECK(mallopt(M_TRIM_THRESHOLD, 0) == 1, "the threshold was refused");
    CHECK(left_after(100 * KIB, 60) < MIB, "%.1f MiB are kept", in_mib(left_after(100 * KIB, 60)));
    CHECK(mallopt(M_TRIM_THRESHOLD, 2 * MIB) == 1, "the threshold was refused");
    CHECK(left_after(100 * KIB, 600) < 4 * MIB, "%.1f MiB are kept", in_mib(left_after(100 * KIB, 600)));
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 1, "the threshold was refused");
    CHECK(left_after(100 * KIB, 600) > 50 * MIB, "%.1f MiB are kept", in_mib(left_after(100 * KIB, 600)));
    int others[] = {M_MXFAST, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION, M_PERTURB, M_ARENA_TEST, M_ARENA_MAX, 12345};
    for (size_t i = 0; i < COUNT(others); i++) CHECK(mallopt(others[i], 1) == 0, "%d was promised", others[i]);
}
