// clause: life | fork in a signal handler that interrupted malloc, with threads
// skip: qemu -- it does not fork in the middle of anything
// timeout: 60
// control: skip -- fork of glibc takes the locks of its heaps, which the interrupted code may hold
// The same with other threads, which allocate, and free what the interrupted thread has allocated: now a
// fork has somebody to wait for, and something to find in the interrupted thread's mail.
#define THREADS 3
#define FORKS 1000
#include "from_signal_handler.c"
