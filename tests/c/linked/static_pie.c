// clause: link -static-pie | libralloc.a takes over the whole family in a program that is loaded anywhere
// skip: i686 -- without the library it crashes in the start-up code of this cross compiler
// link: static
// cflags: -static-pie
// skip: musl -- old wrappers of the compiler cannot
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
// skip: static -- static in another way
#include "takes_over.h"
