/* A program in C on ralloc: by the standard names, by its own, and what it says about itself.
 *
 *     cc hello.c $(pkg-config --cflags --libs ralloc) -o hello
 */
#include <ralloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    char *text = malloc(6); /* ralloc's: the library has the standard names, too */
    strcpy(text, "Hello");
    text = ralloc_realloc(text, 100); /* the same allocator under its own name */
    strcat(text, ", allocator");
    puts(text);
    ralloc_free(text);

    char *block = ralloc_recallocarray(NULL, 0, 1000, 4);
    struct ralloc_mallinfo2 info = ralloc_mallinfo2();
    printf("%zu bytes of %zu\n", ralloc_malloc_size(block), ralloc_malloc_good_size(4000));
    ralloc_freezero(block, 4000);
    return info.arena == info.uordblks + info.fordblks ? 0 : 1;
}
