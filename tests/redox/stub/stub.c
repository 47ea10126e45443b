/* Loads the two files that QEMU has put into memory, the Redox kernel and a program, as Redox' own loader does: the kernel at
   KERNEL_ADDRESS, all memory also at MEMORY_ADDRESS, and a description of the machine. */

#include <stdint.h>

#define KERNEL_ADDRESS 0xffffffff80000000
#define LARGE 0x200000u
#define PRESENT 1u
#define WRITABLE 2u
#define IS_LARGE 0x80u

/* What QEMU says (multiboot 1, the fields that matter). */
struct machine {
    uint32_t flags, lower, upper, device, command_line, modules, module_table, symbols[4], map_size, map;
};

struct module {
    uint32_t start, end, name, reserved;
};

struct region {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t kind; /* 1: free */
} __attribute__((packed));

/* What the kernel is told. */
struct part {
    uint64_t base, size;
};

enum { KERNEL, STACK, ENVIRONMENT, HARDWARE, AREAS, BOOTSTRAP, PARTS };

struct area {
    uint64_t base, size, kind;
};

enum { FREE = 1, RESERVED = 3 };

struct part arguments[PARTS];
uint64_t entry;

static struct area areas[64];
extern char stub_start[], stub_end[];

/* Tables for the first 4 GiB at 0 and at 0xffff800000000000, and 64 MiB of kernel. */
uint64_t tables[512] __attribute__((aligned(4096)));
static uint64_t low[512] __attribute__((aligned(4096)));
static uint64_t high[512] __attribute__((aligned(4096)));
static uint64_t memory[4][512] __attribute__((aligned(4096)));
static uint64_t kernel[512] __attribute__((aligned(4096)));

static void say(const char *text) {
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" : : "a"(*text), "Nd"((uint16_t)0x3f8));
}

static void __attribute__((noreturn)) fail(const char *why) {
    say("stub: ");
    say(why);
    say("\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}


static uint32_t round_up(uint32_t value, uint32_t to) {
    return (value + to - 1) & -to;
}

/* Copies a file; returns its size in whole pages. What is missing of the last one is zero. */
static uint32_t move(uint32_t to, const struct module *file) {
    uint32_t from = file->start, left = file->end - from, size = round_up(left, 4096);
    uint32_t rest = size - left;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(left) : : "memory");
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(0) : "memory");
    return size;
}

static uint64_t word(uint32_t at) {
    return *(uint64_t *)at;
}

static uint32_t half(uint32_t at) {
    return *(uint16_t *)at;
}

/* Looks whether the file is a kernel that can stand in memory as it is: it looks there for its own symbols. */
static void check(uint32_t file, uint32_t size) {
    if (*(uint32_t *)file != 0x464c457f || *(uint8_t *)(file + 4) != 2 || half(file + 18) != 62)
        fail("the kernel is no ELF file for x86-64");
    if (size > 32 * LARGE)
        fail("the kernel is larger than 64 MiB; strip its debug information");
    uint32_t header = file + (uint32_t)word(file + 32);
    for (uint32_t left = half(file + 56); left > 0; left--, header += half(file + 54)) {
        if (*(uint32_t *)header != 1)
            continue;
        if (word(header + 16) != KERNEL_ADDRESS + word(header + 8) || word(header + 32) != word(header + 40))
            fail("the kernel is not linked as Redox links it");
    }
    entry = word(file + 24);
}

static void map(uint32_t base) {
    for (uint32_t index = 0; index < 4; index++) {
        low[index] = (uint32_t)memory[index] | PRESENT | WRITABLE;
        for (uint32_t page = 0; page < 512; page++)
            memory[index][page] = ((uint64_t)(index * 512 + page) * LARGE) | PRESENT | WRITABLE | IS_LARGE;
    }
    for (uint32_t page = 0; page < 32; page++)
        kernel[page] = (base + page * LARGE) | PRESENT | WRITABLE | IS_LARGE;
    high[510] = (uint32_t)kernel | PRESENT | WRITABLE;
    tables[0] = tables[256] = (uint32_t)low | PRESENT | WRITABLE;
    tables[511] = (uint32_t)high | PRESENT | WRITABLE;
}

/* The tables of ACPI: without them the kernel knows of one processor only. */
static void find_hardware(void) {
    uint32_t at = 0xe0000;
    while (at < 0x100000 && word(at) != 0x2052545020445352) /* "RSD PTR " */
        at += 16;
    if (at < 0x100000) {
        arguments[HARDWARE].base = at;
        arguments[HARDWARE].size = 36;
    }
}

static void list_memory(const struct machine *machine) {
    uint32_t count = 0;
    areas[count++] = (struct area){(uint32_t)stub_start, stub_end - stub_start, RESERVED};
    for (uint32_t at = machine->map; at < machine->map + machine->map_size && count < 64;) {
        const struct region *region = (const struct region *)at;
        /* Only as far as the tables lead. */
        if (region->base + region->length <= 0x100000000)
            areas[count++] = (struct area){region->base, region->length, region->kind == 1 ? FREE : RESERVED};
        at += region->size + 4;
    }
    arguments[AREAS].base = (uint32_t)areas;
    arguments[AREAS].size = count * sizeof areas[0];
}

void prepare(const struct machine *machine) {
    const struct module *modules = (const struct module *)machine->module_table;
    if (!(machine->flags & 1 << 6) || machine->modules != 2)
        fail("two files are needed, the kernel and the program");
    /* Behind all that QEMU has loaded. */
    uint32_t end = modules[0].end > modules[1].end ? modules[0].end : modules[1].end;
    uint32_t base = round_up(end > (uint32_t)stub_end ? end : (uint32_t)stub_end, LARGE);
    uint32_t size = modules[0].end - modules[0].start;
    check(modules[0].start, size);
    arguments[KERNEL] = (struct part){base, move(base, &modules[0])};
    uint32_t program = base + round_up(size, LARGE);
    size = move(program, &modules[1]);
    arguments[BOOTSTRAP] = (struct part){program, size};
    arguments[ENVIRONMENT] = (struct part){program + size, 0};
    /* The kernel has a stack of its own; this one only has to be memory. */
    arguments[STACK] = (struct part){(uint32_t)stub_start, 4096};
    find_hardware();
    list_memory(machine);
    map(base);
}
