// clause: life | seccomp: the system calls that the library may make, and no others
// skip: qemu -- it has no filters
// skip: musl -- its headers have no seccomp
// env: LC_ALL=C
// A filter allows the system calls of the list in libralloc/README.md and lets any other end the process, with its number. Behind it:
// every verb in every size, threads on their way in and out, exhaustion, the break, a fatal line. What libc and the test need for
// themselves is added by name. The list here and the list there are compared by `cargo xtask test --tier c`.
#include "../common.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifdef SYS_mmap2
#define SYS_mmap_here SYS_mmap2
#else
#define SYS_mmap_here SYS_mmap
#endif

// The list of the library.
static const int memory[] = {SYS_mmap_here, SYS_munmap, SYS_mremap, SYS_madvise};
static const int others[] = {SYS_brk, SYS_sched_yield, SYS_getrandom, SYS_write};
static const int at_abort[] = {SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_gettid, SYS_getpid, SYS_tgkill};

#ifdef __i386__
// The first call of all asks where the kernel's entry is.
static const int to_find_the_kernel[] = {SYS_prctl, SYS_open, SYS_openat, SYS_read, SYS_close};
#endif

// What others need: this test, libc for starting and ending threads, and the control, whose malloc is another.
static const int of_the_test[] = {SYS_exit_group, SYS_rt_sigreturn, SYS_exit};
static const int of_libc[] = {
    SYS_futex, SYS_mprotect, SYS_set_robust_list, SYS_clone,
#ifdef SYS_clone3
    SYS_clone3,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
};
/// For glibc's malloc: it counts processors, and looks at the policy on overcommitted memory.
static const int of_the_control[] = {SYS_mprotect, SYS_futex, SYS_sched_getaffinity, SYS_openat, SYS_read, SYS_close,
                                     SYS_prlimit64};

static struct sock_filter program[120];
static unsigned short length;

static void allow(const int *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)list[i], 0, 1);
        program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
}

static void refused(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    char text[] = "system call 0000 is not on the list\n";
    for (int i = 3, n = info->si_syscall; i >= 0; i--, n /= 10) text[12 + i] = (char)('0' + n % 10);
    if (write(2, text, sizeof text - 1) < 0) _exit(2);
    _exit(1);
}

static bool ours(void) { return getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "ralloc"); }

static void filter(bool threads, bool dying) {
    struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSYS, &action, NULL) == 0, "sigaction");
    length = 0;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    allow(memory, COUNT(memory));
    allow(others, COUNT(others));
    allow(of_the_test, COUNT(of_the_test));
#ifdef __i386__
    allow(to_find_the_kernel, COUNT(to_find_the_kernel));
#endif
    if (dying) allow(at_abort, COUNT(at_abort));
    if (threads) allow(at_abort, 2), allow(of_libc, COUNT(of_libc));
    if (!ours()) allow(of_the_control, COUNT(of_the_control)), allow(at_abort, COUNT(at_abort));
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog whole = {length, program};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs: %s", strerror(errno));
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole, 0, 0) == 0, "seccomp: %s", strerror(errno));
}

static void *every_verb(void *unused) {
    uint64_t stream = seed;
    void *block[300] = {0}, *p;
    for (int i = 0; i < 60000; i++) {
        size_t at = below(&stream, COUNT(block)), n = any_size(&stream, i % 200 ? 40 * KIB : 30 * MIB);
        switch (below(&stream, 6)) {
        case 0: p = realloc(block[at], n); block[at] = NULL; break;
        case 1: p = calloc(1, n); break;
        case 2: p = memalign((size_t)16 << below(&stream, 16), n); break;
        case 3: p = aligned_alloc(64, n); break;
        case 4: p = NULL; CHECK(posix_memalign(&p, 4096, n) == 0, "posix_memalign"); break;
        default: p = malloc(n);
        }
        CHECK(p && malloc_usable_size(p) >= n, "size %zu", n);
        memset(p, 1, n < 200 ? n : 200);
        free(block[at]);
        block[at] = p;
        if (i % 5000 == 0) malloc_trim(0);
    }
    for (size_t i = 0; i < COUNT(block); i++) free(block[i]);
    CHECK(!malloc((size_t)-1 - 100), "more than everything");
    return unused;
}

static void single(void) {
    filter(false, false);
    every_verb(NULL);
    CHECK(sbrk(0) != (void *)-1, "sbrk");
}

static void threads(void) {
    filter(true, false);
    for (int i = 0; i < 10; i++) run_threads(4, every_verb);
}

static void fatal(void) {
    filter(false, true);
    int on_the_stack[64];
    if (ours()) free((void *)((uintptr_t)(on_the_stack + 32) & ~(uintptr_t)15));
    abort();
}

static int run(void (*body)(void)) {
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        alarm(100);
        body();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child, "waitpid");
    return status;
}

int main(void) {
    CHECK(run(single) == 0, "one thread");
    CHECK(run(threads) == 0, "threads");
    int status = run(fatal);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "a fatal line: status %#x", (unsigned)status);
}
