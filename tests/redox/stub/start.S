/* The way from QEMU's multiboot (32 bits, no paging) into a 64-bit kernel. `stub.c` has prepared everything but the jump. */

        .set    FLAGS, 1 << 1           /* a map of the memory is wanted */
        .set    MAGIC, 0x1badb002

        .section .multiboot, "a"
        .balign 4
        .long   MAGIC, FLAGS, -(MAGIC + FLAGS)

        .text
        .code32
        .globl  _start
_start:
        movl    $stack_end, %esp
        pushl   %ebx                    /* what QEMU says about the machine */
        call    prepare

        /* Large pages, extended states, global pages; long mode and pages that are not executable. */
        movl    $0x2b0, %eax
        movl    %eax, %cr4
        movl    $tables, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        movl    $0x900, %eax
        xorl    %edx, %edx
        wrmsr
        movl    $0x80010001, %eax
        movl    %eax, %cr0
        lgdt    pointer
        ljmp    $8, $long

        .code64
long:   xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %eax, %ss
        movl    $arguments, %edi
        movl    $entry, %eax
        movq    (%rax), %rax
        jmp     *%rax

        .section .rodata
        .balign 8
gdt:    .quad   0
        .quad   0x00209a0000000000      /* code of 64 bits */
pointer:
        .word   . - gdt - 1
        .long   gdt

        .bss
        .balign 16
        .skip   16384
stack_end:

        .section .note.GNU-stack, "", @progbits
