/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* One pass over what is pending in a batch:
 *
 *      build --too large, no JSON, ...-------------------------------------------+
 *        | document                                                              v
 *      bulks --refused for good--------------------------------------------> rejected collection --> REJECTED, or FAILED when that is
 * refused for good |   |  |                                                                ^ |   |  +--_id taken--> one find --another
 * payload-----------------------+ |   |                    +--the same payload--> DUPLICATE               | |   +--odd code--> PENDING;
 * next pass alone; after a few passes --------+
 *        +--> STORED
 *
 * A fault of the remote ends the pass; what is settled stays settled, what is not is sent again under the same _id. */
/* clang-format on */
#include "subscribe/mongodb-write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subscribe/mongodb-bulk.h"
#include "subscribe/mongodb-compare.h"
#include "subscribe/mongodb-probe.h"
#include "subscribe/mongodb-rejects.h"

struct MongodbWriter {
        MongodbClient *client;
        MongodbRejects *rejects;
        Batch *batch;
        uint8_t *attempts; /* from here on one for each message of the batch */
        size_t *items;
        size_t *duplicates;
        MongodbVerdict *verdicts;
        size_t allocated;
        size_t n_duplicates;
        unsigned strange; /* passes over this batch that failed as a whole with an unknown code */
        usec_t stored_at;
        int error; /* -ENOMEM */
        MongodbWriteResult *result;
};

int mongodb_writer_new(MongodbClient *client, MongodbWriter **ret) {
        MongodbWriter *writer;
        int r;

        writer = calloc(1, sizeof(*writer));
        if (!writer)
                return -ENOMEM;
        r = mongodb_rejects_new(client, &writer->rejects);
        if (r < 0) {
                free(writer);
                return r;
        }
        writer->client = client;
        *ret = writer;
        return 0;
}

MongodbWriter *mongodb_writer_free(MongodbWriter *writer) {
        if (!writer)
                return NULL;
        free(writer->verdicts);
        free(writer->duplicates);
        free(writer->items);
        free(writer->attempts);
        writer->rejects = mongodb_rejects_free(writer->rejects);
        writer->client = mongodb_client_free(writer->client);
        free(writer);
        return NULL;
}

void mongodb_writer_probe(MongodbWriter *writer, MongodbWriteResult *ret) {
        *ret = (MongodbWriteResult){};
        ret->fault = mongodb_probe(writer->client, ret->detail, sizeof(ret->detail));
}

/* ---- messages ---- */

static void reject(MongodbWriter *w, size_t index, DocumentReason reason, const char *detail) {
        int r = mongodb_rejects_add(w->rejects, index, reason, detail);

        if (r < 0)
                w->error = r; /* the message stays pending */
}

static int build(void *userdata, size_t index, bson_t *document) {
        MongodbWriter *w = userdata;
        char detail[MONGODB_DETAIL_SIZE];
        int r;

        r = document_build(
                &w->batch->pull.messages[index], &w->client->rules, w->stored_at, document, detail, sizeof(detail));
        if (r <= DOCUMENT_OK)
                return r;
        reject(w, index, (DocumentReason) r, detail);
        return w->error < 0 ? w->error : MONGODB_BULK_SKIPPED;
}

static void settle(MongodbWriter *w, size_t index, Fate fate) {
        delivery_set_fate(w->batch, index, fate);
        if (fate == FATE_STORED)
                w->result->stored++;
        else
                w->result->duplicates++;
}

/* Refused with a code that says neither "never" nor "later", or gone between refusal and look: again, alone, and not
 * for ever. */
static void try_again(MongodbWriter *w, size_t index, const char *detail) {
        if (w->attempts[index] < MONGODB_WRITE_ATTEMPTS)
                w->attempts[index]++;
        if (w->attempts[index] == MONGODB_WRITE_ATTEMPTS) {
                reject(w, index, DOCUMENT_REFUSED, detail);
                return;
        }
        w->result->again = true;
        (void) snprintf(w->result->detail, sizeof(w->result->detail), "%s", detail);
}

static void on_verdict(void *userdata, size_t index, MongodbVerdict verdict, const char *detail) {
        MongodbWriter *w = userdata;

        switch (verdict) {
        case MONGODB_STORED:
                settle(w, index, FATE_STORED);
                break;
        case MONGODB_DUPLICATE:
                w->duplicates[w->n_duplicates++] = index;
                break;
        case MONGODB_REFUSED:
                reject(w, index, DOCUMENT_REFUSED, detail);
                break;
        case MONGODB_ODD:
                try_again(w, index, detail);
                break;
        case MONGODB_UNKNOWN:
        case MONGODB_LATER:
                break;
        }
}

/* ---- steps of a pass ---- */

/* Sorts the pending messages: from the front of items those that go together, from its end those that were odd before.
 */
static void sort_pending(MongodbWriter *w, size_t *ret_together, size_t *ret_alone) {
        size_t n = w->batch->pull.n, together = 0, alone = n;

        for (size_t i = 0; i < n; i++) {
                if (w->batch->fates[i] != FATE_PENDING)
                        continue;
                if (w->attempts[i] == 0)
                        w->items[together++] = i;
                else
                        w->items[--alone] = i;
        }
        *ret_together = together;
        *ret_alone = alone;
}

static MongodbFault send_pending(MongodbWriter *w) {
        size_t together, alone;
        MongodbFault fault;
        MongodbBulk bulk;

        mongodb_bulk_init(&bulk, w->client, w->client->readings);
        bulk.build = build;
        bulk.on_verdict = on_verdict;
        bulk.userdata = w;
        bulk.halve_strange = w->strange >= MONGODB_WRITE_ATTEMPTS;

        sort_pending(w, &together, &alone);
        fault = mongodb_bulk_send(&bulk, w->items, together);
        for (size_t i = alone; fault == MONGODB_FAULT_NONE && i < w->batch->pull.n; i++)
                fault = mongodb_bulk_send(&bulk, &w->items[i], 1);

        if (fault != MONGODB_FAULT_NONE)
                (void) snprintf(w->result->detail, sizeof(w->result->detail), "%s", bulk.detail);
        mongodb_bulk_done(&bulk);
        return fault;
}

static MongodbFault compare_duplicates(MongodbWriter *w) {
        MongodbFault fault;

        for (size_t from = 0; from < w->n_duplicates; from += MONGODB_BULK_DOCUMENTS) {
                size_t n = w->n_duplicates - from;

                if (n > MONGODB_BULK_DOCUMENTS)
                        n = MONGODB_BULK_DOCUMENTS;
                fault = mongodb_compare(w->client, w->batch->pull.messages, w->duplicates + from, n, w->verdicts,
                        w->result->detail, sizeof(w->result->detail));
                if (fault != MONGODB_FAULT_NONE)
                        return fault;
                for (size_t i = 0; i < n; i++) {
                        size_t index = w->duplicates[from + i];

                        if (w->verdicts[i] == MONGODB_DUPLICATE)
                                settle(w, index, FATE_DUPLICATE);
                        else if (w->verdicts[i] == MONGODB_REFUSED)
                                reject(w, index, DOCUMENT_ID_CONFLICT,
                                        "its _id is taken by a document with another payload");
                        else
                                try_again(w, index, "its _id is taken, but no document with it is to be found");
                }
        }
        return MONGODB_FAULT_NONE;
}

static MongodbFault flush_rejected(MongodbWriter *w) {
        MongodbRejectsCount count = {};
        MongodbFault fault = mongodb_rejects_flush(w->rejects, &count, w->result->detail, sizeof(w->result->detail));

        w->result->rejected += count.rejected;
        w->result->failed += count.failed;
        return fault;
}

static MongodbFault pass(MongodbWriter *w) {
        MongodbFault fault = mongodb_client_connect(w->client, w->result->detail, sizeof(w->result->detail));

        if (fault == MONGODB_FAULT_NONE)
                fault = send_pending(w);
        if (fault == MONGODB_FAULT_NONE)
                fault = compare_duplicates(w);
        if (fault == MONGODB_FAULT_NONE)
                fault = flush_rejected(w);
        if (fault == MONGODB_FAULT_NONE && w->error < 0) {
                (void) snprintf(w->result->detail, sizeof(w->result->detail), "out of memory");
                fault = MONGODB_FAULT_LOCAL;
        }
        return fault;
}

/* Makes room for what is kept for each message of *batch*. */
static int begin(MongodbWriter *w, Batch *batch, bool again) {
        size_t n = batch->pull.n;

        if (n > w->allocated) {
                uint8_t *attempts = realloc(w->attempts, n);
                size_t *items = attempts ? reallocarray(w->items, n, sizeof(*items)) : NULL;
                size_t *duplicates = items ? reallocarray(w->duplicates, n, sizeof(*duplicates)) : NULL;
                MongodbVerdict *verdicts = duplicates ? reallocarray(w->verdicts, n, sizeof(*verdicts)) : NULL;

                w->attempts = attempts ? attempts : w->attempts;
                w->items = items ? items : w->items;
                w->duplicates = duplicates ? duplicates : w->duplicates;
                w->verdicts = verdicts ? verdicts : w->verdicts;
                if (!verdicts)
                        return -ENOMEM;
                w->allocated = n;
        }
        if (!again || w->batch != batch) {
                if (n > 0)
                        memset(w->attempts, 0, n);
                w->strange = 0;
        }
        mongodb_rejects_begin(w->rejects, batch, again);
        w->batch = batch;
        w->n_duplicates = 0;
        w->stored_at = clock_wall();
        w->error = 0;
        return 0;
}

void mongodb_writer_write(MongodbWriter *w, Batch *batch, bool again, MongodbWriteResult *ret) {
        *ret = (MongodbWriteResult){};
        w->result = ret;
        if (begin(w, batch, again) < 0) {
                ret->fault = MONGODB_FAULT_LOCAL;
                (void) snprintf(ret->detail, sizeof(ret->detail), "out of memory");
                return;
        }
        ret->fault = pass(w);
        if (ret->fault == MONGODB_FAULT_STRANGE)
                w->strange++;
        if (ret->fault == MONGODB_FAULT_NONE && !ret->again && batch_count(batch, FATE_PENDING) > 0) {
                ret->again = true; /* cannot be, but must not pass for settled either */
                (void) snprintf(ret->detail, sizeof(ret->detail), "not every message has a fate");
        }
        w->result = NULL;
}
