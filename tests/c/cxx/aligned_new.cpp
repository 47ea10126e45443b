// clause: C++ 17.6.3.2 | operator new with std::align_val_t: over-aligned types of every alignment, alone and in arrays
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

template <std::size_t A> struct alignas(A) Wide { char room[A / 2 + 1]; };

template <std::size_t A> static void of() {
    std::vector<std::unique_ptr<Wide<A>>> single;
    for (int i = 0; i < 20; i++) {
        single.push_back(std::make_unique<Wide<A>>());
        CHECK(reinterpret_cast<std::uintptr_t>(single.back().get()) % A == 0);
    }
    std::vector<Wide<A>> many;
    for (int i = 0; i < 40; i++) {
        many.emplace_back();
        CHECK(reinterpret_cast<std::uintptr_t>(many.data()) % A == 0);
    }
    auto array = std::make_unique<Wide<A>[]>(7);
    CHECK(reinterpret_cast<std::uintptr_t>(&array[3]) % A == 0);
    void *raw = ::operator new(3, std::align_val_t(A), std::nothrow);
    CHECK(raw && reinterpret_cast<std::uintptr_t>(raw) % A == 0);
    ::operator delete(raw, std::align_val_t(A), std::nothrow);
    raw = ::operator new[](100, std::align_val_t(A));
    ::operator delete[](raw, 100, std::align_val_t(A));
}

int main() {
    of<1>(), of<2>(), of<8>(), of<16>(), of<32>(), of<64>(), of<128>(), of<512>(), of<4096>(), of<65536>(), of<1048576>();
}
