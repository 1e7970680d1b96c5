/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* One pass over the messages of a SinkWork:
 *
 *      build --too large, no JSON, ...-----------------------------------------------> BAD
 *        | document                                                                     ^
 *      bulks --refused: a code about the document, or another code------> REFUSED       |
 *        |  |                                                               ^           |
 *        |  +--something is there--> one find --another payload-------------|-----------+
 *        |                             |  |  +--the same payload------------|------> DUPLICATE
 *        |                             |  +--nothing there, for the second time (another unique index)
 *        |                             |
 *        |   once more: under the _id with its time, where a message of another time has the fallback _id;
 *        |   alone, where nothing is there
 *        +--> STORED
 *
 * A fault of the remote ends the pass. Settled messages stay settled; the others are sent again under the same _id. */
/* clang-format on */
#include "sinks/mongodb-write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The state of one message. */
typedef struct Entry {
        bool by_time; /* its document gets the _id with the publish time */
        bool again;   /* nothing was found under its _id: it is sent alone once more */
        bool found;   /* it was found by the read of duplicates */
        size_t id_offset, id_size;
} Entry;

typedef struct Pass {
        MongodbClient *client;
        SinkWork *work;
        bool apart;
        usec_t at;
        Entry *entries;     /* one for each message */
        size_t *items;      /* to be sent, or being compared */
        size_t *duplicates; /* messages that the server calls duplicates */
        size_t n_duplicates;
        Bytes ids;
        bson_t document;
} Pass;

static void pass_done(Pass *p) {
        bson_destroy(&p->document);
        bytes_done(&p->ids);
        free(p->duplicates);
        free(p->items);
        free(p->entries);
}

static int pass_init(Pass *p) {
        size_t n = p->work->n + 1;

        bson_init(&p->document);
        p->entries = calloc(n, sizeof(Entry));
        p->items = calloc(n, sizeof(size_t));
        p->duplicates = calloc(n, sizeof(size_t));
        return p->entries && p->items && p->duplicates ? 0 : -ENOMEM;
}

/* ---- one message ---- */

static DocumentInput input_of(const Pass *p, size_t index) {
        return (DocumentInput){
                .message = p->work->items[index].message,
                .rules = &p->client->rules,
                .at = p->at,
                .id_by_time = p->entries[index].by_time,
        };
}

static int build_apart(Pass *p, size_t index, bson_t *document) {
        const SinkItem *item = &p->work->items[index];
        const DocumentInput input = input_of(p, index);

        return document_build_rejected(&input, item->reason, item->detail ? item->detail : "", document);
}

static int build(void *userdata, size_t index, bson_t *document) {
        Pass *p = userdata;
        const DocumentInput input = input_of(p, index);
        char detail[DOCUMENT_DETAIL_SIZE];
        int r;

        if (p->apart)
                return build_apart(p, index, document);
        r = document_build(&input, document, detail);
        if (r <= DOCUMENT_OK)
                return r;
        sink_item_bad(&p->work->items[index], document_reason((DocumentReason) r), detail);
        return MONGODB_BULK_SKIPPED;
}

/* The server refused a message. One that is being set apart keeps its own reason: only its verdict changes. */
static void note_refused(Pass *p, size_t index, MongodbJudgement judgement, const char *detail) {
        SinkItem *item = &p->work->items[index];

        if (!p->apart) {
                sink_item_refused(
                        item, judgement.code, judgement.about_document, document_reason(DOCUMENT_REFUSED), detail);
                item->alone = judgement.alone;
                item->proven = judgement.proven;
                return;
        }
        item->verdict = SINK_BAD;
        text_copy(p->work->answer.detail, sizeof(p->work->answer.detail), detail);
}

/* A message was refused with a passing code, while the server answered for the others: it waits. One that is being set
 * apart must not make others wait, so it counts as refused. */
static void put_off(Pass *p, size_t index, MongodbJudgement judgement, const char *detail) {
        SinkItem *item = &p->work->items[index];

        if (p->apart)
                return note_refused(p, index, judgement, detail);
        item->verdict = SINK_LATER;
        item->code = judgement.code;
}

/* Keeps the server's words about a duplicate, in case nothing is stored under its _id. */
static void keep_words(Pass *p, size_t index, const char *detail) {
        SinkItem *item = &p->work->items[index];

        if (p->apart || !*detail)
                return;
        free(item->detail);
        item->detail = strdup(detail);
}

static void on_verdict(void *userdata, size_t index, MongodbJudgement judgement, const char *detail) {
        Pass *p = userdata;

        p->work->items[index].unsure |= judgement.verdict != SINK_STORED && judgement.code == 0; /* fate unknown */
        switch (judgement.verdict) {
        case SINK_STORED:
                p->work->items[index].verdict = SINK_STORED;
                p->work->answer.accepted = true;
                break;
        case SINK_DUPLICATE:
                keep_words(p, index, detail);
                p->duplicates[p->n_duplicates++] = index;
                break;
        case SINK_REFUSED:
                note_refused(p, index, judgement, detail);
                break;
        case SINK_LATER:
                put_off(p, index, judgement, detail);
                break;
        case SINK_PENDING:
        case SINK_BAD:
                break;
        }
}

/* ---- sending ---- */

/* Puts messages that need a command of their own last. Returns the number of the others. */
static size_t sort_alone(const Pass *p, size_t *items, size_t n) {
        size_t together = 0;

        for (size_t i = 0; i < n; i++) {
                size_t index = items[i];

                if (p->work->items[index].alone || p->entries[index].again)
                        continue;
                items[i] = items[together];
                items[together++] = index;
        }
        return together;
}

static MongodbFault send_items(Pass *p, size_t *items, size_t n) {
        size_t together = sort_alone(p, items, n);
        MongodbFault fault;
        MongodbBulk bulk = {
                .client = p->client,
                .collection = p->apart ? p->client->rejected : p->client->readings,
                .build = build,
                .on_verdict = on_verdict,
                .userdata = p,
                .carried_out = p->work->answer.accepted,
        };

        fault = mongodb_bulk_send(&bulk, items, together);
        for (size_t i = together; fault == MONGODB_FAULT_NONE && i < n; i++)
                fault = mongodb_bulk_send(&bulk, &items[i], 1);

        if (fault != MONGODB_FAULT_NONE) {
                text_copy(p->work->answer.detail, sizeof(p->work->answer.detail), bulk.detail);
                p->work->answer.partial = bulk.partial;
        }
        return fault;
}

/* ---- duplicates ---- */

static Slice id_of(const Pass *p, size_t index) {
        const Entry *entry = &p->entries[index];

        return (Slice){ p->ids.data + entry->id_offset, entry->id_size };
}

static int id_order(const void *a, const void *b, void *userdata) {
        return slice_order(id_of(userdata, *(const size_t *) a), id_of(userdata, *(const size_t *) b));
}

/* Collects the ids of the messages at *items*, and sorts the items by id. */
static int collect_ids(Pass *p, size_t *items, size_t n, bson_t *ids) {
        _cleanup_bytes_ Bytes scratch = {};

        bytes_cut(&p->ids, 0);
        for (size_t i = 0; i < n; i++) {
                Entry *entry = &p->entries[items[i]];
                DocumentInput input = input_of(p, items[i]);
                Slice id;
                int r = p->apart ? document_rejected_id(&input, &scratch, &id) : document_id(&input, &scratch, &id);

                if (r < 0)
                        return r;
                *entry = (Entry){ entry->by_time, entry->again, false, p->ids.size, id.size };
                r = bytes_append(&p->ids, id.data, id.size);
                if (r < 0)
                        return r;
        }
        qsort_r(items, n, sizeof(*items), id_order, p);
        for (size_t i = 0; i < n; i++) {
                Slice id = id_of(p, items[i]);
                char buffer[16];
                const char *key;

                (void) bson_uint32_to_string((uint32_t) i, &key, buffer, sizeof(buffer));
                if (!bson_append_utf8(ids, key, -1, id.data, (int) id.size))
                        return -ENOMEM;
        }
        return 0;
}

/* A comparison of duplicates with what is stored. */
typedef struct Lookup {
        Pass *pass;
        size_t *items; /* sorted by id */
        size_t n;
        size_t *again; /* messages to be sent once more */
        size_t n_again;
} Lookup;

/* Whether the stored document is of another message with the same fallback _id: one of another publish time, or, when
 * setting apart, with other data. */
static bool is_of_another(const Pass *p, const DocumentInput *input, const bson_t *stored) {
        _cleanup_bytes_ Bytes scratch = {};
        Slice id;

        if (input->id_by_time)
                return false;
        if (p->apart)
                return !document_same_data(stored, &p->document);
        return document_id(input, &scratch, &id) == DOCUMENT_ID_FALLBACK && !document_same_time(stored, &p->document);
}

/* Judges a message by the document that is stored under its _id: the same, of another message, or another payload. */
static void judge_found(Lookup *lookup, size_t index, const bson_t *stored) {
        Pass *p = lookup->pass;
        SinkItem *item = &p->work->items[index];
        const DocumentInput input = input_of(p, index);

        bson_reinit(&p->document);
        if (build(p, index, &p->document) != MONGODB_BULK_BUILT)
                return;
        if (!p->apart)
                free(cleanup_steal(item->detail));
        if (is_of_another(p, &input, stored)) {
                p->entries[index].by_time = true;
                lookup->again[lookup->n_again++] = index;
                return;
        }
        if (p->apart ? document_same_data(stored, &p->document) : document_same_payload(stored, &p->document)) {
                item->verdict = SINK_DUPLICATE;
                p->work->answer.accepted = true;
        } else if (p->apart)
                note_refused(p, index, (MongodbJudgement){ .about_document = true, .code = MONGODB_CODE_DUPLICATE },
                        "its _id is taken there by other data");
        else
                sink_item_bad(item, document_reason(DOCUMENT_ID_CONFLICT),
                        "its _id is taken by a document with another payload");
}

/* Returns the first item whose id is not less than *id*. */
static size_t lower_bound(const Lookup *lookup, Slice id) {
        size_t low = 0, high = lookup->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (slice_order(id_of(lookup->pass, lookup->items[middle]), id) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void on_stored(void *userdata, const bson_t *stored) {
        Lookup *lookup = userdata;
        Pass *p = lookup->pass;
        Slice id = document_text(stored, "_id");

        for (size_t i = lower_bound(lookup, id); i < lookup->n && slice_same(id_of(p, lookup->items[i]), id); i++) {
                p->entries[lookup->items[i]].found = true;
                judge_found(lookup, lookup->items[i], stored);
        }
}

/* Nothing is stored under the _id, although the server called the message a duplicate: the document was deleted since,
 * or another unique index refuses the message. It is sent alone once more, and the second answer decides. */
static void judge_missing(Lookup *lookup, size_t index) {
        Pass *p = lookup->pass;
        const SinkItem *item = &p->work->items[index];
        char detail[MONGODB_DETAIL_SIZE];

        if (!p->entries[index].again) {
                p->entries[index].again = true;
                lookup->again[lookup->n_again++] = index;
                return;
        }
        text_copy(detail, sizeof(detail), item->detail ? item->detail : "a unique index has its value already");
        /* refused twice in this write: what it accepted was accepted before, or in between */
        note_refused(p, index,
                (MongodbJudgement){ .about_document = true,
                        .code = MONGODB_CODE_DUPLICATE,
                        .alone = true,
                        .proven = p->work->answer.accepted },
                detail);
}

static MongodbFault look_up(Lookup *lookup) {
        Pass *p = lookup->pass;
        SinkAnswer *answer = &p->work->answer;
        bson_t ids = BSON_INITIALIZER;
        MongodbFault fault = MONGODB_FAULT_LOCAL;

        if (collect_ids(p, lookup->items, lookup->n, &ids) == 0)
                fault = mongodb_client_read_ids(p->client, p->apart ? p->client->rejected : p->client->readings, &ids,
                        &(MongodbReader){ on_stored, lookup }, answer->detail);
        else
                text_copy(answer->detail, sizeof(answer->detail), "out of memory");
        bson_destroy(&ids);
        if (fault == MONGODB_FAULT_REFUSED)
                return MONGODB_FAULT_BUSY; /* a read does not depend on the documents */
        for (size_t i = 0; fault == MONGODB_FAULT_NONE && i < lookup->n; i++)
                if (!p->entries[lookup->items[i]].found)
                        judge_missing(lookup, lookup->items[i]);
        return fault;
}

/* Settles the duplicates. Each message is sent at most twice more, so the loop ends. */
static MongodbFault settle_duplicates(Pass *p) {
        while (p->n_duplicates > 0) {
                size_t n = p->n_duplicates, n_again = 0;

                memcpy(p->items, p->duplicates, n * sizeof(*p->items));
                p->n_duplicates = 0;
                for (size_t from = 0; from < n; from += MONGODB_BULK_DOCUMENTS) {
                        Lookup lookup = { p, p->items + from,
                                n - from < MONGODB_BULK_DOCUMENTS ? n - from : MONGODB_BULK_DOCUMENTS,
                                p->duplicates + n_again, 0 };
                        MongodbFault fault = look_up(&lookup);

                        if (fault != MONGODB_FAULT_NONE)
                                return fault;
                        n_again += lookup.n_again;
                }
                memcpy(p->items, p->duplicates, n_again * sizeof(*p->items));
                if (n_again > 0) {
                        MongodbFault fault = send_items(p, p->items, n_again);

                        if (fault != MONGODB_FAULT_NONE)
                                return fault;
                }
        }
        return MONGODB_FAULT_NONE;
}

static MongodbFault pass(Pass *p) {
        size_t n = 0;
        MongodbFault fault = mongodb_client_connect(p->client, p->work->answer.detail);

        if (fault != MONGODB_FAULT_NONE)
                return fault;
        for (size_t i = 0; i < p->work->n; i++)
                if (p->work->items[i].verdict == SINK_PENDING)
                        p->items[n++] = i;
        fault = send_items(p, p->items, n);
        if (fault == MONGODB_FAULT_NONE)
                return settle_duplicates(p);
        if (p->n_duplicates > 0) { /* settled now, so that the next pass need not send them again */
                char detail[MONGODB_DETAIL_SIZE];

                text_copy(detail, sizeof(detail), p->work->answer.detail);
                (void) settle_duplicates(p);
                text_copy(p->work->answer.detail, sizeof(p->work->answer.detail), detail);
        }
        return fault;
}

/* Whether only the rejected collection cannot be written to. */
static bool is_closed_apart(MongodbClient *client, const SinkWork *work, MongodbFault fault) {
        char detail[MONGODB_DETAIL_SIZE];
        bool tried = false;

        if (work->answer.partial || fault == MONGODB_FAULT_REFUSED || mongodb_fault_words(fault)->lasting)
                return true;
        return fault == MONGODB_FAULT_BUSY && mongodb_client_try(client, &tried, detail) == MONGODB_FAULT_NONE && tried;
}

/* When only setting apart fails, its messages become SINK_BAD, so that others need not wait. Else returns *fault*. */
static MongodbFault give_up_apart(MongodbClient *client, SinkWork *work, MongodbFault fault) {
        if (fault == MONGODB_FAULT_NONE || !is_closed_apart(client, work, fault))
                return fault;
        for (size_t i = 0; i < work->n; i++)
                if (work->items[i].verdict == SINK_PENDING)
                        work->items[i].verdict = SINK_BAD;
        return MONGODB_FAULT_NONE;
}

MongodbFault mongodb_write(MongodbClient *client, SinkWork *work, bool apart) {
        Pass p = { .client = client, .work = work, .apart = apart, .at = clock_wall() };
        MongodbFault fault = MONGODB_FAULT_LOCAL;

        if (pass_init(&p) == 0)
                fault = pass(&p);
        else
                text_copy(work->answer.detail, sizeof(work->answer.detail), "out of memory");
        pass_done(&p);
        return apart ? give_up_apart(client, work, fault) : fault;
}
