// 64-bit division, multiplication and shifts, which libgcc has the functions for, on edge operands.

#include "runtime.h"

static const uint64_t edges[] = {
    0, 1, 2, 3, 7, 10, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x100000001, 0x7fffffffffffffff, 0x8000000000000000,
    0x8000000000000001, 0xffffffff00000000, 0xfffffffffffffffe, 0xffffffffffffffff, 0x123456789abcdef0, 0xdeadbeef};
#define EDGES (sizeof edges / sizeof *edges)

struct results {
    uint64_t quotient, rest, product;
    int64_t signed_quotient, signed_rest;
    uint64_t left, right;
    int64_t arithmetic;
} results[EDGES][EDGES];

struct counts {
    int leading, trailing, ones, parity;
    uint64_t swapped;
} counts[EDGES];

uint32_t mixed;

void program(void) {
    for (size_t i = 0; i < EDGES; ++i) {
        uint64_t a = edges[i];
        for (size_t j = 0; j < EDGES; ++j) {
            uint64_t b = edges[j];
            struct results *to = &results[i][j];
            to->product = a * b;
            to->left = a << (b & 63);
            to->right = a >> (b & 63);
            to->arithmetic = (int64_t)a >> (b & 63);
            if (b == 0) continue;
            to->quotient = a / b;
            to->rest = a % b;
            // The one signed division that overflows is undefined in C.
            if (a == 1ull << 63 && ~b == 0) continue;
            to->signed_quotient = (int64_t)a / (int64_t)b;
            to->signed_rest = (int64_t)a % (int64_t)b;
            mixed += (uint32_t)(to->signed_rest / 3 + (int32_t)to->quotient / 7 - (int16_t)to->rest % 5);
        }
        if (a)
            counts[i] = (struct counts){__builtin_clzll(a), __builtin_ctzll(a), __builtin_popcountll(a),
                                        __builtin_parityll(a), __builtin_bswap64(a)};
    }
}
