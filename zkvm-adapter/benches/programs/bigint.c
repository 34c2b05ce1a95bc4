// Powers of a 2048-bit number modulo another, by Montgomery's multiplication. Limbs are as wide as the machine's words.
#define EXPECTED 0xcfeab2f4u
#include "start.h"

#if __riscv_xlen == 64
typedef unsigned __int128 wide;
#else
typedef uint64_t wide;
#endif

enum { BITS = 2048, WIDTH = 8 * sizeof(word), LIMBS = BITS / WIDTH };

static word modulus[LIMBS], base[LIMBS], result[LIMBS], one[LIMBS];
static word inverse;

// to = a * b / 2^BITS mod modulus
static void multiply(word *to, const word *a, const word *b) {
    word t[LIMBS + 2] = {0};
    for (int i = 0; i < LIMBS; i++) {
        wide carry = 0;
        for (int j = 0; j < LIMBS; j++) {
            carry += (wide)a[j] * b[i] + t[j];
            t[j] = (word)carry, carry >>= WIDTH;
        }
        carry += t[LIMBS];
        t[LIMBS] = (word)carry, t[LIMBS + 1] = (word)(carry >> WIDTH);
        word m = t[0] * inverse;
        carry = ((wide)m * modulus[0] + t[0]) >> WIDTH;
        for (int j = 1; j < LIMBS; j++) {
            carry += (wide)m * modulus[j] + t[j];
            t[j - 1] = (word)carry, carry >>= WIDTH;
        }
        carry += t[LIMBS];
        t[LIMBS - 1] = (word)carry, t[LIMBS] = t[LIMBS + 1] + (word)(carry >> WIDTH);
    }
    word difference[LIMBS], borrow = 0;
    for (int j = 0; j < LIMBS; j++) {
        word x = t[j], y = x - modulus[j], z = y - borrow;
        borrow = (x < y) | (y < z);
        difference[j] = z;
    }
    const word *from = t[LIMBS] >= borrow ? difference : t;
    for (int j = 0; j < LIMBS; j++) to[j] = from[j];
}

static void fill(word *a) {
    for (int i = 0; i < LIMBS; i++) {
        a[i] = next_random();
        if (WIDTH == 64) a[i] |= (wide)next_random() << 32;
    }
}

static uint32_t work(void) {
    fill(modulus), fill(base);
    modulus[0] |= 1, modulus[LIMBS - 1] |= (word)1 << (WIDTH - 1);
    base[LIMBS - 1] = base[LIMBS - 1] << 1 >> 1;
    inverse = 1;
    for (int i = 0; i < 6; i++) inverse *= 2 - modulus[0] * inverse;
    inverse = -inverse;
    for (int i = 0; i < LIMBS; i++) result[i] = base[i];
    for (int bit = 0; bit < 3000; bit++) {
        multiply(result, result, result);
        if (0x9e3779b97f4a7c15u >> (bit % 64) & 1) multiply(result, result, base);
    }
    one[0] = 1;
    multiply(result, result, one);
    return (uint32_t)result[0];
}
