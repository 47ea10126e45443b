// A program in C++ on ralloc: containers by operator new, which is ralloc's, and a failure that is caught.
//
//     c++ hello.cpp $(pkg-config --cflags --libs ralloc) -o hello
#include <iostream>
#include <new>
#include <ralloc.h>
#include <string>
#include <vector>

int main() {
    std::vector<std::string> words{"Hello", "allocator, which is not small enough to be part of a string"};
    auto before = ralloc_mallinfo2();
    std::vector<char> large(3 << 20);
    auto after = ralloc_mallinfo2();
    std::cout << words[0] << ": " << after.hblks - before.hblks << " huge block\n";
    try {
        words.emplace_back(std::string().max_size(), 'x');
    } catch (const std::bad_alloc &error) {
        std::cout << error.what() << '\n';
        return 0;
    }
    return 1;
}
