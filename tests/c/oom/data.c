// clause: POSIX setrlimit | RLIMIT_DATA: null and ENOMEM at the limit
// clause: life | RLIMIT_DATA
// skip: qemu -- limits are those of the emulator
// The data segment is limited (ulimit -d), which today counts all private writable memory.
#include "exhaust.h"

int main(void) {
    limit_memory(RLIMIT_DATA, proc_value("/proc/self/status", "VmData:"), ALLOWANCE);
    exhaust_each_kind();
    exhaust_mixture();
}
