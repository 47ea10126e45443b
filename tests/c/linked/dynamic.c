// clause: link libralloc.a | takes over the whole family in a dynamic program
// link: static
// skip: static -- the next one is
// skip: qemu -- a fork of the emulator while it has threads may hang by itself
#include "takes_over.h"
