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
#include "sinks/mongodb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "sinks/mongodb-reply.h"

#define BULK_DOCUMENTS 1000
#define BUFFER_KEPT_MAX (1024 * 1024)
/* when so many are refused alone and no command was carried out, the documents are not at fault */
#define REFUSED_ALONE_MAX 3

enum { BUILT = 0, SKIPPED = 1 };

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
        mongoc_collection_t *collection;
        usec_t at;
        Entry *entries;     /* one for each message */
        size_t *items;      /* to be sent, or being compared */
        size_t *duplicates; /* messages that the server calls duplicates */
        size_t n_duplicates;
        size_t *again; /* messages to be sent once more */
        size_t n_again;
        Bytes ids;
        bson_t document; /* to compare with what is stored */
        /* of the items that are being sent */
        bool partial;           /* the fault concerns single documents (SINK_LATER): the server answered for each */
        bool carried_out;       /* some command was not refused as a whole */
        unsigned refused_alone; /* documents refused alone in their command */
        char detail[MONGODB_DETAIL_SIZE]; /* of the fault */
} Pass;

static void pass_done(Pass *p) {
        bson_destroy(&p->document);
        bytes_done(&p->ids);
        free(p->again);
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
        p->again = calloc(n, sizeof(size_t));
        return p->entries && p->items && p->duplicates && p->again ? 0 : -ENOMEM;
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

/* Returns BUILT, SKIPPED when no document can be made of the message, or -ENOMEM. */
static int build(Pass *p, size_t index, bson_t *document) {
        const DocumentInput input = input_of(p, index);
        char detail[DOCUMENT_DETAIL_SIZE];
        int r;

        if (p->apart)
                return build_apart(p, index, document);
        r = document_build(&input, document, detail);
        if (r <= DOCUMENT_OK)
                return r;
        sink_item_bad(&p->work->items[index], document_reason((DocumentReason) r), detail);
        return SKIPPED;
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

/* Notes the verdict on a message that was sent; *detail* says why it was refused. */
static void note(Pass *p, size_t index, MongodbJudgement judgement, const char *detail) {
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

/* ---- bulks ---- */

/* A bulk that is being filled. */
typedef struct Chunk {
        mongoc_bulk_operation_t *operation; /* NULL: none begun */
        size_t n, bytes;
        size_t items[BULK_DOCUMENTS];
} Chunk;

/* Empties the document for the next one, and frees a buffer that a large document has made large. */
static void reset_document(bson_t *document) {
        if (document->len > BUFFER_KEPT_MAX) {
                bson_destroy(document);
                bson_init(document);
        } else
                bson_reinit(document);
}

/* The driver's own check of each document is switched off: some versions accept invalid UTF-8, it takes longer than the
 * copy, and document.c has stricter rules. */
static bool add_document(Pass *p, Chunk *chunk, size_t item, const bson_t *document, bson_error_t *error) {
        bson_t options = BSON_INITIALIZER;
        bool ok;

        if (!chunk->operation) {
                (void) BSON_APPEND_BOOL(&options, "ordered", false);
                chunk->operation = mongoc_collection_create_bulk_operation_with_opts(p->collection, &options);
                bson_reinit(&options);
        }
        (void) BSON_APPEND_BOOL(&options, "validate", false);
        ok = mongoc_bulk_operation_insert_with_opts(chunk->operation, document, &options, error);
        bson_destroy(&options);
        if (ok) {
                chunk->items[chunk->n++] = item;
                chunk->bytes += document->len;
        }
        return ok;
}

/* Reports a verdict for each document. When the answer does not account for a document although the remote has no
 * fault, that document counts as refused, so that it is sent alone next time. */
static void tell_verdicts(Pass *p, const Chunk *chunk, MongodbJudgement *judgements, MongodbFault fault,
        const bson_t *reply, const bson_error_t *error) {
        char detail[MONGODB_DETAIL_SIZE];
        bool stored = false;

        if (error->domain == MONGOC_ERROR_SERVER_SELECTION)
                return; /* nothing was sent */
        for (size_t i = 0; i < chunk->n; i++)
                stored |= judgements[i].verdict == SINK_STORED;
        p->carried_out |= fault == MONGODB_FAULT_NONE;
        for (size_t i = 0; i < chunk->n; i++) {
                SinkVerdict verdict = judgements[i].verdict;

                detail[0] = '\0';
                if (verdict == SINK_REFUSED || verdict == SINK_LATER || (verdict == SINK_DUPLICATE && chunk->n == 1))
                        mongodb_reply_describe(reply, error, i, detail, sizeof(detail));
                if (verdict == SINK_PENDING && fault == MONGODB_FAULT_NONE) {
                        judgements[i].verdict = SINK_REFUSED;
                        text_copy(detail, sizeof(detail), "the server's answer does not account for it");
                }
                judgements[i].alone = chunk->n == 1;
                judgements[i].proven = stored;
                note(p, chunk->items[i], judgements[i], detail);
        }
}

/* A command with a single document was refused as a whole. A server's refusal of a command says nothing about the
 * document, but an error that the driver finds before sending does. */
static MongodbFault tell_alone(Pass *p, size_t item, const bson_error_t *error) {
        MongodbJudgement judgement = { .verdict = SINK_REFUSED, .code = (int) error->code, .alone = true };
        MongodbFault ignored;

        if (error->domain == MONGOC_ERROR_BSON || error->domain == MONGOC_ERROR_COMMAND)
                judgement.about_document = true;
        else if (mongodb_code_kind(error->code, "", "", &ignored) == MONGODB_KIND_DUPLICATE)
                judgement.verdict = SINK_DUPLICATE;
        note(p, item, judgement, p->detail);
        p->refused_alone++;
        return !p->carried_out && p->refused_alone >= REFUSED_ALONE_MAX ? MONGODB_FAULT_REFUSED : MONGODB_FAULT_NONE;
}

static MongodbFault send_bulk(Pass *p, const size_t *items, size_t n);

static MongodbFault halve(Pass *p, const Chunk *chunk) {
        size_t middle = chunk->n / 2;
        MongodbFault fault = send_bulk(p, chunk->items, middle);

        return fault == MONGODB_FAULT_NONE ? send_bulk(p, chunk->items + middle, chunk->n - middle) : fault;
}

static bool execute(Pass *p, Chunk *chunk, bson_t *reply, bson_error_t *error) {
        usec_t began = clock_now(), took;
        bool ok;

        sink_host_enter(p->client->host);
        ok = mongoc_bulk_operation_execute(chunk->operation, reply, error) != 0;
        mongoc_bulk_operation_destroy(cleanup_steal(chunk->operation));
        sink_host_leave(p->client->host);

        took = clock_now() - began;
        if (error->domain == MONGOC_ERROR_STREAM)
                pace_stuck(&p->client->pace, chunk->bytes);
        else if (ok || error->domain == MONGOC_ERROR_SERVER)
                pace_through(&p->client->pace, chunk->bytes, took * PACE_GOOD_USEC / p->client->good, clock_now());
        return ok;
}

/* Sends the documents of the chunk and empties it. */
static MongodbFault flush(Pass *p, Chunk *chunk) {
        MongodbJudgement judgements[BULK_DOCUMENTS];
        bson_error_t error = {};
        MongodbFault fault;
        bson_t reply;
        bool ok;

        if (!chunk->operation)
                return MONGODB_FAULT_NONE;
        ok = execute(p, chunk, &reply, &error);
        fault = mongodb_reply_judge(ok, &reply, &error, judgements, chunk->n);
        if (fault != MONGODB_FAULT_NONE)
                mongodb_reply_describe_fault(&reply, &error, p->client->host_name, p->detail, sizeof(p->detail));
        for (size_t i = 0; i < chunk->n; i++)
                p->partial |= judgements[i].verdict == SINK_LATER;
        if (fault != MONGODB_FAULT_REFUSED)
                tell_verdicts(p, chunk, judgements, fault, &reply, &error);
        else if (chunk->n == 1)
                fault = tell_alone(p, chunk->items[0], &error);
        else
                fault = halve(p, chunk);
        bson_destroy(&reply);
        chunk->n = chunk->bytes = 0;
        return fault;
}

static MongodbFault local_fault(Pass *p, Chunk *chunk, const char *detail) {
        if (chunk->operation)
                mongoc_bulk_operation_destroy(cleanup_steal(chunk->operation));
        text_copy(p->detail, sizeof(p->detail), detail);
        return MONGODB_FAULT_LOCAL;
}

static bool is_full(const Pass *p, const Chunk *chunk, const bson_t *document) {
        return chunk->n == BULK_DOCUMENTS || (chunk->n > 0 && chunk->bytes + document->len > p->client->pace.limit);
}

/* Inserts the documents of the *n* items in unordered bulks, as large as the network to the server allows in good time.
 * A bulk that is refused as a whole is halved until the refused document is alone, so that it does not affect the
 * others (P6). Ends at the first fault; verdicts noted before are final. MONGODB_FAULT_REFUSED: several were refused
 * alone, and no command was carried out. */
static MongodbFault send_bulk(Pass *p, const size_t *items, size_t n) {
        _cleanup_(bson_destroy) bson_t document = BSON_INITIALIZER; /* reused for its buffer */
        MongodbFault fault;
        bson_error_t error;
        Chunk chunk;

        chunk.operation = NULL;
        chunk.n = chunk.bytes = 0;
        for (size_t i = 0; i < n; i++) {
                int r;

                reset_document(&document);
                r = build(p, items[i], &document);
                if (r < 0)
                        return local_fault(p, &chunk, "out of memory");
                if (r == SKIPPED)
                        continue;
                if (is_full(p, &chunk, &document)) {
                        fault = flush(p, &chunk);
                        if (fault != MONGODB_FAULT_NONE)
                                return fault;
                }
                if (!add_document(p, &chunk, items[i], &document, &error))
                        return local_fault(p, &chunk, error.message);
        }
        return flush(p, &chunk);
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

        p->carried_out = p->work->answer.accepted;
        p->partial = false;
        p->refused_alone = 0;
        fault = send_bulk(p, items, together);
        for (size_t i = together; fault == MONGODB_FAULT_NONE && i < n; i++)
                fault = send_bulk(p, &items[i], 1);

        if (fault != MONGODB_FAULT_NONE) {
                text_copy(p->work->answer.detail, sizeof(p->work->answer.detail), p->detail);
                p->work->answer.partial = p->partial;
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
static void judge_found(Pass *p, size_t index, const bson_t *stored) {
        SinkItem *item = &p->work->items[index];
        const DocumentInput input = input_of(p, index);

        bson_reinit(&p->document);
        if (build(p, index, &p->document) != BUILT)
                return;
        if (!p->apart)
                free(cleanup_steal(item->detail));
        if (is_of_another(p, &input, stored)) {
                p->entries[index].by_time = true;
                p->again[p->n_again++] = index;
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
static size_t lower_bound(const Pass *p, const size_t *items, size_t n, Slice id) {
        size_t low = 0, high = n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (slice_order(id_of(p, items[middle]), id) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void compare_stored(Pass *p, const size_t *items, size_t n, const bson_t *stored) {
        Slice id = document_text(stored, "_id");

        for (size_t i = lower_bound(p, items, n, id); i < n && slice_same(id_of(p, items[i]), id); i++) {
                p->entries[items[i]].found = true;
                judge_found(p, items[i], stored);
        }
}

/* Nothing is stored under the _id, although the server called the message a duplicate: the document was deleted since,
 * or another unique index refuses the message. It is sent alone once more, and the second answer decides. */
static void judge_missing(Pass *p, size_t index) {
        const SinkItem *item = &p->work->items[index];
        char detail[MONGODB_DETAIL_SIZE];

        if (!p->entries[index].again) {
                p->entries[index].again = true;
                p->again[p->n_again++] = index;
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

/* Finds the documents with one of these ids, with a majority read. When majority reads are switched off (possible
 * before MongoDB 5.0), it reads from the primary alone: the refused insert before has already waited for the majority.
 */
static mongoc_cursor_t *find_ids(const Pass *p, const bson_t *ids) {
        bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
        mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
        mongoc_cursor_t *cursor;

        BCON_APPEND(&filter, "_id", "{", "$in", BCON_ARRAY(ids), "}");
        BCON_APPEND(&options, "readConcern", "{", "level",
                BCON_UTF8(p->client->no_majority_reads ? "local" : "majority"), "}", "maxTimeMS",
                BCON_INT64(MONGODB_FIND_MSEC));
        cursor = mongoc_collection_find_with_opts(p->collection, &filter, &options, primary);
        mongoc_read_prefs_destroy(primary);
        bson_destroy(&filter);
        bson_destroy(&options);
        return cursor;
}

/* Compares the messages with what is stored under their ids. *items* are sorted by id. */
static MongodbFault read_stored(Pass *p, const size_t *items, size_t n, const bson_t *ids) {
        MongodbClient *client = p->client;
        const bson_t *document;
        mongoc_cursor_t *cursor;
        MongodbFault fault;
        bson_error_t error;
        bool again;

        sink_host_enter(client->host);
        cursor = find_ids(p, ids);
        while (mongoc_cursor_next(cursor, &document))
                compare_stored(p, items, n, document);
        again = !client->no_majority_reads && mongoc_cursor_error(cursor, &error) &&
                error.domain == MONGOC_ERROR_SERVER && error.code == MONGODB_CODE_NO_MAJORITY_READS;
        fault = mongodb_client_end_find(client, cursor, p->work->answer.detail);
        sink_host_leave(client->host);
        if (!again)
                return fault;
        client->no_majority_reads = true;
        return read_stored(p, items, n, ids);
}

static MongodbFault look_up(Pass *p, size_t *items, size_t n) {
        SinkAnswer *answer = &p->work->answer;
        bson_t ids = BSON_INITIALIZER;
        MongodbFault fault = MONGODB_FAULT_LOCAL;

        if (collect_ids(p, items, n, &ids) == 0)
                fault = read_stored(p, items, n, &ids);
        else
                text_copy(answer->detail, sizeof(answer->detail), "out of memory");
        bson_destroy(&ids);
        if (fault == MONGODB_FAULT_REFUSED)
                return MONGODB_FAULT_BUSY; /* a read does not depend on the documents */
        for (size_t i = 0; fault == MONGODB_FAULT_NONE && i < n; i++)
                if (!p->entries[items[i]].found)
                        judge_missing(p, items[i]);
        return fault;
}

/* Settles the duplicates. Each message is sent at most twice more, so the loop ends. */
static MongodbFault settle_duplicates(Pass *p) {
        MongodbFault fault = MONGODB_FAULT_NONE;

        while (fault == MONGODB_FAULT_NONE && p->n_duplicates > 0) {
                size_t n = p->n_duplicates;

                memcpy(p->items, p->duplicates, n * sizeof(*p->items));
                p->n_duplicates = p->n_again = 0;
                for (size_t from = 0; fault == MONGODB_FAULT_NONE && from < n; from += BULK_DOCUMENTS)
                        fault = look_up(p, p->items + from, n - from < BULK_DOCUMENTS ? n - from : BULK_DOCUMENTS);
                if (fault == MONGODB_FAULT_NONE)
                        fault = send_items(p, p->again, p->n_again);
        }
        return fault;
}

static MongodbFault pass(Pass *p) {
        size_t n = 0;
        MongodbFault fault = mongodb_client_connect(p->client, p->work->answer.detail);

        if (fault != MONGODB_FAULT_NONE)
                return fault;
        p->collection = p->apart ? p->client->rejected : p->client->readings;
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
        mongodb_client_note(client, fault);
        return apart ? give_up_apart(client, work, fault) : fault;
}
