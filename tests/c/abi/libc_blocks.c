// clause: POSIX getline | what libc allocates (getline, strdup, asprintf, realpath, open_memstream, scandir ...) is freed by free
// clause: glibc 3.2.5 | libc itself allocates from the replacement
// Blocks that libc allocates are freed by the program, and the other way round: both must mean
// the same allocator, in every function that hands one over.
#include "../common.h"
#include <dirent.h>
#include <iconv.h>
#include <locale.h>
#include <regex.h>
#include <search.h>
#include <wchar.h>

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/// For tdestroy: the values are not the tree's.
static void keep(void *value) { (void)value; }

static void strings(void) {
    char *copy = strdup("a string"), *part = strndup("a string", 3), *text = NULL;
    CHECK(copy && part && asprintf(&text, "%s %s %0*d", copy, part, 5000, 7) > 5000, "asprintf");
    wchar_t *wide = wcsdup(L"wide");
    CHECK(wide && wide[3] == L'e', "wcsdup");
    text = realloc(text, 100000);
    CHECK(text && strncmp(text, "a string a s", 12) == 0, "realloc of what asprintf gave");
    free(copy);
    free(part);
    free(text);
    free(wide);
    char *directory = getcwd(NULL, 0), *root = realpath("/proc/..", NULL);
    CHECK(directory && root && strcmp(root, "/") == 0, "getcwd and realpath");
    free(directory);
    free(root);
}

static void streams(void) {
    char *text = NULL, *line = malloc(3);
    size_t n = 0, room = 3;
    FILE *out = open_memstream(&text, &n);
    CHECK(out && line, "open_memstream");
    for (int i = 0; i < 20000; i++) fprintf(out, "line %d\n", i);
    fclose(out);
    FILE *in = fmemopen(text, n, "r");
    CHECK(in, "fmemopen");
    int lines = 0;
    // getline grows a block that the program allocated.
    while (getline(&line, &room, in) > 0) lines++;
    CHECK(lines == 20000, "%d lines", lines);
    fclose(in);
    free(text);
    free(line);

    FILE *file = tmpfile();
    if (!file) return;
    setvbuf(file, NULL, _IOFBF, 300000);
    for (int i = 0; i < 100000; i++) fputs("text", file);
    rewind(file);
    char *word = NULL;
    CHECK(fscanf(file, "%ms", &word) == 1 && strlen(word) == 400000, "scanf %%ms");
    free(word);
    fclose(file);
}

static void tables(void) {
    static uint64_t value[100000];
    uint64_t stream = seed;
    for (size_t i = 0; i < COUNT(value); i++) value[i] = draw(&stream);
    qsort(value, COUNT(value), sizeof *value, by_value);
    for (size_t i = 1; i < COUNT(value); i++) CHECK(value[i - 1] <= value[i], "qsort, %zu", i);

    void *tree = NULL;
    for (size_t i = 0; i < 2000; i++) CHECK(tsearch(&value[i], &tree, by_value), "tsearch");
    for (size_t i = 0; i < 1000; i++) tdelete(&value[i * 2], &tree, by_value);
    tdestroy(tree, keep);

    struct dirent **entry;
    int entries = scandir("/proc/self", &entry, NULL, alphasort);
    CHECK(entries > 10, "scandir gave %d", entries);
    for (int i = 0; i < entries; i++) free(entry[i]);
    free(entry);
}

static void machines(void) {
    regex_t expression;
    CHECK(regcomp(&expression, "^(a|b)*[[:alpha:]]+x{2,40}$", REG_EXTENDED) == 0, "regcomp");
    CHECK(regexec(&expression, "abababzxxxx", 0, NULL, 0) == 0, "regexec");
    regfree(&expression);
    iconv_t conversion = iconv_open("UTF-16", "UTF-8");
    if (conversion != (iconv_t)-1) iconv_close(conversion);
    locale_t locale = newlocale(LC_ALL_MASK, "C", NULL);
    if (locale) freelocale(locale);
    setlocale(LC_ALL, "C.UTF-8");
    for (int i = 0; i < 200; i++) {
        char name[32], value[400];
        snprintf(name, sizeof name, "VARIABLE_%d", i % 50);
        snprintf(value, sizeof value, "%0*d", i + 1, i);
        CHECK(setenv(name, value, 1) == 0, "setenv");
    }
}

int main(void) {
    for (int i = 0; i < 20; i++) {
        strings();
        streams();
        tables();
        machines();
    }
}
