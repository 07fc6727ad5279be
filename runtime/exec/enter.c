/* sm_exec_enter and sm_exec_leave for each machine, and the way to the latter out of a handler.
 *
 * Both machines follow one plan. The frame pointer keeps the frame of sm_exec_enter on the caller's
 * stack while the stack pointer moves to the guest's; since the frame description (CFI) is given
 * relative to the frame pointer, debuggers, profilers and backtrace() walk from guest code to the
 * caller of sm_exec_enter as through any other call. Leaving loads that frame pointer and continues
 * behind the call, as if it had returned. It never touches the stack it comes from, so a handler
 * may send there a thread whose stack pointer is in a guard. */
#include "runtime/exec/enter.h"

#include "runtime/exec/signals.h"

#if defined(__x86_64__)

/* System V ABI. Frame, from the frame pointer down:
 *
 *     +8 return address   0 rbp   -8 rbx   -16 r12   -24 r13   -32 r14   -40 r15
 *     -44 x87 control word        -48 MXCSR
 *
 * Default environment: MXCSR 0x1f80 and control word 0x037f, as a process starts with. */
__asm__(".section .rodata\n"
        ".p2align 3\n"
        ".Lsm_fp_default:\n"
        "    .long 0x1f80\n"
        "    .long 0x037f\n"
        ".text\n"
        ".p2align 4\n"
        ".globl sm_exec_enter\n"
        ".hidden sm_exec_enter\n"
        ".type sm_exec_enter, @function\n"
        "sm_exec_enter:\n" /* rdi entry, rsi instance, rdx slots, rcx stack_top, r8 frame */
        "    .cfi_startproc\n"
        "    push %rbp\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset %rbp, -16\n"
        "    mov %rsp, %rbp\n"
        "    .cfi_def_cfa_register %rbp\n"
        "    push %rbx\n"
        "    .cfi_offset %rbx, -24\n"
        "    push %r12\n"
        "    .cfi_offset %r12, -32\n"
        "    push %r13\n"
        "    .cfi_offset %r13, -40\n"
        "    push %r14\n"
        "    .cfi_offset %r14, -48\n"
        "    push %r15\n"
        "    .cfi_offset %r15, -56\n"
        "    sub $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    ldmxcsr .Lsm_fp_default(%rip)\n"
        "    fldcw 4+.Lsm_fp_default(%rip)\n"
        "    mov %rbp, (%r8)\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov %rdx, %rsi\n"
        "    test %rcx, %rcx\n"
        "    cmovnz %rcx, %rsp\n"
        "    call *%rax\n"
        ".Lsm_entered:\n" /* rbp is the frame, rsp anywhere on the guest stack */
        "    lea -48(%rbp), %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    add $8, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    .cfi_def_cfa %rsp, 8\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size sm_exec_enter, . - sm_exec_enter\n"
        ".p2align 4\n"
        ".globl sm_exec_leave\n"
        ".hidden sm_exec_leave\n"
        ".type sm_exec_leave, @function\n"
        "sm_exec_leave:\n" /* rdi frame */
        "    .cfi_startproc\n"
        "    mov %rdi, %rbp\n"
        "    jmp .Lsm_entered\n"
        "    .cfi_endproc\n"
        ".size sm_exec_leave, . - sm_exec_leave\n");

#define DIRECTION_FLAG 0x400 /* clear in C, and may be set where a signal came */

SM_UNINSTRUMENTED uintptr_t sm_exec_context_pc(const ucontext_t *context)
{
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

SM_UNINSTRUMENTED void sm_exec_context_leave(ucontext_t *context, void *frame)
{
    greg_t *registers = context->uc_mcontext.gregs;
    registers[REG_RDI] = (greg_t)(uintptr_t)frame;
    registers[REG_RIP] = (greg_t)(uintptr_t)sm_exec_leave;
    registers[REG_EFL] &= ~(greg_t)DIRECTION_FLAG;
}

#elif defined(__aarch64__)

/* AAPCS64. Frame, from the frame pointer up: x29 x30 at 0, x19 to x28 at 16, d8 to d15 at 96, FPCR
 * at 160. The default environment is FPCR zero. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl sm_exec_enter\n"
        ".hidden sm_exec_enter\n"
        ".type sm_exec_enter, %function\n"
        "sm_exec_enter:\n" /* x0 entry, x1 instance, x2 slots, x3 stack_top, x4 frame */
        "    .cfi_startproc\n"
        "    stp x29, x30, [sp, #-176]!\n"
        "    .cfi_def_cfa_offset 176\n"
        "    .cfi_offset x29, -176\n"
        "    .cfi_offset x30, -168\n"
        "    mov x29, sp\n"
        "    .cfi_def_cfa_register x29\n"
        "    stp x19, x20, [x29, #16]\n"
        "    .cfi_offset x19, -160\n"
        "    .cfi_offset x20, -152\n"
        "    stp x21, x22, [x29, #32]\n"
        "    .cfi_offset x21, -144\n"
        "    .cfi_offset x22, -136\n"
        "    stp x23, x24, [x29, #48]\n"
        "    .cfi_offset x23, -128\n"
        "    .cfi_offset x24, -120\n"
        "    stp x25, x26, [x29, #64]\n"
        "    .cfi_offset x25, -112\n"
        "    .cfi_offset x26, -104\n"
        "    stp x27, x28, [x29, #80]\n"
        "    .cfi_offset x27, -96\n"
        "    .cfi_offset x28, -88\n"
        "    stp d8, d9, [x29, #96]\n"
        "    stp d10, d11, [x29, #112]\n"
        "    stp d12, d13, [x29, #128]\n"
        "    stp d14, d15, [x29, #144]\n"
        "    mrs x9, fpcr\n"
        "    str x9, [x29, #160]\n"
        "    msr fpcr, xzr\n"
        "    str x29, [x4]\n"
        "    cbz x3, 1f\n"
        "    mov sp, x3\n"
        "1:  mov x9, x0\n"
        "    mov x0, x1\n"
        "    mov x1, x2\n"
        "    blr x9\n"
        ".Lsm_entered:\n" /* x29 is the frame, sp anywhere on the guest stack */
        "    mov sp, x29\n"
        "    ldr x9, [sp, #160]\n"
        "    msr fpcr, x9\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x25, x26, [sp, #64]\n"
        "    ldp x27, x28, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    ldp x29, x30, [sp], #176\n"
        "    .cfi_def_cfa sp, 0\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size sm_exec_enter, . - sm_exec_enter\n"
        ".p2align 4\n"
        ".globl sm_exec_leave\n"
        ".hidden sm_exec_leave\n"
        ".type sm_exec_leave, %function\n"
        "sm_exec_leave:\n" /* x0 frame */
        "    .cfi_startproc\n"
        "    mov x29, x0\n"
        "    b .Lsm_entered\n"
        "    .cfi_endproc\n"
        ".size sm_exec_leave, . - sm_exec_leave\n");

SM_UNINSTRUMENTED uintptr_t sm_exec_context_pc(const ucontext_t *context)
{
    return (uintptr_t)context->uc_mcontext.pc;
}

SM_UNINSTRUMENTED void sm_exec_context_leave(ucontext_t *context, void *frame)
{
    context->uc_mcontext.regs[0] = (uintptr_t)frame;
    context->uc_mcontext.pc = (uintptr_t)sm_exec_leave;
}

#else
#error "smelt runs contracts on x86-64 and aarch64: write sm_exec_enter for this machine first"
#endif
