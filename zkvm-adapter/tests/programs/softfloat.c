// Floating point without registers for it: libgcc's functions, on edge values and in small computations.

#include "runtime.h"

union single { float value; uint32_t bits; };
union whole { double value; uint64_t bits; };

static const uint32_t edges[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff800000, 0x7f800000,
    0x7fc00000, 0x40490fdb, 0x4b7fffff, 0x4f000000, 0xcf000001, 0x3effffff, 0x3f000001};
#define EDGES (sizeof edges / sizeof *edges)

struct results {
    union single sum, difference, product, quotient;
    union whole wide_sum, wide_product, wide_quotient;
    uint8_t less, equal, at_least, unordered;
} results[EDGES][EDGES];
struct conversions {
    int32_t to_int;
    uint32_t to_unsigned;
    int64_t to_long;
    union whole wide;
    union single back, from_int, from_unsigned, from_long;
} conversions[EDGES];
union whole roots[10], exponentials[6], pi;
uint8_t mandelbrot[8][16];

static double root(double of) {
    double guess = of > 1 ? of : 1;
    for (int i = 0; i < 30; ++i) guess = (guess + of / guess) / 2;
    return guess;
}

void program(void) {
    for (size_t i = 0; i < EDGES; ++i) {
        float a = ((union single){.bits = edges[i]}).value;
        for (size_t j = 0; j < EDGES; ++j) {
            float b = ((union single){.bits = edges[j]}).value;
            struct results *to = &results[i][j];
            to->sum.value = a + b;
            to->difference.value = a - b;
            to->product.value = a * b;
            to->quotient.value = a / b;
            to->wide_sum.value = (double)a + b;
            to->wide_product.value = (double)a * b;
            to->wide_quotient.value = (double)a / b;
            to->less = a < b;
            to->equal = a == b;
            to->at_least = a >= b;
            to->unordered = __builtin_isunordered(a, b);
        }
        struct conversions *to = &conversions[i];
        // Outside of these, a conversion to an integer is undefined in C.
        if (a > -2147483648.f && a < 2147483648.f) {
            to->to_int = (int32_t)a;
            to->to_long = (int64_t)((double)a * 1048576);
            if (a >= 0) to->to_unsigned = (uint32_t)a;
        }
        to->wide.value = a;
        to->back.value = (float)(to->wide.value * 0.1);
        to->from_int.value = (float)(int32_t)edges[i];
        to->from_unsigned.value = (float)edges[i];
        to->from_long.value = (float)((int64_t)edges[i] * -65537);
    }
    for (int i = 0; i < 10; ++i) roots[i].value = root(i * 0.7);
    for (int i = 0; i < 6; ++i) {
        double term = 1, x = i - 3;
        for (int n = 1; n < 25; ++n) exponentials[i].value += term, term *= x / n;
    }
    for (int n = 0; n < 40; ++n)
        pi.value += (4. / (8 * n + 1) - 2. / (8 * n + 4) - 1. / (8 * n + 5) - 1. / (8 * n + 6)) / (double)(1ull << n) / (double)(1ull << n) /
                    (double)(1ull << (n < 32 ? n : 31)) / (double)(1ull << (n < 32 ? n : 31));
    for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 16; ++x) {
            float cx = x * 0.1875f - 2, cy = y * 0.25f - 1, zx = 0, zy = 0;
            for (; mandelbrot[y][x] < 20 && zx * zx + zy * zy < 4; ++mandelbrot[y][x]) {
                float next = zx * zx - zy * zy + cx;
                zy = 2 * zx * zy + cy;
                zx = next;
            }
        }
}
