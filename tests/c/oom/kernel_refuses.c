// clause: life | seccomp filters that refuse madvise, mremap, munmap, mmap or mprotect
// skip: musl -- its headers have no seccomp
// skip: qemu -- limits are those of the emulator
// The kernel refuses one kind of call, always or for some addresses (by a seccomp filter): madvise, so
// that nothing becomes zero; mremap; munmap; mmap of more than a little; mprotect. Old kernels, sandboxes
// and emulators are like that. Allocations may fail for want of memory; nothing else may happen.
#include "../territory.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define SLOTS 600

/// From now on `call` fails with `error`, if bits of its argument number `argument` are set that are in
/// `mask`; always, if there are none.
static bool refuse(unsigned call, unsigned argument, unsigned mask, unsigned error) {
    unsigned skip = mask ? 0 : 1;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * argument),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1 - skip),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static struct { void *block; size_t size; } slot[SLOTS];
static size_t refused;

static void live(size_t turns) {
    uint64_t stream = seed;
    for (size_t turn = 0; turn < turns; turn++) {
        size_t k = below(&stream, SLOTS), n = any_size(&stream, turn % 30 ? 16 * KIB : 9 * MIB);
        if (slot[k].block) {
            CHECK(painted(slot[k].block, slot[k].size, k), "block of %zu", slot[k].size);
            DISCLAIM(slot[k].block, slot[k].size);
        }
        void *p;
        errno = 0;
        if (slot[k].block && below(&stream, 3) == 0) {
            p = realloc(slot[k].block, n);
            size_t kept = n < slot[k].size ? n : slot[k].size;
            if (p) CHECK(prefix_painted(p, kept, k), "realloc from %zu to %zu", slot[k].size, n);
            else CHECK(painted(slot[k].block, slot[k].size, k), "refused realloc to %zu", n);
            if (!p) free(slot[k].block);
        } else {
            errno = 0;
            free(slot[k].block);
            CHECK(errno == 0, "free left errno %d", errno);
            if (below(&stream, 2)) {
                p = calloc(1, n);
                if (p) CHECK(all_zero(p, n), "calloc of %zu", n);
            } else {
                p = below(&stream, 4) ? malloc(n) : memalign(64 << below(&stream, 10), n);
            }
        }
        if (!p) CHECK(errno == ENOMEM, "%zu bytes: errno %d", n, errno);
        refused += !p;
        slot[k].block = p;
        slot[k].size = n;
        if (p) {
            CLAIM(p, n);
            paint(p, n, k);
            // Dirty where it is not painted, so that calloc has something to clear.
            if (n > DENSE + 4 * KIB) memset((char *)p + n - 3 * KIB, 0xDD, 2 * KIB);
            if (n > DENSE + 4 * KIB) paint(p, n, k);
        }
        if (turn % 500 == 0) malloc_trim(0);
    }
}

static void *in_thread(void *unused) {
    for (int i = 0; i < 300; i++) {
        void *p = malloc((size_t)i * 50);
        if (p) memset(p, 1, (size_t)i * 50);
        free(p);
    }
    return unused;
}

struct refusal {
    const char *what;
    unsigned call, argument, mask, error;
};

static void suffer(const struct refusal *r, bool from_start) {
    territory_open();
    if (!from_start) live(4000);
    if (!refuse(r->call, r->argument, r->mask, r->error)) _exit(77);
    live(12000);
    for (int i = 0; i < 3; i++) {
        // libc needs memory for a thread, too, and may be refused.
        pthread_t thread;
        if (pthread_create(&thread, NULL, in_thread, NULL) == 0) join_thread(thread);
    }
    if (refused) fprintf(stderr, "%s: %zu refused\n", r->what, refused);
    for (size_t k = 0; k < SLOTS; k++) free(slot[k].block);
    _exit(0);
}

int main(void) {
    const struct refusal refusals[] = {
        {"madvise, always", SYS_madvise, 0, 0, EINVAL},
        {"madvise, not allowed", SYS_madvise, 0, 0, EPERM},
        {"madvise, for some addresses", SYS_madvise, 0, 3 << 17, ENOMEM},
        {"mremap, always", SYS_mremap, 0, 0, ENOMEM},
        {"mremap, not there", SYS_mremap, 0, 0, ENOSYS},
        {"mremap, for some addresses", SYS_mremap, 0, 3 << 22, EFAULT},
        {"munmap, always", SYS_munmap, 0, 0, ENOMEM},
        {"munmap, for some addresses", SYS_munmap, 0, 3 << 22, ENOMEM},
        {"mmap, of 2 MiB or more", SYS_mmap, 1, 0xFFE00000, ENOMEM},
        {"mmap, always", SYS_mmap, 0, 0, ENOMEM},
        {"mmap, at an address", SYS_mmap, 0, 0xFFFFF000, EEXIST},
        {"mprotect, always", SYS_mprotect, 0, 0, ENOMEM},
    };
    for (size_t i = 0; i < 2 * COUNT(refusals); i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) suffer(&refusals[i / 2], i % 2);
        int status;
        CHECK(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
        // No filters here: nothing can be said.
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return 0;
        CHECK(status == 0, "%s, %s: status %#x", refusals[i / 2].what, i % 2 ? "from the start" : "later", (unsigned)status);
    }
}
