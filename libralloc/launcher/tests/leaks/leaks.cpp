// Leaves blocks behind that `new` has made.
#include <cstdint>
#include <cstring>
#include <new>
#include <string>

namespace farm {
struct Cow {
    std::string name;
    ~Cow() {}
};
Cow *herd;
__attribute__((noinline)) std::uintptr_t grow(std::size_t count) { return ~reinterpret_cast<std::uintptr_t>(new int[count]); }
__attribute__((noinline)) std::uintptr_t build() {
    return ~reinterpret_cast<std::uintptr_t>(new (std::align_val_t(256)) char[640]);
}
/// In front of an array whose elements are destroyed stands how many there are: the program's pointer leads into the block.
__attribute__((noinline)) void buy() { herd = new Cow[10]; }
__attribute__((noinline)) std::uintptr_t forget() { return ~reinterpret_cast<std::uintptr_t>(new Cow[20]); }
} // namespace farm

int main() {
    farm::grow(25);
    farm::build();
    farm::buy();
    farm::forget();
    volatile char room[1 << 15];
    std::memset(const_cast<char *>(room), 0, sizeof room);
}
