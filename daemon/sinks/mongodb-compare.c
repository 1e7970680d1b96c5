/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One message and its id, which stands in Comparison.text. */
typedef struct Candidate {
        size_t offset, size;
        size_t position; /* in the caller's arrays */
} Candidate;

typedef struct Comparison {
        MongodbClient *client;
        const SinkItem *items;
        const size_t *indexes;
        size_t n;
        MongodbVerdict *verdicts; /* MONGODB_ODD: nothing found yet */
        Candidate *candidates;    /* by id */
        Bytes text;
        bson_t document;
} Comparison;

static int text_order(const char *a, size_t a_size, const char *b, size_t b_size) {
        int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

        return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int candidate_order(const void *a, const void *b, void *userdata) {
        const Candidate *left = a, *right = b;
        const char *text = userdata;

        return text_order(text + left->offset, left->size, text + right->offset, right->size);
}

static int collect(Comparison *c) {
        _cleanup_bytes_ Bytes scratch = {};

        c->candidates = calloc(c->n, sizeof(*c->candidates));
        if (!c->candidates)
                return -ENOMEM;
        for (size_t i = 0; i < c->n; i++) {
                Slice id;
                const DocumentInput input = { .message = c->items[c->indexes[i]].message, .rules = &c->client->rules };
                int r = document_id(&input, &scratch, &id);

                if (r < 0)
                        return r;
                c->candidates[i] = (Candidate){ c->text.size, id.size, i };
                r = bytes_append(&c->text, id.data, id.size);
                if (r < 0)
                        return r;
        }
        qsort_r(c->candidates, c->n, sizeof(*c->candidates), candidate_order, c->text.data);
        return 0;
}

static void put_ids(const Comparison *c, bson_t *ids) {
        for (size_t i = 0; i < c->n; i++) {
                char buffer[16];
                const char *key;

                (void) bson_uint32_to_string((uint32_t) i, &key, buffer, sizeof(buffer));
                (void) bson_append_utf8(
                        ids, key, -1, c->text.data + c->candidates[i].offset, (int) c->candidates[i].size);
        }
}

/* The first candidate whose id is not before *id*. */
static size_t lower_bound(const Comparison *c, const char *id, size_t size) {
        size_t low = 0, high = c->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (text_order(c->text.data + c->candidates[middle].offset, c->candidates[middle].size, id, size) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* What the message would be stored as now, against what is stored. */
static bool is_same(Comparison *c, const Candidate *candidate, const bson_t *stored) {
        const DocumentInput input = { .message = c->items[c->indexes[candidate->position]].message,
                .rules = &c->client->rules };
        char detail[DOCUMENT_DETAIL_SIZE];

        bson_reinit(&c->document);
        return document_build(&input, &c->document, detail) == DOCUMENT_OK &&
               document_same_payload(stored, &c->document);
}

static void compare_stored(void *userdata, const bson_t *stored) {
        Comparison *c = userdata;
        bson_iter_t iter;
        const char *id;
        uint32_t size;

        if (!bson_iter_init_find(&iter, stored, "_id") || !BSON_ITER_HOLDS_UTF8(&iter))
                return;
        id = bson_iter_utf8(&iter, &size);
        for (size_t i = lower_bound(c, id, size); i < c->n; i++) {
                const Candidate *candidate = &c->candidates[i];

                if (text_order(c->text.data + candidate->offset, candidate->size, id, size) != 0)
                        return;
                c->verdicts[candidate->position] = is_same(c, candidate, stored) ? MONGODB_DUPLICATE : MONGODB_REFUSED;
        }
}

static MongodbFault read_stored(Comparison *c, char *detail, size_t size) {
        bson_t ids = BSON_INITIALIZER;
        MongodbFault fault;

        put_ids(c, &ids);
        fault = mongodb_client_read_ids(c->client, c->client->readings, &ids, compare_stored, c, detail, size);
        bson_destroy(&ids);
        return fault;
}

MongodbFault mongodb_compare(MongodbClient *client, const SinkItem *items, const size_t *indexes, size_t n,
        MongodbVerdict *verdicts, char *detail, size_t size) {
        Comparison c = { .client = client, .items = items, .indexes = indexes, .n = n, .verdicts = verdicts };
        MongodbFault fault = MONGODB_FAULT_LOCAL;

        for (size_t i = 0; i < n; i++)
                verdicts[i] = MONGODB_ODD;
        bson_init(&c.document);
        if (collect(&c) == 0)
                fault = read_stored(&c, detail, size);
        else
                (void) snprintf(detail, size, "out of memory");
        if (fault == MONGODB_FAULT_POISON || fault == MONGODB_FAULT_STRANGE)
                fault = MONGODB_FAULT_BUSY; /* a read does not depend on what is in a document: the remote is not well
                                             */
        bson_destroy(&c.document);
        bytes_done(&c.text);
        free(c.candidates);
        return fault;
}
