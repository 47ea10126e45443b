// clause: C++ 17.6.4.1 | std::bad_alloc for what cannot be had, a null pointer from the nothrow forms
// clause: C++ 17.6.4.2 | std::bad_array_new_length for arrays that cannot be
// skip: 32-bit -- half of the address space may be free
// skip: qemu -- it ends at the address space that it made up
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)
template <class E, class F> static bool throws(F f) {
    try { f(); } catch (const E &) { return true; }
    return false;
}
static std::size_t opaque(std::size_t n) { __asm__ volatile("" : "+r"(n)); return n; }

int main() {
    for (int round = 0; round < 1000; round++) {
        std::size_t huge = opaque(PTRDIFF_MAX);
        CHECK(throws<std::bad_alloc>([&] { ::operator delete(::operator new(huge - 4096)); }));
        CHECK(throws<std::bad_alloc>([&] { ::operator delete(::operator new(opaque(SIZE_MAX))); }));
        CHECK(throws<std::bad_alloc>([&] { ::operator delete(::operator new(huge - 4096, std::align_val_t(4096))); }));
        CHECK(throws<std::bad_array_new_length>([&] { delete[] new long[huge / 2]; }));
        CHECK(!::operator new(huge - 4096, std::nothrow));
        CHECK(!::operator new(huge - 4096, std::align_val_t(64), std::nothrow));
        CHECK(throws<std::length_error>([&] { std::vector<long>().reserve(opaque(SIZE_MAX)); }));
        CHECK(throws<std::bad_alloc>([&] { std::string s; s.reserve(huge - 100); }));
        std::vector<int> fine(1000, round);
        CHECK(fine[999] == round);
    }
}
