// Executes words one at a time on Linux, and says what came of each.
//
// Reads the number of words and the words; writes a `struct outcome` for each, and then the scratch memory. All of it
// happens in the signal handler: it notes where and why the last word ended, writes the next one to SLOT, and returns
// to there with all registers set anew. Around SLOT are EBREAKs, so that every word ends in a signal.

typedef unsigned u32;

#define SLOT 0x10000000u
#define SLOT_BEFORE 0x1000u
#define SLOT_LENGTH 0x3000u
#define SCRATCH 0x18000000u
#define SCRATCH_LENGTH 0x2000u
#define EBREAK 0x00100073u

// What is in register r, and in the scratch memory at the start.
static u32 register_value(u32 r) { return SCRATCH + 0x1000 + 4 * r; }
static u32 scratch_value(u32 address) { return address * 0x9e3779b1u ^ 0xa5c30f69u; }

struct outcome {
    u32 pc;      // where the signal came from
    u32 value;   // of the last register that changed
    u32 changed; // how many registers changed
    u32 which;   // the last of them, and the signal's number << 8
};

#define MOST 0x40000
static u32 count, words[MOST];
static struct outcome outcomes[MOST];
static u32 next;
static u32 registers_at; // where pc is in the ucontext; the registers follow
static u32 handler_stack[2048];

static u32 call(u32 number, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f) {
    register u32 a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c,
                 a3 __asm__("a3") = d, a4 __asm__("a4") = e, a5 __asm__("a5") = f;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return a0;
}

static void finish(u32 code) {
    call(93, code, 0, 0, 0, 0, 0);
    __builtin_unreachable();
}

static void transfer(u32 number, u32 file, void *at, u32 length) {
    char *bytes = at;
    while (length) {
        int moved = (int)call(number, file, (u32)bytes, length, 0, 0, 0);
        if (moved <= 0) finish(10);
        bytes += moved;
        length -= (u32)moved;
    }
}

static void map(u32 at, u32 length, u32 protection) {
    if (call(222, at, length, protection, 0x32, (u32)-1, 0) != at) finish(11); // private, fixed, anonymous
}

static void handle(u32 signal, void *info, u32 *context) {
    (void)info;
    if (registers_at == 0) {
        // The first signal is the EBREAK at SLOT.
        for (u32 index = 5; index < 128 && context[index] != SLOT;) registers_at = ++index;
        if (context[registers_at] != SLOT) finish(12);
    } else {
        struct outcome *outcome = &outcomes[next++];
        outcome->pc = context[registers_at];
        for (u32 r = 1; r < 32; ++r)
            if (context[registers_at + r] != register_value(r)) {
                outcome->changed++;
                outcome->which = r;
                outcome->value = context[registers_at + r];
            }
        outcome->which |= signal << 8;
    }
    if (next == count) {
        transfer(64, 1, outcomes, count * sizeof *outcomes);
        transfer(64, 1, (void *)SCRATCH, SCRATCH_LENGTH);
        finish(0);
    }
    *(volatile u32 *)SLOT = words[next];
    context[registers_at] = SLOT;
    for (u32 r = 1; r < 32; ++r) context[registers_at + r] = register_value(r);
}

__attribute__((used)) static void run(void) {
    transfer(63, 0, &count, 4);
    if (count == 0 || count > MOST) finish(13);
    transfer(63, 0, words, 4 * count);
    map(SLOT - SLOT_BEFORE, SLOT_LENGTH, 7);
    map(SCRATCH, SCRATCH_LENGTH, 3);
    for (u32 at = SLOT - SLOT_BEFORE; at < SLOT - SLOT_BEFORE + SLOT_LENGTH; at += 4) *(volatile u32 *)at = EBREAK;
    for (u32 at = SCRATCH; at < SCRATCH + SCRATCH_LENGTH; at += 4) *(volatile u32 *)at = scratch_value(at);
    u32 stack[3] = {(u32)handler_stack, 0, sizeof handler_stack};
    if (call(132, (u32)stack, 0, 0, 0, 0, 0)) finish(14);
    u32 action[4] = {(u32)handle, 0x08000004, 0, 0}; // on the other stack, with all its arguments
    static const u32 signals[] = {4, 5, 7, 11};      // SIGILL, SIGTRAP, SIGBUS, SIGSEGV
    for (u32 index = 0; index < 4; ++index)
        if (call(134, signals[index], (u32)action, 0, 8, 0, 0)) finish(15);
    ((void (*)(void))SLOT)();
}

__attribute__((naked)) void _start(void) { __asm__ volatile("call run"); }
