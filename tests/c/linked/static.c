// clause: link -static | libralloc.a takes over the whole family, without a symbol defined twice
// link: static
// cflags: -static
// skip: musl-dynamic -- it is run by the machine musl-static
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
#include "takes_over.h"
