// clause: C 7.21.5.6 | buffers that the program gives to streams and frees after them
// clause: POSIX open_memstream | memory streams grow through every size; the block is the program's
// Streams take buffers from the program, and give it blocks.
#include "../common.h"
#include <wchar.h>

int main(void) {
    for (size_t n = 16; n <= 2 * MIB; n *= 4) {
        FILE *file = tmpfile();
        CHECK(file, "tmpfile: %s", strerror(errno));
        char *buffer = malloc(n);
        CHECK(buffer && setvbuf(file, buffer, _IOFBF, n) == 0, "setvbuf");
        for (int i = 0; i < 30000; i++) fprintf(file, "%d ", i);
        rewind(file);
        for (int i = 0, found; i < 30000; i++) {
            CHECK(fscanf(file, "%d", &found) == 1 && found == i, "%d, buffer of %zu", i, n);
        }
        fclose(file);
        free(buffer);
    }
    for (int round = 0; round < 20; round++) {
        char *text = NULL;
        wchar_t *wide = NULL;
        size_t n = 0, m = 0;
        FILE *out = open_memstream(&text, &n), *wide_out = open_wmemstream(&wide, &m);
        CHECK(out && wide_out, "open_memstream");
        for (int i = 0; i < 50000; i++) {
            putc('a' + i % 26, out);
            if (i % 10 == 0) putwc(L'a' + i % 26, wide_out);
            if (i % 4999 == 0) CHECK(fflush(out) == 0 && text[i] == 'a' + i % 26, "at %d", i);
        }
        fclose(out);
        fclose(wide_out);
        CHECK(n == 50000 && m == 5000 && strlen(text) == n && wcslen(wide) == m, "%zu %zu", n, m);
        text = realloc(text, 10);
        CHECK(text && memcmp(text, "abcdefghij", 10) == 0, "realloc of a stream's block");
        free(text);
        free(wide);
    }
}
