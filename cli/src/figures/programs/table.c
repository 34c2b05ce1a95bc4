// riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 -O2 -nostdlib -static -ffreestanding -Wl,--build-id=none -s -o table.elf table.c
//
// A run of a little more than 2^32 steps that changes a table of 64 MiB at random places, for the figures of roots.
// The table is all of its memory, and before long every page of it is written between any two snapshots.

#define WORDS (16u << 20)
#define ROUNDS 429496730u // of 10 instructions: 2^32 in all

static unsigned table[WORDS];

void _start(void) {
    unsigned at = 1;
    for (unsigned round = 0; round != ROUNDS; round++) {
        at = at * 1664525u + 1013904223u; // Numerical Recipes' generator; its upper bits look random
        table[at >> 8] += at;
    }
    __asm__ volatile("ecall");
}
