// purge=never: what is freed stays until the program asks for a trim.
// env: RALLOC_OPTIONS=purge=never
// control: skip -- this libc gives it back
// skip: qemu -- what is resident is the emulator's
#include "../common.h"

int main(void) {
    static char *block[1024];
    size_t before = resident(), bytes = COUNT(block) * 200 * KIB;
    for (size_t i = 0; i < COUNT(block); i++) {
        block[i] = malloc(200 * KIB);
        memset(block[i], 1, 200 * KIB);
    }
    char *huge = malloc(100 * MIB);
    memset(huge, 1, 100 * MIB);
    for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
    free(huge);
    size_t kept = growth(before, resident());
    CHECK(kept > bytes, "%.1f of %.1f MiB were given back", in_mib(bytes + 100 * MIB - kept), in_mib(bytes + 100 * MIB));
    CHECK(malloc_trim(0) == 1, "nothing to trim");
    kept = growth(before, resident());
    CHECK(kept < 2 * MIB, "%.1f MiB are left after a trim", in_mib(kept));
}
