/* What cannot be said in C: the first instruction, and the door that glibc's loader opens files by. */
        .text
        .globl  _start
_start: xor     %ebp, %ebp
        mov     %rsp, %rdi
        sub     $128, %rsp              /* `launch` makes the kernel's stack longer */
        call    launch
        mov     %rdx, %rsp
        xor     %edx, %edx              /* no function for the end: System V ABI, 3.4.1 */
        jmp     *%rax

/* In the place of `syscall`: arguments in its registers, and only %rax, %rcx and %r11 may change. %rdi still holds the
   path, and %rdx the flags. What lies below %rsp is still the loader's (the red zone). */
        .globl  opened_here
opened_here:
        lea     -128(%rsp), %rsp
        push    %rbp
        mov     %rsp, %rbp
        and     $-16, %rsp
        push    %rdi
        push    %rsi
        push    %rdx
        push    %r8
        push    %r9
        push    %r10
        mov     %rdx, %rsi              /* path, flags, mode */
        mov     %r10, %rdx
        call    open_for_loader
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdx
        pop     %rsi
        pop     %rdi
        mov     %rbp, %rsp
        pop     %rbp
        lea     128(%rsp), %rsp
        mov     $-100, %edi             /* as the replaced instructions left it */
        mov     after_open(%rip), %rcx
        jmp     *%rcx

        .section .rodata
        .balign 64
        .globl  image_begin
image_begin:
        .incbin "image"
        .section .note.GNU-stack, "", @progbits
