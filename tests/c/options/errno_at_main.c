// When main starts, errno is 0, whatever the library has done before.
// env: RALLOC_OPTIONS=verbose,stats,purge=eager,foreign=forward
// clause: C 7.5 | errno is zero at program startup
#include "../common.h"

int main(void) { CHECK(errno == 0, "errno is %d: %s", errno, strerror(errno)); }
