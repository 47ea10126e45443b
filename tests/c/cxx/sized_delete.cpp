// clause: C++ 17.6.3.2 | sized delete, with the size that new was given; of complete types the compiler calls it
// cflags: -fsized-deallocation
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

template <int N> struct Sized { char room[N]; };

template <int N> static void of() {
    std::vector<Sized<N> *> all;
    for (int i = 0; i < 200; i++) all.push_back(new Sized<N>{{char(i)}});
    for (int i = 0; i < 200; i++) CHECK(all[std::size_t(i)]->room[0] == char(i));
    std::thread([&] { for (std::size_t i = 0; i < 200; i += 2) delete all[i]; }).join();
    for (std::size_t i = 1; i < 200; i += 2) delete all[i];
}

int main() {
    for (int round = 0; round < 20; round++) of<1>(), of<16>(), of<24>(), of<100>(), of<1024>(), of<1025>(), of<40000>(), of<300000>();
    for (std::size_t n = 0; n < 100000; n = n * 2 + 1) ::operator delete(::operator new(n), n), ::operator delete[](::operator new[](n), n);
}
