// clause: POSIX setrlimit | RLIMIT_AS: null and ENOMEM at the limit
// clause: life | RLIMIT_AS
// skip: qemu -- limits are those of the emulator
// The address space is limited (ulimit -v): exhaustion of each kind, then of a mixture.
#include "exhaust.h"

int main(void) {
    limit_memory(RLIMIT_AS, address_space(), ALLOWANCE);
    exhaust_each_kind();
    exhaust_mixture();
}
