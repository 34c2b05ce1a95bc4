// Jumps through tables: a switch, computed gotos, functions in structures; an interpreter for a small stack machine.

#include "runtime.h"

enum { PUSH, ADD, SUB, MUL, DIV, DUP, SWAP, JUMP_IF, LESS, NEGATE, NOT, SHIFT, STORE, LOAD, DROP, HALT };

int32_t by_switch[64], by_goto[64], memory[16];
uint32_t executed, calls[5], machine_history[40];
int32_t shapes[12];

// Sums, products and quotients of the numbers from 30 down; the counter is in memory 0.
static const int8_t code[] = {PUSH, 30, STORE, 0, PUSH, 0, STORE, 1, PUSH, 1, STORE, 2, /* 12: */ LOAD, 0, LOAD, 1, ADD, STORE, 1,
                              LOAD, 0, LOAD, 2, MUL, STORE, 2, LOAD, 2, LOAD, 0, DIV, LOAD, 1, SWAP, SUB, NEGATE, STORE, 3,
                              LOAD, 3, PUSH, 3, SHIFT, NOT, STORE, 4, LOAD, 0, PUSH, -1, ADD, DUP, STORE, 0, PUSH, 0, SWAP, LESS,
                              JUMP_IF, 12, HALT};

static void run_switch(int32_t *stack) {
    int32_t *top = stack;
    for (const int8_t *at = code;; ++executed) {
        switch (*at++) {
        case PUSH: *top++ = *at++; break;
        case ADD: --top, top[-1] += *top; break;
        case SUB: --top, top[-1] -= *top; break;
        case MUL: --top, top[-1] = (int32_t)((uint32_t)top[-1] * (uint32_t)*top); break;
        case DIV: --top, top[-1] = *top ? top[-1] / *top : 0; break;
        case DUP: *top = top[-1], ++top; break;
        case SWAP: {
            int32_t kept = top[-1];
            top[-1] = top[-2], top[-2] = kept;
            break;
        }
        case JUMP_IF: at = *--top ? code + *at : at + 1; break;
        case LESS: --top, top[-1] = top[-1] < *top; break;
        case NEGATE: top[-1] = -top[-1]; break;
        case NOT: top[-1] = ~top[-1]; break;
        case SHIFT: --top, top[-1] >>= *top; break;
        case STORE: memory[(int)*at++] = *--top; break;
        case LOAD: *top++ = memory[(int)*at++]; break;
        case DROP: --top; break;
        default: return;
        }
    }
}

static void run_goto(int32_t *stack) {
    static void *const labels[] = {&&push, &&add, &&sub, &&mul, &&div, &&dup, &&swap, &&jump_if, &&less, &&negate, &&not,
                                   &&shift, &&store, &&load, &&drop, &&halt};
    int32_t *top = stack, kept;
    const int8_t *at = code;
#define NEXT goto *labels[(++executed, *at++)]
    NEXT;
push: *top++ = *at++; NEXT;
add: --top, top[-1] += *top; NEXT;
sub: --top, top[-1] -= *top; NEXT;
mul: --top, top[-1] = (int32_t)((uint32_t)top[-1] * (uint32_t)*top); NEXT;
div: --top, top[-1] = *top ? top[-1] / *top : 0; NEXT;
dup: *top = top[-1], ++top; NEXT;
swap: kept = top[-1], top[-1] = top[-2], top[-2] = kept; NEXT;
jump_if: at = *--top ? code + *at : at + 1; NEXT;
less: --top, top[-1] = top[-1] < *top; NEXT;
negate: top[-1] = -top[-1]; NEXT;
not: top[-1] = ~top[-1]; NEXT;
shift: --top, top[-1] >>= *top; NEXT;
store: memory[8 + *at++] = *--top; NEXT;
load: *top++ = memory[8 + *at++]; NEXT;
drop: --top; NEXT;
halt:;
}

struct shape {
    int32_t (*area)(const struct shape *);
    int32_t (*scaled)(const struct shape *, int32_t);
    int32_t a, b;
};

static int32_t rectangle(const struct shape *s) { return calls[0]++, s->a * s->b; }
static int32_t triangle(const struct shape *s) { return calls[1]++, s->a * s->b / 2; }
static int32_t disk(const struct shape *s) { return calls[2]++, s->a * s->a * 355 / 113; }
static int32_t by_area(const struct shape *s, int32_t by) { return calls[3]++, s->area(s) * by; }
static int32_t by_side(const struct shape *s, int32_t by) { return calls[4]++, s->area(&(struct shape){s->area, 0, s->a * by, s->b * by}); }

static uint32_t next_state(uint32_t state, uint32_t event) {
    switch (state * 4 + event) {
    case 0: return 3;
    case 1: return 7;
    case 2: return 1;
    case 5: case 6: return 2;
    case 8: return 5;
    case 9: return 11;
    case 12: case 14: return 9;
    case 13: return 4;
    case 20: return 0;
    case 28: return 6;
    case 37: return 8;
    case 100000: return 1;
    default: return (state + 1) % 12;
    }
}

void program(void) {
    run_switch(by_switch);
    run_goto(by_goto);
    int32_t (*const areas[])(const struct shape *) = {rectangle, triangle, disk};
    for (int i = 0; i < 12; ++i) {
        struct shape shape = {areas[i % 3], i & 1 ? by_area : by_side, i + 3, 17 - i};
        shapes[i] = shape.scaled(&shape, i - 5);
    }
    for (uint32_t i = 1; i < sizeof machine_history / sizeof *machine_history; ++i)
        machine_history[i] = next_state(machine_history[i - 1], next_random() % 4);
}
