// Small types in memory: bit fields, unions, signs, arrays of all widths, volatile accesses, matrices.

#include "runtime.h"

struct bits {
    int small : 3;
    unsigned wide : 17;
    int across : 14;
    unsigned one : 1;
    long long most : 40;
} fields[16];
union views {
    int8_t bytes[16];
    int16_t halves[8];
    int32_t words[4];
    uint64_t doubles[2];
} views[8];
int8_t signed_bytes[64];
uint8_t unsigned_bytes[64];
int16_t signed_halves[64];
uint16_t unsigned_halves[64];
int32_t sums[16];
int32_t matrix[9][9], inverse_steps;
volatile uint8_t port = 0x5a;
volatile int16_t ports[3] = {-1, 0x7fff, -0x8000};
_Bool flags[8];

static int32_t widen(int8_t a, uint8_t b, int16_t c, uint16_t d) { return a * 3 + b * 5 + c * 7 + d * 11; }

void program(void) {
    for (int i = 0; i < 16; ++i) {
        uint32_t r = next_random();
        fields[i] = (struct bits){(int)r % 4, r >> 3 & 0x1ffff, (int)(r >> 7 & 0x1fff) - 4096, r & 1, (long long)(int)r * 97};
        fields[i].small ^= (int)(r >> 30);
        fields[i].across -= fields[i].small;
        fields[i].most += fields[i].across;
    }
    for (int i = 0; i < 64; ++i) {
        uint32_t r = next_random();
        signed_bytes[i] = (int8_t)r, unsigned_bytes[i] = (uint8_t)(r >> 8);
        signed_halves[i] = (int16_t)(r >> 16), unsigned_halves[i] = (uint16_t)(r >> 11);
        sums[i % 16] += widen(signed_bytes[i], unsigned_bytes[i], signed_halves[i], unsigned_halves[i]);
        signed_bytes[i] >>= i % 8, signed_halves[i] >>= i % 16;
        unsigned_bytes[i] = (uint8_t)(unsigned_bytes[i] + signed_bytes[i]);
        unsigned_halves[i] = (uint16_t)(unsigned_halves[i] * signed_halves[i]);
        flags[i % 8] ^= signed_bytes[i] < 0 && unsigned_halves[i] > 0x8000;
    }
    for (int i = 0; i < 8; ++i) {
        for (int j = 0; j < 4; ++j) views[i].words[j] = (int32_t)next_random();
        for (int j = 0; j < 8; ++j) views[i].halves[j] = (int16_t)(views[i].halves[j] / 3 + views[i].bytes[j]);
        for (int j = 0; j < 16; ++j) views[i].bytes[j] = (int8_t)(views[i].bytes[j] ^ views[i].bytes[15 - j]);
        views[i].doubles[1] += views[i].doubles[0] >> i | views[i].doubles[0] << (63 - i);
    }
    for (int i = 0; i < 200; ++i) {
        port = (uint8_t)(port * 5 + 1);
        ports[i % 3] = (int16_t)(ports[(i + 1) % 3] - port);
    }
    int32_t power[9][9] = {{0}};
    for (int i = 0; i < 9; ++i)
        for (int j = 0; j < 9; ++j) matrix[i][j] = (int32_t)(next_random() % 7) - 3, power[i][j] = i == j;
    for (; inverse_steps < 6; ++inverse_steps) {
        int32_t next[9][9];
        for (int i = 0; i < 9; ++i)
            for (int j = 0; j < 9; ++j) {
                uint32_t sum = 0;
                for (int k = 0; k < 9; ++k) sum += (uint32_t)power[i][k] * (uint32_t)matrix[k][j];
                next[i][j] = (int32_t)sum;
            }
        memcpy(power, next, sizeof power);
    }
    memcpy(matrix, power, sizeof matrix);
}
