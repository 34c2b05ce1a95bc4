// Quicksort of 65,536 records by a comparison that is a function pointer, as in C's library; and a heapsort of the
// same numbers.
#define EXPECTED 0x4ca26157u
#include "start.h"

enum { COUNT = 65536 };

struct record {
    uint32_t key;
    uint32_t number;
};

static struct record records[COUNT];
static uint32_t heap[COUNT];

static int by_key(const struct record *a, const struct record *b) {
    return a->key != b->key ? (a->key < b->key ? -1 : 1) : (a->number < b->number ? -1 : a->number > b->number);
}

static int (*volatile chosen)(const struct record *, const struct record *) = by_key;

static void quicksort(struct record *a, int n, int (*compare)(const struct record *, const struct record *)) {
    while (n > 12) {
        struct record pivot = a[n / 2];
        int i = 0, j = n - 1;
        while (i <= j) {
            while (compare(&a[i], &pivot) < 0) i++;
            while (compare(&a[j], &pivot) > 0) j--;
            if (i <= j) {
                struct record other = a[i];
                a[i++] = a[j], a[j--] = other;
            }
        }
        quicksort(a, j + 1, compare);
        a += i, n -= i;
    }
    for (int i = 1; i < n; i++) {
        struct record one = a[i];
        int j = i;
        for (; j > 0 && compare(&a[j - 1], &one) > 0; j--) a[j] = a[j - 1];
        a[j] = one;
    }
}

static void sift(uint32_t *a, int at, int n) {
    uint32_t value = a[at];
    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && a[child + 1] > a[child]) child++;
        if (a[child] <= value) break;
        a[at] = a[child];
    }
    a[at] = value;
}

static void heapsort(uint32_t *a, int n) {
    for (int i = n / 2; i-- > 0;) sift(a, i, n);
    for (int i = n; i-- > 1;) {
        uint32_t most = a[0];
        a[0] = a[i], a[i] = most;
        sift(a, 0, i);
    }
}

static uint32_t work(void) {
    uint32_t sum = 0;
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < COUNT; i++) records[i] = (struct record){next_random() & 0xffff, (uint32_t)i};
        for (int i = 0; i < COUNT; i++) heap[i] = records[i].key;
        quicksort(records, COUNT, chosen);
        heapsort(heap, COUNT);
        for (int i = 0; i < COUNT; i++) {
            if (records[i].key != heap[i]) return 1;
            sum = sum * 31 + (heap[i] ^ records[i].number);
        }
    }
    return sum;
}
