// Frees a block with another size than it was allocated with.
// case: delete-half delete-twice delete-1-less | small medium large huge | same other | wrong size | -
// case: free_sized-half free_sized-twice free_sized-1-less free_aligned_sized-half | small medium large huge | same | wrong size | -
// libraries: -lstdc++
#include "misuse.h"

extern void *_Znwm(size_t);             // operator new(size_t)
extern void _ZdlPvm(void *, size_t);    // operator delete(void *, size_t)
static void (*sized)(void *, size_t);   // free_sized of C23, where there is one
static void (*aligned)(void *, size_t, size_t);

static void delete_half(void *block) { _ZdlPvm(block, size / 2); }
static void delete_twice(void *block) { _ZdlPvm(block, 2 * size); }
static void delete_1_less(void *block) { _ZdlPvm(block, size - 1); }
static void sized_half(void *block) { sized(block, size / 2); }
static void sized_twice(void *block) { sized(block, 2 * size); }
static void sized_1_less(void *block) { sized(block, size - 1); }
static void aligned_half(void *block) { aligned(block, 64, size / 2); }

static const struct {
    const char *name;
    void (*run)(void *);
} ways[] = {
    {"delete-half", delete_half},         {"delete-twice", delete_twice},
    {"delete-1-less", delete_1_less},     {"free_sized-half", sized_half},
    {"free_sized-twice", sized_twice},    {"free_sized-1-less", sized_1_less},
    {"free_aligned_sized-half", aligned_half},
};

static void scene(void) {
    *(void **)&sized = dlsym(RTLD_DEFAULT, "free_sized");
    *(void **)&aligned = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    bool is_new = strncmp(variant, "delete", 6) == 0;
    bool is_aligned = strncmp(variant, "free_aligned", 12) == 0;
    if (!is_new && !(is_aligned ? (void *)aligned : (void *)sized)) not_applicable();
    char *block = is_new ? opaque(_Znwm(size)) : is_aligned ? aligned_alloc(64, size) : malloc(size);
    CHECK(block, "no memory");
    memset(block, 'b', size);
    announce(block);
    size_t way = 0;
    while (way < COUNT(ways) && !is(variant, ways[way].name)) way++;
    CHECK(way < COUNT(ways), "no variant %s", variant);
    commit(ways[way].run, block);
    if (!wrong && is_new) _ZdlPvm(block, size);
    else if (!wrong && is_aligned) aligned(block, 64, size);
    else if (!wrong) sized(block, size);
    traffic();
}
