// What the C++ programs here share: an expectation that fails ends the program with status 1.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: failed: %s: ", __FILE__, __LINE__, #condition);           \
            std::fprintf(stderr, __VA_ARGS__);                                                     \
            std::fputc('\n', stderr);                                                              \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/// More than there is, in a way that the compiler does not see.
static inline std::size_t too_much() {
    static volatile std::size_t size = ~(std::size_t)0 / 2 - 4096;
    return size;
}
