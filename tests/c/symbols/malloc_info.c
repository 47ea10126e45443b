// clause: glibc 3.2.3.9 | malloc_info and malloc_stats
// skip: musl -- its headers declare none of it
// malloc_info writes XML that is well formed, whose figures are those of mallinfo2; malloc_stats prints something; neither
// shows the empty answers of a libc that was not asked for anything.
// stderr: ralloc: statistics
// control: skip -- this libc counts its own headers, and large blocks elsewhere
// skip: static -- the loader is asked for names
// skip: musl -- its headers know nothing of it
#include "../common.h"
#include <ctype.h>
#include <dlfcn.h>

struct info2 { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost; };

/// Reads elements with attributes and nothing else, which must be nested. Returns how many there are.
static int well_formed(const char *p) {
    const char *open[16];
    size_t length[16];
    int depth = 0, elements = 0;
    while (*p) {
        if (isspace((unsigned char)*p)) { p++; continue; }
        CHECK(*p == '<', "text outside of an element: %.20s", p);
        bool closes = *++p == '/';
        const char *name = p += closes;
        while (isalnum((unsigned char)*p)) p++;
        size_t n = (size_t)(p - name);
        CHECK(n, "an element without a name");
        if (closes) {
            CHECK(depth && length[depth - 1] == n && !memcmp(open[depth - 1], name, n), "</%.*s> closes nothing", (int)n, name);
            depth--;
            CHECK(*p++ == '>', "the end of </%.*s>", (int)n, name);
            continue;
        }
        elements++;
        while (*p == ' ') {
            const char *attribute = ++p;
            while (isalnum((unsigned char)*p)) p++;
            CHECK(p > attribute && p[0] == '=' && p[1] == '"', "an attribute of <%.*s>", (int)n, name);
            for (p += 2; *p && *p != '"'; p++) CHECK(*p != '<' && *p != '&', "%c in a value", *p);
            CHECK(*p++ == '"', "a value that does not end");
        }
        CHECK(depth < 16, "too deep");
        if (*p == '/') p++;
        else open[depth] = name, length[depth++] = n;
        CHECK(*p++ == '>', "the end of <%.*s", (int)n, name);
    }
    CHECK(depth == 0, "%d elements are open at the end", depth);
    return elements;
}

/// The number behind the last occurrence of `text`.
static size_t figure(const char *xml, const char *text) {
    const char *last = NULL;
    for (const char *p = xml; (p = strstr(p, text)); p++) last = p;
    CHECK(last, "no %s in %s", text, xml);
    return strtoull(last + strlen(text), NULL, 10);
}

int main(void) {
    struct info2 (*info2)(void);
    *(void **)&info2 = dlsym(RTLD_DEFAULT, "mallinfo2");
    void *kept[100];
    for (size_t i = 0; i < COUNT(kept); i++) kept[i] = malloc(i % 10 ? 1000 : 5 * MIB);
    char *xml = calloc(1, 64 * KIB);
    FILE *stream = fmemopen(xml, 64 * KIB, "w");
    CHECK(stream && setvbuf(stream, NULL, _IOFBF, 32 * KIB) == 0, "no stream");
    CHECK(malloc_info(0, stream) == 0 && fflush(stream) == 0, "malloc_info: %s", strerror(errno));
    struct info2 i = info2();
    CHECK(well_formed(xml) > 12, "too few elements: %s", xml);
    CHECK(strncmp(xml, "<malloc version=\"1\">", 20) == 0, "begins with %.20s", xml);
    CHECK(figure(xml, "<system type=\"current\" size=\"") == i.arena, "arena %zu: %s", i.arena, xml);
    CHECK(figure(xml, "<total type=\"mmap\" count=\"10\" size=\"") == i.hblkhd, "huge %zu: %s", i.hblkhd, xml);
    CHECK(i.hblks == 10, "%zu huge blocks", i.hblks);
    CHECK(figure(xml, "<total type=\"rest\" count=\"") == i.ordblks, "free %zu: %s", i.ordblks, xml);
    CHECK(figure(xml, "to=\"1024\" total=\"") % 1024 == 0, "%s", xml);
    fclose(stream);
    errno = 0;
    CHECK(malloc_info(1, stdout) != 0 && errno == EINVAL, "options that there are not: errno %d", errno);
    malloc_stats();
    for (size_t j = 0; j < COUNT(kept); j++) free(kept[j]);
}
