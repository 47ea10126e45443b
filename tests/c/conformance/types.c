// clause: C 6.2.8 | objects of every fundamental type, of vectors as wide as malloc promises, and of any struct of them
// clause: C 7.22.3.2 | calloc: null pointers and zeros of every type, where all bits zero means that
// A block is what the program says it is. The compiler emits aligned accesses for these types.
#include "../common.h"
#include <complex.h>
#include <stddef.h>
#include <wchar.h>

typedef float vector __attribute__((vector_size(16)));
struct everything {
    char c;
    long double l;
    double complex z;
    void *p;
    void (*f)(void);
    wchar_t w;
    max_align_t m;
    vector v;
    atomic_llong a;
    char flexible[];
};

static void none(void) {}

#define OF(type, value)                                                                            \
    for (size_t n = 1; n < 400; n += 7) {                                                          \
        type *p = malloc(n * sizeof *p);                                                           \
        CHECK(p && is_aligned(p, _Alignof(type)), "%zu of " #type ": %p", n, (void *)p);           \
        memset(p, 0, n * sizeof *p); /* For the bytes between. */                                   \
        for (size_t i = 0; i < n; i++) p[i] = (value);                                             \
        p = realloc(p, 2 * n * sizeof *p);                                                         \
        CHECK(p && is_aligned(p, _Alignof(type)), "%zu of " #type ": %p", 2 * n, (void *)p);       \
        memset(&p[n], 0, n * sizeof *p);                                                           \
        for (size_t i = 0; i < n; i++) p[n + i] = p[i];                                            \
        CHECK(memcmp(&p[n], &p[0], n * sizeof *p) == 0, "%zu of " #type, n);                       \
        free(p);                                                                                   \
        p = calloc(n, sizeof *p);                                                                  \
        CHECK(p && all_zero(p, n * sizeof *p), "calloc of %zu of " #type, n);                      \
        free(p);                                                                                   \
    }

int main(void) {
    OF(char, 'x')
    OF(short, 3)
    OF(long long, -5)
    OF(long double, 2.5L)
    OF(double complex, 1 + 2 * I)
    OF(void *, p)
    OF(wchar_t, L'x')
    OF(vector, ((vector){1, 2, 3, 4}))
    for (size_t n = 0; n < 300; n++) {
        struct everything *p = calloc(1, sizeof *p + n);
        CHECK(p && !p->p && !p->f && p->l == 0 && p->z == 0 && all_zero(p->flexible, n), "calloc");
        p->v += (vector){1, 1, 1, 1};
        p->f = none;
        p->a = 7;
        memset(p->flexible, 1, n);
        CHECK(p->v[3] == 1 && p->a == 7, "a struct of everything");
        free(p);
    }
}
