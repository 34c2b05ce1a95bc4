// Reads and writes all over a megabyte: a cycle of pointers in random order, then strides.
#define EXPECTED 0x545acbf4u
#include "start.h"

enum { COUNT = 1 << 18 };

static uint32_t cells[COUNT];

static uint32_t work(void) {
    // Sattolo's shuffle: one cycle through all cells.
    for (uint32_t i = 0; i < COUNT; i++) cells[i] = i;
    for (uint32_t i = COUNT - 1; i > 0; i--) {
        uint32_t j = next_random() % i, other = cells[i];
        cells[i] = cells[j], cells[j] = other;
    }
    uint32_t at = 0, sum = 0;
    for (uint32_t i = 0; i < 8 * COUNT; i++) {
        at = cells[at];
        sum = sum * 3 + at;
    }
    for (uint32_t stride = 1; stride < 65536; stride += stride + 1) {
        for (uint32_t i = 0, cell = 0; i < 2 * COUNT; i++) {
            uint32_t value = cells[cell] * 5 + sum;
            cells[cell] = value;
            sum ^= value >> 7;
            cell = (cell + stride) & (COUNT - 1);
        }
    }
    const uint8_t *bytes = (const uint8_t *)cells;
    for (int round = 0; round < 8; round++)
        for (uint32_t i = 0; i < sizeof cells; i++) sum = (sum << 1 | sum >> 31) + bytes[i];
    return sum;
}
