/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* One pass over the messages of a work:
 *
 *      build --too large, no JSON, ...------------------------> BAD
 *        | document                                              ^
 *      bulks --refused for good----------------------------------+
 *        |  |  +--_id taken--> one find --another payload--------+
 *        |  |                    +--the same payload--> DUPLICATE
 *        |  +--odd code--> SUSPECT
 *        +--> STORED
 *
 * A fault of the remote ends the pass; what is settled stays settled, what is not is sent again under the same _id. */
/* clang-format on */
#include "sinks/mongodb-write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/mongodb-bulk.h"
#include "sinks/mongodb-compare.h"
#include "sinks/mongodb-probe.h"
#include "sinks/mongodb-rejects.h"

struct MongodbWriter {
        MongodbClient *client;
        SinkWork *work;
        size_t *items; /* from here on one for each message of the work */
        size_t *duplicates;
        MongodbVerdict *verdicts;
        size_t allocated;
        size_t n_duplicates;
        unsigned strange; /* passes over these messages that failed as a whole with an unknown code */
        usec_t stored_at;
};

int mongodb_writer_new(MongodbClient *client, MongodbWriter **ret) {
        MongodbWriter *writer;

        writer = calloc(1, sizeof(*writer));
        if (!writer)
                return -ENOMEM;
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
        writer->client = mongodb_client_free(writer->client);
        free(writer);
        return NULL;
}

const MongodbClient *mongodb_writer_client(const MongodbWriter *writer) {
        return writer->client;
}

MongodbFault mongodb_writer_probe(MongodbWriter *writer, SinkAnswer *answer) {
        return mongodb_probe(writer->client, answer->detail, sizeof(answer->detail));
}

/* ---- messages ---- */

static void reject(MongodbWriter *w, size_t index, DocumentReason reason, const char *detail) {
        sink_item_bad(&w->work->items[index], document_reason(reason), detail);
}

static int build(void *userdata, size_t index, bson_t *document) {
        MongodbWriter *w = userdata;
        const DocumentInput input = {
                .message = w->work->items[index].message, .rules = &w->client->rules, .at = w->stored_at
        };
        char detail[DOCUMENT_DETAIL_SIZE];
        int r;

        r = document_build(&input, document, detail);
        if (r <= DOCUMENT_OK)
                return r;
        reject(w, index, (DocumentReason) r, detail);
        return MONGODB_BULK_SKIPPED;
}

/* Refused with a code that says neither "never" nor "later", or gone between refusal and look. */
static void suspect(MongodbWriter *w, size_t index, const char *detail) {
        sink_item_suspect(&w->work->items[index], 0, false, document_reason(DOCUMENT_REFUSED), detail);
}

static void on_verdict(void *userdata, size_t index, MongodbVerdict verdict, const char *detail) {
        MongodbWriter *w = userdata;

        switch (verdict) {
        case MONGODB_STORED:
                w->work->items[index].verdict = SINK_STORED;
                break;
        case MONGODB_DUPLICATE:
                w->duplicates[w->n_duplicates++] = index;
                break;
        case MONGODB_REFUSED:
                reject(w, index, DOCUMENT_REFUSED, detail);
                break;
        case MONGODB_ODD:
                suspect(w, index, detail);
                break;
        case MONGODB_UNKNOWN:
        case MONGODB_LATER:
                break;
        }
}

/* ---- steps of a pass ---- */

/* Sorts the messages: from the front of items those that go together, from its end those that go alone. */
static void sort_pending(MongodbWriter *w, size_t *ret_together, size_t *ret_alone) {
        size_t n = w->work->n, together = 0, alone = n;

        for (size_t i = 0; i < n; i++)
                if (w->work->items[i].alone)
                        w->items[--alone] = i;
                else
                        w->items[together++] = i;
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
        for (size_t i = alone; fault == MONGODB_FAULT_NONE && i < w->work->n; i++)
                fault = mongodb_bulk_send(&bulk, &w->items[i], 1);

        if (fault != MONGODB_FAULT_NONE)
                (void) snprintf(w->work->answer.detail, sizeof(w->work->answer.detail), "%s", bulk.detail);
        mongodb_bulk_done(&bulk);
        return fault;
}

static MongodbFault compare_duplicates(MongodbWriter *w) {
        MongodbFault fault;

        for (size_t from = 0; from < w->n_duplicates; from += MONGODB_BULK_DOCUMENTS) {
                size_t n = w->n_duplicates - from;

                if (n > MONGODB_BULK_DOCUMENTS)
                        n = MONGODB_BULK_DOCUMENTS;
                fault = mongodb_compare(w->client, w->work->items, w->duplicates + from, n, w->verdicts,
                        w->work->answer.detail, sizeof(w->work->answer.detail));
                if (fault != MONGODB_FAULT_NONE)
                        return fault;
                for (size_t i = 0; i < n; i++) {
                        size_t index = w->duplicates[from + i];

                        if (w->verdicts[i] == MONGODB_DUPLICATE)
                                w->work->items[index].verdict = SINK_DUPLICATE;
                        else if (w->verdicts[i] == MONGODB_REFUSED)
                                reject(w, index, DOCUMENT_ID_CONFLICT,
                                        "its _id is taken by a document with another payload");
                        else
                                suspect(w, index, "its _id is taken, but no document with it is to be found");
                }
        }
        return MONGODB_FAULT_NONE;
}

static MongodbFault pass(MongodbWriter *w) {
        SinkAnswer *answer = &w->work->answer;
        MongodbFault fault = mongodb_client_connect(w->client, answer->detail, sizeof(answer->detail));

        if (fault != MONGODB_FAULT_NONE)
                return fault;
        fault = send_pending(w);
        if (fault != MONGODB_FAULT_NONE)
                return fault;
        return compare_duplicates(w);
}

/* Makes room for what is kept for each message of *work*. */
static int begin(MongodbWriter *w, SinkWork *work) {
        size_t n = work->n;

        if (n > w->allocated) {
                size_t *items = reallocarray(w->items, n, sizeof(*items));
                size_t *duplicates = items ? reallocarray(w->duplicates, n, sizeof(*duplicates)) : NULL;
                MongodbVerdict *verdicts = duplicates ? reallocarray(w->verdicts, n, sizeof(*verdicts)) : NULL;

                w->items = items ? items : w->items;
                w->duplicates = duplicates ? duplicates : w->duplicates;
                w->verdicts = verdicts ? verdicts : w->verdicts;
                if (!verdicts)
                        return -ENOMEM;
                w->allocated = n;
        }
        if (!work->again)
                w->strange = 0;
        w->work = work;
        w->n_duplicates = 0;
        w->stored_at = clock_wall();
        return 0;
}

MongodbFault mongodb_writer_write(MongodbWriter *w, SinkWork *work) {
        MongodbFault fault;

        if (begin(w, work) < 0) {
                (void) snprintf(work->answer.detail, sizeof(work->answer.detail), "out of memory");
                return MONGODB_FAULT_LOCAL;
        }
        fault = pass(w);
        if (fault == MONGODB_FAULT_STRANGE)
                w->strange++;
        w->work = NULL;
        return fault;
}

MongodbFault mongodb_writer_set_apart(MongodbWriter *w, SinkWork *work) {
        MongodbFault fault = mongodb_client_connect(w->client, work->answer.detail, sizeof(work->answer.detail));

        return fault == MONGODB_FAULT_NONE ? mongodb_rejects_write(w->client, work) : fault;
}
