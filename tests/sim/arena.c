/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of powers of two, each with its size class in front; freed ones wait in a list for each class. One process at
 * a time uses it, so there are no locks. */
#include "arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASS_MIN 5 /* 32 bytes */
#define CLASSES 40
#define CLASS_LARGE 18 /* 256 kB: what is free of it goes back to the kernel, and comes zeroed */
#define PAGE 4096

typedef struct Block {
        uint32_t class, magic;
        struct Block *next; /* of a freed one */
} Block;

#define HEADER_SIZE 16 /* so that what follows is aligned */
#define MAGIC_USED 0x5eed5eedU
#define MAGIC_FREE 0xf4eef4eeU

/* At the beginning of the mapping: shared as well. */
typedef struct Arena {
        size_t size, used;
        Block *free[CLASSES];
} Arena;

static Arena *arena; /* of the whole program: set once, before the first fork */

void arena_open(size_t size) {
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED) {
                perror("arena");
                exit(70);
        }
        arena = memory;
        arena->size = size;
        arena->used = (sizeof(Arena) + 63) & ~(size_t) 63;
}

/* The pages go back to the kernel, which gives zeroed ones. */
void arena_reset(void) {
        size_t size = arena->size;

        if (madvise(arena, size, MADV_REMOVE) < 0)
                memset(arena, 0, arena->used);
        arena->size = size;
        arena->used = (sizeof(Arena) + 63) & ~(size_t) 63;
        memset(arena->free, 0, sizeof(arena->free));
}

size_t arena_used(void) {
        return arena ? arena->used : 0;
}

/* Zeroes what is behind the header of a large block, without touching it. */
static void give_back(Block *block) {
        char *from = (char *) block + HEADER_SIZE, *to = (char *) block + ((size_t) 1 << block->class);
        char *first = from + (PAGE - (uintptr_t) from % PAGE) % PAGE, *last = to - (uintptr_t) to % PAGE;

        memset(from, 0, (size_t) (first - from));
        memset(last, 0, (size_t) (to - last));
        if (madvise(first, (size_t) (last - first), MADV_REMOVE) < 0)
                memset(first, 0, (size_t) (last - first));
}

static unsigned class_of(size_t size) {
        unsigned class = CLASS_MIN;

        while (((size_t) 1 << class) < size + HEADER_SIZE)
                class ++;
        return class;
}

static Block *block_of(void *pointer) {
        Block *block = (Block *) ((char *) pointer - HEADER_SIZE);

        assert(block->magic == MAGIC_USED);
        return block;
}

static Block *carve(unsigned class) {
        size_t size = (size_t) 1 << class;
        Block *block = (Block *) ((char *) arena + arena->used);

        if (arena->used + size > arena->size) {
                fprintf(stderr, "arena: %zu bytes are not enough\n", arena->size);
                abort();
        }
        arena->used += size;
        return block;
}

void *arena_alloc(size_t size) {
        unsigned class = class_of(size);
        Block *block;

        if (!arena) {
                void *memory = calloc(1, size > 0 ? size : 1);

                if (!memory)
                        abort();
                return memory;
        }
        block = arena->free[class];
        if (block) {
                assert(block->magic == MAGIC_FREE);
                arena->free[class] = block->next;
                if (class < CLASS_LARGE)
                        memset((char *) block + HEADER_SIZE, 0, size);
        } else
                block = carve(class); /* zeroed by the kernel */
        block->class = class;
        block->magic = MAGIC_USED;
        block->next = NULL;
        return (char *) block + HEADER_SIZE;
}

void *arena_free(void *pointer) {
        Block *block;

        if (!pointer)
                return NULL;
        if (!arena)
                return free(pointer), NULL;
        block = block_of(pointer);
        block->magic = MAGIC_FREE;
        if (block->class >= CLASS_LARGE)
                give_back(block);
        block->next = arena->free[block->class];
        arena->free[block->class] = block;
        return NULL;
}

void *arena_grow(void *pointer, size_t from, size_t to) {
        char *larger = arena_alloc(to);

        if (from > 0)
                memcpy(larger, pointer, from);
        (void) arena_free(pointer);
        return larger;
}

void *arena_resize(void *pointer, size_t size) {
        size_t room;
        void *larger;

        if (!pointer)
                return arena_alloc(size);
        if (!arena) {
                larger = realloc(pointer, size > 0 ? size : 1);
                if (!larger)
                        abort();
                return larger;
        }
        room = ((size_t) 1 << block_of(pointer)->class) - HEADER_SIZE;
        if (size <= room)
                return pointer;
        larger = arena_alloc(size);
        memcpy(larger, pointer, room);
        (void) arena_free(pointer);
        return larger;
}

void *arena_copy(const void *data, size_t size) {
        char *copy = arena_alloc(size + 1);

        if (size > 0)
                memcpy(copy, data, size);
        return copy;
}

char *arena_text(const char *text) {
        return arena_copy(text, strlen(text));
}
