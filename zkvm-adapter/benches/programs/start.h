// What every program begins with: it calls work(), and says whether that returned what it should.
//
// On Trestle's machine ECALL accepts and EBREAK rejects; on ckb-vm system call 93 exits, and EBREAK does nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The machine's word; limbs of large numbers are as wide as the machine can multiply.
typedef unsigned long word;

static uint32_t work(void);

__attribute__((noreturn, used)) static void start(void) {
    register uint32_t result __asm__("a0") = work();
    if (result != EXPECTED) __asm__ volatile("ebreak\n li a0, 1\n li a7, 93\n ecall" ::"r"(result));
    __asm__ volatile("li a0, 0\n li a7, 93\n ecall");
    __builtin_unreachable();
}

// The stack pointer is set by the machine.
__asm__(".section .text.start\n.globl _start\n_start: j start\n.text\n");

// xorshift: numbers that look random.
static uint32_t seed = 2463534242u;
static inline uint32_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

void *memcpy(void *to, const void *from, size_t n) {
    for (size_t i = 0; i < n; i++) ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *to, int byte, size_t n) {
    for (size_t i = 0; i < n; i++) ((char *)to)[i] = (char)byte;
    return to;
}
