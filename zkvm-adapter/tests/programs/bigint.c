// Integers of many words: factorials, Fibonacci numbers, powers modulo 2^255 - 19, division, decimal digits.

#include "runtime.h"

#define WORDS 16

typedef struct {
    uint32_t words[WORDS];
} number;

number factorial, fibonacci, power, quotient, remainder_;
char digits[WORDS * 10 + 1];
uint32_t carries;

static uint32_t add(number *to, const number *by) {
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; ++i) {
        carry += (uint64_t)to->words[i] + by->words[i];
        to->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    carries += (uint32_t)carry;
    return (uint32_t)carry;
}

static uint32_t subtract(number *to, const number *by) {
    uint32_t borrow = 0;
    for (int i = 0; i < WORDS; ++i) {
        uint64_t left = (uint64_t)to->words[i] - by->words[i] - borrow;
        to->words[i] = (uint32_t)left;
        borrow = (uint32_t)(left >> 32) & 1;
    }
    return borrow;
}

static int less(const number *a, const number *b) {
    for (int i = WORDS; i-- > 0;)
        if (a->words[i] != b->words[i]) return a->words[i] < b->words[i];
    return 0;
}

static void times_small(number *to, uint32_t by) {
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; ++i) {
        carry += (uint64_t)to->words[i] * by;
        to->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static uint32_t divide_small(number *to, uint32_t by) {
    uint64_t rest = 0;
    for (int i = WORDS; i-- > 0;) {
        rest = rest << 32 | to->words[i];
        to->words[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    return (uint32_t)rest;
}

// Of the lower halves, so that it fits.
static number product(const number *a, const number *b) {
    number out = {{0}};
    for (int i = 0; i < WORDS / 2; ++i) {
        uint64_t carry = 0;
        for (int j = 0; j < WORDS / 2; ++j) {
            carry += (uint64_t)a->words[i] * b->words[j] + out.words[i + j];
            out.words[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        out.words[i + WORDS / 2] = (uint32_t)carry;
    }
    return out;
}

static void divide(const number *a, const number *b, number *q, number *r) {
    *q = *r = (number){{0}};
    for (int bit = 32 * WORDS; bit-- > 0;) {
        add(r, r);
        r->words[0] |= a->words[bit / 32] >> bit % 32 & 1;
        if (!less(r, b)) {
            subtract(r, b);
            q->words[bit / 32] |= 1u << bit % 32;
        }
    }
}

static void reduce(number *n, const number *p) {
    // 2^256 = 38 mod p.
    number high = {{0}};
    memcpy(high.words, n->words + WORDS / 2, WORDS / 2 * sizeof *n->words);
    memset(n->words + WORDS / 2, 0, WORDS / 2 * sizeof *n->words);
    times_small(&high, 38);
    add(n, &high);
    while (n->words[WORDS / 2]) {
        number more = {{n->words[WORDS / 2] * 38}};
        n->words[WORDS / 2] = 0;
        add(n, &more);
    }
    while (!less(n, p)) subtract(n, p);
}

void program(void) {
    number p = {{0xffffffed, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x7fffffff}}, base = {{3}}, left, other = {{1}};
    factorial.words[0] = 1;
    for (uint32_t i = 2; i <= 80; ++i) times_small(&factorial, i);
    for (int i = 0; i < 100; ++i) {
        number sum = fibonacci;
        add(&sum, &other);
        other = fibonacci;
        fibonacci = sum;
    }
    power.words[0] = 1;
    for (uint32_t exponent = 0x9e3779b1; exponent; exponent >>= 1) {
        number made;
        if (exponent & 1) {
            made = product(&power, &base);
            reduce(&made, &p);
            power = made;
        }
        made = product(&base, &base);
        reduce(&made, &p);
        base = made;
    }
    divide(&factorial, &fibonacci, &quotient, &remainder_);
    left = factorial;
    for (char *out = digits; out < digits + sizeof digits - 1; ++out) *out = (char)('0' + divide_small(&left, 10));
}
