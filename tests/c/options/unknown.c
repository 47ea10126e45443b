// Options that do not exist are named in one line, and the others hold.
// env: RALLOC_OPTIONS=nonsense,,purge=never,purge=sometimes,verbose
// control: skip -- nobody else reads them
// stderr: ralloc: unknown option: nonsense, purge=sometimes (there are stats, verbose, purge=normal,
// stderr: : options nonsense, purge=never, purge=sometimes, verbose
// clause: life | an option that does not exist is named once
#include "../common.h"

int main(void) {
    char *p = malloc(20 * MIB);
    memset(p, 1, 20 * MIB);
    size_t before = resident();
    free(p);
    CHECK(growth(resident(), before) < MIB, "purge=never does not hold");
}
