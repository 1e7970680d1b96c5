/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The documents of the model of MongoDB, by collection and _id. */

#include <bson/bson.h>

#include "world.h"

typedef struct Document {
        struct Document *next;
        char *id;
        uint8_t *data; /* BSON */
        uint32_t size, serial;
        bool rejected, majority, gone;
        unsigned subscription;
} Document;

typedef struct Collection Collection;

Collection *mongo_store_collection(const char *name);
/* Inserts a copy. False: the _id is taken. *answered*: the majority has it; else that comes out later, one way or the
 * other. */
bool mongo_store_insert(Collection *c, const bson_t *document, bool answered);
/* What a read sees under that _id, of a majority or *local*; NULL: nothing. */
const Document *mongo_store_find(const Collection *c, const char *id, bool local);
