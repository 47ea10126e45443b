// clause: C++ 9.5.4 | frames of coroutines come from operator new, and are freed by another thread
// cflags: -fcoroutines
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#define CHECK(c) do { if (!(c)) { std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #c); std::exit(1); } } while (0)

struct Generator {
    struct promise_type {
        std::string value;
        Generator get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(std::string v) { value = std::move(v); return {}; }
        void return_void() {}
        void unhandled_exception() { std::abort(); }
    };
    std::coroutine_handle<promise_type> handle;
};

static Generator count(int to) {
    std::vector<std::string> kept;
    for (int i = 0; i < to; i++) {
        kept.push_back(std::string(std::size_t(i * 37 % 900), 'k'));
        co_yield std::to_string(kept.size());
    }
}

int main() {
    for (int round = 0; round < 20; round++) {
        std::vector<Generator> all;
        for (int i = 0; i < 500; i++) all.push_back(count(i % 20));
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; t++)
            threads.emplace_back([&all, t] {
                for (std::size_t i = std::size_t(t); i < all.size(); i += 4) {
                    auto handle = all[i].handle;
                    for (int n = 1; handle.resume(), !handle.done(); n++) CHECK(handle.promise().value == std::to_string(n));
                    handle.destroy();
                }
            });
        for (auto &thread : threads) thread.join();
    }
}
