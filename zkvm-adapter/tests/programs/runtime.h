// What the programs share.
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stddef.h>
#include <stdint.h>

// Each file has one. Its results are all the global variables that it leaves.
void program(void);

// By runtime.c; the compiler calls them, too.
void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *one, const void *other, size_t length);

// Pseudorandom numbers, the same everywhere.
uint32_t next_random(void);

#endif
