// timeout: 60
// control: skip -- fork of glibc takes the locks of its heaps, which the interrupted code may hold
// The same with other threads, which allocate: now a fork has somebody to wait for.
#define THREADS 3
#define FORKS 500
#include "from_signal_handler.c"
