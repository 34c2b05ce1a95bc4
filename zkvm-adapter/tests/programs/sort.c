// Sorting in several ways, with comparisons through function pointers.

#include "runtime.h"

#define COUNT 300

struct record {
    int16_t key;
    uint8_t tag;
    uint32_t value;
};

int32_t quick[COUNT], heap[COUNT], merged[COUNT];
struct record records[COUNT];
uint32_t comparisons;

typedef int (*compare)(const void *, const void *);

static int by_value(const void *one, const void *other) {
    int32_t a = *(const int32_t *)one, b = *(const int32_t *)other;
    ++comparisons;
    return (a > b) - (a < b);
}

static int by_key_then_tag(const void *one, const void *other) {
    const struct record *a = one, *b = other;
    ++comparisons;
    return a->key != b->key ? a->key - b->key : (int)b->tag - (int)a->tag;
}

static void swap(char *a, char *b, size_t size) {
    while (size--) {
        char kept = *a;
        *a++ = *b;
        *b++ = kept;
    }
}

static void quicksort(char *base, size_t count, size_t size, compare order) {
    while (count > 1) {
        char *pivot = base + (count - 1) * size;
        size_t less = 0;
        swap(base + count / 2 * size, pivot, size);
        for (size_t i = 0; i + 1 < count; ++i)
            if (order(base + i * size, pivot) < 0) swap(base + i * size, base + less++ * size, size);
        swap(base + less * size, pivot, size);
        quicksort(base, less, size, order);
        base += (less + 1) * size;
        count -= less + 1;
    }
}

static void sift(int32_t *of, size_t at, size_t count, compare order) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && order(of + child, of + child + 1) < 0) ++child;
        if (order(of + at, of + child) >= 0) return;
        swap((char *)(of + at), (char *)(of + child), sizeof *of);
    }
}

static void heapsort(int32_t *of, size_t count, compare order) {
    for (size_t at = count / 2; at-- > 0;) sift(of, at, count, order);
    while (count-- > 1) {
        swap((char *)of, (char *)(of + count), sizeof *of);
        sift(of, 0, count, order);
    }
}

static void mergesort(int32_t *of, size_t count, int32_t *room) {
    if (count < 2) return;
    size_t half = count / 2, left = 0, right = half, out = 0;
    mergesort(of, half, room);
    mergesort(of + half, count - half, room);
    while (left < half || right < count)
        room[out++] = right == count || (left < half && of[left] <= of[right]) ? of[left++] : of[right++];
    memcpy(of, room, count * sizeof *of);
}

void program(void) {
    static int32_t room[COUNT];
    for (int i = 0; i < COUNT; ++i) {
        uint32_t r = next_random();
        quick[i] = heap[i] = merged[i] = (int32_t)(i % 3 ? r : r % 10);
        records[i] = (struct record){(int16_t)(r % 16 - 8), (uint8_t)i, r};
    }
    quicksort((char *)quick, COUNT, sizeof *quick, by_value);
    heapsort(heap, COUNT, by_value);
    mergesort(merged, COUNT, room);
    quicksort((char *)records, COUNT, sizeof *records, by_key_then_tag);
}
