/* Two allocators in one program: the C library's by the standard names, ralloc by its own. For a library that was installed with
 * `cargo xtask install --side-by-side`.
 *
 *     cc side_by_side.c $(pkg-config --cflags --libs ralloc) -o side_by_side
 */
#include <stdlib.h>
#include <ralloc.h>
#include <stdio.h>

int main(void) {
    size_t before = ralloc_mallinfo2().uordblks;
    void *theirs = malloc(10000), *ours = ralloc_malloc(10000);
    size_t grown = ralloc_mallinfo2().uordblks - before;
    printf("ralloc: %zu bytes, of which one block has %zu\n", grown, ralloc_malloc_usable_size(ours));
    int is_apart = grown == ralloc_malloc_usable_size(ours);
    ralloc_free(ours);
    free(theirs);
    return is_apart ? 0 : 1;
}
