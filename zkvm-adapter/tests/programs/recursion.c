// Functions that call themselves and one another, deeply; structures by value.

#include "runtime.h"

uint32_t ackermann_values[3][6], queens[9], moves, collatz, is_even_of[10], partitions[20], paths;
uint8_t pegs[3], disks_at[12], sudoku[4][4];

struct tree {
    struct tree *left, *right;
    int32_t key;
    uint32_t depth;
} nodes[120], *root;
struct summary {
    int32_t least, most;
    uint32_t count, height;
    int64_t sum;
} summary;

static uint32_t ackermann(uint32_t m, uint32_t n) {
    if (m == 0) return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static uint32_t place(uint32_t size, uint32_t columns, uint32_t left, uint32_t right) {
    uint32_t all = (1u << size) - 1, count = 0;
    if (columns == all) return 1;
    for (uint32_t free = all & ~(columns | left | right); free; free &= free - 1) {
        uint32_t bit = free & -free;
        count += place(size, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

static void hanoi(int disks, int from, int to, int over) {
    if (disks == 0) return;
    hanoi(disks - 1, from, over, to);
    disks_at[disks] = (uint8_t)to;
    --pegs[from], ++pegs[to], ++moves;
    hanoi(disks - 1, over, to, from);
}

static int is_odd(uint32_t n);
__attribute__((noinline)) static int is_even(uint32_t n) { return n == 0 ? 1 : is_odd(n - 1); }
__attribute__((noinline)) static int is_odd(uint32_t n) { return n == 0 ? 0 : is_even(n - 1); }

static uint32_t steps_to_one(uint32_t n) { return n == 1 ? 0 : 1 + steps_to_one(n & 1 ? 3 * n + 1 : n / 2); }

static uint32_t partition(int n, int most) {
    if (n == 0) return 1;
    uint32_t count = 0;
    for (int part = most < n ? most : n; part > 0; --part) count += partition(n - part, part);
    return count;
}

static struct tree *insert(struct tree *at, struct tree *node, uint32_t depth) {
    if (!at) {
        node->depth = depth;
        return node;
    }
    if (node->key < at->key)
        at->left = insert(at->left, node, depth + 1);
    else
        at->right = insert(at->right, node, depth + 1);
    return at;
}

static struct summary summarise(const struct tree *of) {
    if (!of) return (struct summary){0x7fffffff, -0x7fffffff - 1, 0, 0, 0};
    struct summary left = summarise(of->left), right = summarise(of->right);
    return (struct summary){
        left.least < of->key ? left.least : of->key,
        right.most > of->key ? right.most : of->key,
        left.count + right.count + 1,
        (left.height > right.height ? left.height : right.height) + 1,
        left.sum + right.sum + of->key,
    };
}

static int fill(int cell) {
    if (cell == 16) return 1;
    int row = cell / 4, column = cell % 4;
    for (uint8_t digit = 1; digit <= 4; ++digit) {
        int fits = 1;
        for (int i = 0; i < 4; ++i)
            fits &= sudoku[row][i] != digit && sudoku[i][column] != digit &&
                    sudoku[row / 2 * 2 + i / 2][column / 2 * 2 + i % 2] != digit;
        if (!fits) continue;
        sudoku[row][column] = digit;
        if (fill(cell + 1)) return 1;
    }
    sudoku[row][column] = 0;
    return 0;
}

void program(void) {
    for (uint32_t m = 0; m < 3; ++m)
        for (uint32_t n = 0; n < 6; ++n) ackermann_values[m][n] = ackermann(m, n);
    for (uint32_t size = 1; size < 7; ++size) queens[size] = place(size, 0, 0, 0);
    pegs[0] = 9;
    hanoi(9, 0, 2, 1);
    for (uint32_t i = 0; i < 10; ++i) is_even_of[i] = (uint32_t)is_even(i * 13);
    collatz = steps_to_one(97);
    for (int i = 0; i < 14; ++i) partitions[i] = partition(i, i);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; ++i) {
        nodes[i].key = (int32_t)next_random() >> 8;
        root = insert(root, &nodes[i], 0);
    }
    summary = summarise(root);
    paths = (uint32_t)fill(0);
}
