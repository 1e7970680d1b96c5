/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd rejected`: data that could not become a reading (id source:NAME:N), readings that could not be published
 * (id outbox:N), and messages that could not be stored (ids of their sink). The daemon may be running meanwhile. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/err.h"
#include "lib/service.h"
#include "lib/text.h"
#include "publish/outbox-rejected.h"
#include "publish/outbox-sql.h"
#include "subscribe/rejected.h"
#include "subscribe/sink-host.h"
#include "types.h"
#include "verbs/ask.h"
#include "verbs/session.h"
#include "verbs/unit.h"
#include "verbs/verbs.h"

#define OUTBOX_PREFIX "outbox:"
#define REPLAY_USEC (60 * USEC_PER_SEC) /* a person waits for it */
#define SOURCE_PREFIX "source:"
#define ROW_ID_SIZE 128

typedef enum Action { ACTION_LIST, ACTION_SHOW, ACTION_REPLAY, ACTION_DROP } Action;

typedef struct Rejected {
        Session *session;
        Action action;
        const char *id; /* NULL: all */
        size_t found;
        OutboxGuest *outbox; /* NULL: there is no outbox */
        bool unread;         /* its present rows are what sources could not read */
        bool requeued;       /* rows were put back into the outbox's queue */
        SinkHost **hosts;    /* of each subscription: the sink that its messages are replayed into; NULL: not open */
        Bytes others;        /* lines: subscriptions that have rows but are not in this configuration */
} Rejected;

/* ---- printing: data of a remote may contain any bytes ---- */

static void print_clean(Slice text) {
        _cleanup_free_ char *copy = malloc(text.size + 1);

        if (!copy)
                return;
        memcpy(copy, text.data, text.size);
        (void) fwrite(copy, 1, text_clean(copy, text.size), stdout);
}

/* Prints the data unchanged into a file; on a terminal without control characters, line by line. */
static void print_data(Slice data) {
        const char *line = data.data, *end = data.data + data.size, *next;

        if (!isatty(STDOUT_FILENO)) {
                (void) fwrite(data.data, 1, data.size, stdout);
                (void) putchar('\n');
                return;
        }
        do {
                next = memchr(line, '\n', (size_t) (end - line));
                print_clean((Slice){ line, (size_t) ((next ? next : end) - line) });
                (void) putchar('\n');
                line = next ? next + 1 : end;
        } while (next);
}

static void print_entry(Rejected *r, const SinkRejected *entry) {
        char when[CLOCK_RFC3339_SIZE];

        r->found++;
        print_clean(entry->id);
        printf("  %s  ", clock_format_rfc3339(entry->rejected_at, when));
        print_clean(entry->reason);
        if (entry->detail.size > 0) {
                printf(": ");
                print_clean(entry->detail);
        }
        printf("  (%" PRIu64 " bytes)\n", entry->size);
        if (r->action != ACTION_SHOW)
                return;
        printf("attributes: ");
        print_clean((Slice){ entry->attributes, strlen(entry->attributes) });
        (void) putchar('\n');
        print_data(entry->data);
}

static void tell(Rejected *r, const char *id, bool done, const char *detail) {
        _cleanup_free_ char *name = strdup(id);

        if (name)
                name[text_clean(name, strlen(name))] = '\0';
        session_tell(r->session, done ? SINK_GRADE_OK : SINK_GRADE_FAIL, name ?: "", "%s", detail);
}

/* ---- the outbox: readings that Pub/Sub refused, and what sources could not read ---- */

static const char *row_id(const Rejected *r, const OutboxRejected *row, char id[static ROW_ID_SIZE]) {
        if (r->unread)
                (void) snprintf(id, ROW_ID_SIZE, SOURCE_PREFIX "%.*s:%" PRIi64, (int) row->source.size,
                        row->source.data, row->id);
        else
                (void) snprintf(id, ROW_ID_SIZE, OUTBOX_PREFIX "%" PRIi64, row->id);
        return id;
}

static void row_print(Rejected *r, const OutboxRejected *row, const char *id) {
        SinkRejected entry = { .id = { id, strlen(id) },
                .reason = row->reason,
                .data = row->payload,
                .size = row->size,
                .rejected_at = row->at };
        _cleanup_bytes_ Bytes text = {};

        bytes_append_format(&text, "source=%.*s ", (int) row->source.size, row->source.data);
        if (r->unread) {
                entry.detail = row->reason;
                entry.reason = (Slice){ "unreadable", strlen("unreadable") };
                bytes_append_format(&text, "topic=%.*s", (int) row->topic.size, row->topic.data);
        } else
                bytes_append_format(&text, "type=%.*s device=%.*s idempotency_key=%.*s", (int) row->type.size,
                        row->type.data, (int) row->device.size, row->device.data, (int) row->key.size, row->key.data);
        if (bytes_result(&text) < 0)
                return tell(r, id, false, strerror(ENOMEM));
        entry.attributes = text.data;
        print_entry(r, &entry);
}

static const SourceConfig *unread_source(const Rejected *r, Slice name) {
        const Config *config = r->session->config;

        for (size_t i = 0; i < config->n_sources; i++)
                if (slice_equal(name, config->sources[i].name))
                        return &config->sources[i];
        return NULL;
}

/* Reads the payload again, with the source's `reading` of the present configuration. The list borrows *labels*, which
 * are empty at first. */
static int unread_read(const SourceConfig *source, const OutboxRejected *row, Bytes *labels, ReadingList *list) {
        const SourceType *type = types_source(source->type);
        int k = shape_labels(&source->labels, labels);
        ShapeOrigin origin = {
                .source = source->name,
                .type = source->type,
                .topic = row->topic,
                .labels = bytes_slice(labels),
                .arrived = row->at,
                .random = loop_random,
        };

        if (k < 0)
                return k;
        if (type->place)
                type->place(source->keys, &origin);
        return shape_reread(shape_of(source->section, source->keys), &origin, row->payload, list);
}

/* A row that is still unreadable is kept. So is one that gives no reading: the configuration may have a mistake.
 * 1: it is kept, *ret_words* says why; 0: its readings are queued. */
static int unread_replay(const Rejected *r, const OutboxRejected *row, char ret_words[static SINK_ADMIN_TEXT_MAX]) {
        const SourceConfig *source = unread_source(r, row->source);
        _cleanup_(reading_list_done) ReadingList list = {};
        _cleanup_bytes_ Bytes labels = {};
        const char *words = NULL;
        int k = 0;

        if (!source)
                words = "the configuration has no source of that name; drop it, or name one so";
        else if (!shape_of(source->section, source->keys))
                words = "the source's type has changed; drop it";
        else
                k = unread_read(source, row, &labels, &list);
        if (k == 0 && list.n_unreadable > 0)
                words = list.unreadable[0].reason;
        else if (k == 0 && !words && list.n == 0)
                words = "`reading` finds no value in it, or `where` leaves it out";
        if (k == 0 && !words)
                return outbox_unread_settle(r->outbox, row->id, &list);
        text_copy(ret_words, SINK_ADMIN_TEXT_MAX, words ?: "");
        return k < 0 ? k : 1;
}

static void row_act(Rejected *r, const OutboxRejected *row, const char *id) {
        char words[SINK_ADMIN_TEXT_MAX] = "dropped";
        int k;

        if (r->action == ACTION_DROP)
                k = r->unread ? outbox_unread_settle(r->outbox, row->id, NULL)
                              : outbox_rejected_drop(r->outbox, row->id);
        else {
                text_copy(words, sizeof(words), r->unread ? "is queued" : "is queued again");
                k = r->unread ? unread_replay(r, row, words) : outbox_rejected_replay(r->outbox, row->id);
        }
        if (k == -ENOENT)
                return; /* not here any more; rejected_everywhere() reports an id that is found nowhere */
        r->found++;
        r->requeued |= r->action == ACTION_REPLAY && k == 0;
        tell(r, id, k == 0, k < 0 ? strerror(-k) : words);
}

/* Called for all rows, or from the wanted row on; returns 1 to end. */
static int on_row(void *userdata, const OutboxRejected *row) {
        char id[ROW_ID_SIZE];
        Rejected *r = userdata;

        (void) row_id(r, row, id);
        if (r->id && strcmp(r->id, id) != 0)
                return 1; /* the wanted row is gone, or the id is not written as in the list; this is a later row */
        if (r->action == ACTION_REPLAY || r->action == ACTION_DROP)
                row_act(r, row, id);
        else
                row_print(r, row, id);
        return r->id != NULL;
}

static void on_dropped(void *userdata, Slice source, uint64_t n) {
        fprintf(stderr,
                "sensorqd: source %.*s: %" PRIu64
                " more that could not become a reading are gone: the newest %d of a source are kept, at most %d MiB\n",
                (int) source.size, source.data, n, OUTBOX_UNREADABLE_ROWS, OUTBOX_UNREADABLE_BYTES >> 20);
}

static bool is_of(const char *id, const char *prefix) {
        return strncmp(id, prefix, strlen(prefix)) == 0;
}

static void rejected_in_outbox(Rejected *r, bool unread) {
        bool payloads = r->action == ACTION_SHOW || (unread && r->action == ACTION_REPLAY);
        int64_t row = 1; /* the first */
        int k;

        if (!r->outbox || (r->id && !is_of(r->id, unread ? SOURCE_PREFIX : OUTBOX_PREFIX)))
                return;
        if (r->id)
                row = strtoll(strrchr(r->id, ':') + 1, NULL, 10);
        if (row <= 0)
                return;
        r->unread = unread;
        k = (unread ? outbox_unread_each : outbox_rejected_each)(r->outbox, row - 1, payloads, on_row, r);
        if (k >= 0 && unread && r->action == ACTION_LIST)
                k = outbox_unread_each_dropped(r->outbox, on_dropped, r);
        if (k >= 0 && unread && r->action == ACTION_DROP && !r->id)
                k = outbox_unread_forget_dropped(r->outbox);
        if (k < 0)
                tell(r, "outbox", false, strerror(-k));
}

static bool is_missing(const Config *config) {
        return !unit_makes_state_dir(config) && access(config->state_dir, F_OK) < 0 && errno == ENOENT;
}

static bool open_outbox(Rejected *r) {
        const Config *config = r->session->config;
        int k;

        k = outbox_guest_open(config->state_dir, &r->outbox);
        if (k == -ENOENT && is_missing(config))
                tell(r, config->state_dir, false, "state_dir is not there: is its disk mounted?");
        if (k == -ENOENT || (k == -EACCES && !config->publishes))
                return true;
        if (k != OUTBOX_OK)
                tell(r, "outbox", false,
                        k == OUTBOX_NEWER ? "was made by a later sensorqd"
                        : k == -EACCES    ? "may not be read by this user: run this as root (sudo)"
                                          : strerror(-k));
        return k == OUTBOX_OK;
}

/* ---- a sink ---- */

static bool sink_print(void *userdata, const SinkRejected *rejected) {
        print_entry(userdata, rejected);
        return true;
}

static void sink_note_other(void *userdata, const char *subscription) {
        char line[ROW_ID_SIZE * 4];
        Rejected *r = userdata;

        text_copy(line, sizeof(line) - 1, subscription);
        (void) strcpy(line + text_clean(line, strlen(line)), "\n");
        if (config_find_subscription(r->session->config, (Slice){ subscription, strlen(subscription) }) ||
                (r->others.data && strstr(r->others.data, line)))
                return;
        if (bytes_append_text(&r->others, line) < 0)
                tell(r, subscription, false, strerror(ENOMEM));
}

/* Ids are collected first and acted on afterwards, so that nothing changes while it is read. */
typedef struct SinkIds {
        char **items;
        size_t n, allocated;
        int error;
} SinkIds;

static void sink_ids_done(SinkIds *ids) {
        for (size_t i = 0; i < ids->n; i++)
                free(ids->items[i]);
        free(ids->items);
}

static bool sink_collect(void *userdata, const SinkRejected *rejected) {
        SinkIds *ids = userdata;
        char *id = strndup(rejected->id.data, rejected->id.size);

        ids->error = id ? array_reserve(&ids->items, &ids->allocated, ids->n + 1, sizeof(char *)) : -ENOMEM;
        if (ids->error < 0) {
                free(id);
                return false;
        }
        ids->items[ids->n++] = id;
        return true;
}

static void sink_act(Rejected *r, const SinkAdmin *admin, void *sink, const char *id) {
        char text[SINK_ADMIN_TEXT_MAX] = "";
        int k;

        r->found++;
        k = r->action == ACTION_REPLAY ? admin->replay(sink, id, text) : admin->drop(sink, id, text);
        tell(r, id, k == SINK_ADMIN_OK, text[0] ? text : strerror(k < 0 ? -k : EIO));
}

static int sink_act_on_found(Rejected *r, const SinkAdmin *admin, void *sink, char text[static SINK_ADMIN_TEXT_MAX]) {
        _cleanup_(sink_ids_done) SinkIds ids = {};
        int k;

        k = admin->each_rejected(
                sink, &(SinkRejectedQuery){ .id = r->id, .each = sink_collect, .userdata = &ids }, text);
        if (ids.error < 0)
                k = ids.error;
        for (size_t i = 0; k == SINK_ADMIN_OK && i < ids.n; i++)
                sink_act(r, admin, sink, ids.items[i]);
        return k;
}

static bool is_in_outbox(const char *id) {
        return is_of(id, OUTBOX_PREFIX) || is_of(id, SOURCE_PREFIX);
}

static void rejected_in_subscription(Rejected *r, const SubscriptionConfig *section) {
        const SinkAdmin *admin = types_sink(section->sink)->admin;
        const SinkRejectedQuery query = {
                .id = r->id,
                .with_data = r->action == ACTION_SHOW,
                .each = sink_print,
                .other = r->action == ACTION_LIST ? sink_note_other : NULL,
                .userdata = r,
        };
        char text[SINK_ADMIN_TEXT_MAX] = "";
        void *sink = NULL;
        int k;

        if (!admin || !admin->each_rejected || (r->id && is_in_outbox(r->id)) ||
                !session_secrets(r->session, section->subscription, section->section, section->keys))
                return;
        k = admin->open(section, &sink, text);
        if (k == 0 && (r->action == ACTION_REPLAY || r->action == ACTION_DROP))
                k = sink_act_on_found(r, admin, sink, text);
        else if (k == 0)
                k = admin->each_rejected(sink, &query, text);
        if (k != SINK_ADMIN_OK)
                tell(r, section->subscription, false, text[0] ? text : strerror(k < 0 ? -k : EIO));
        if (sink)
                (void) admin->close(sink);
}

/* ---- messages that sinks set apart in state_dir ---- */

/* Asks the type one question and waits for the answer. NULL: none came in time. */
static SinkWork *store_ask(SinkHost *host, Loop *loop, SinkStep step, const WireMessage *message) {
        usec_t end = clock_now() + REPLAY_USEC;
        SinkWork *work;

        if (sink_host_prepare(host, message ? 1 : 0, &work) < 0)
                return NULL;
        if (message)
                work->items[0] = (SinkItem){ .message = message, .alone = true };
        sink_host_ask(host, step, NULL);
        while (sink_host_is_busy(host) && clock_now() < end)
                if (loop_turn(loop, 100 * USEC_PER_MSEC) < 0)
                        break;
        return sink_host_is_busy(host) ? NULL : work;
}

static void on_nothing(void *userdata) {}

static void on_nothing_seen(void *userdata, unsigned seen) {}

/* Writes the message. A sink that did not answer, or is down, is closed: another message needs a fresh one. */
static bool store_write(
        SinkHost **host, Loop *loop, const WireMessage *message, char text[static SINK_ADMIN_TEXT_MAX]) {
        const SinkWork *work = store_ask(*host, loop, SINK_STEP_PROBE, NULL);
        const SinkItem *item;
        bool stored;

        if (work && work->answer.fault == SINK_FAULT_NONE)
                work = store_ask(*host, loop, SINK_STEP_WRITE, message);
        item = work && work->n > 0 ? work->items : NULL;
        stored = item && (item->verdict == SINK_STORED || item->verdict == SINK_DUPLICATE);
        if (stored)
                text_copy(text, SINK_ADMIN_TEXT_MAX, item->verdict == SINK_STORED ? "stored" : "was stored already");
        else if (!work)
                text_copy(text, SINK_ADMIN_TEXT_MAX, "no answer in time; try again");
        else if (item && item->detail)
                (void) snprintf(
                        text, SINK_ADMIN_TEXT_MAX, "still cannot be stored: %s (%s)", item->detail, item->reason);
        else
                (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s: %s", work->answer.detail,
                        work->answer.remedy ? work->answer.remedy : "try again");
        if (!work || work->answer.fault != SINK_FAULT_NONE)
                *host = sink_host_free(*host);
        return stored;
}

static SinkHost **host_of(const Rejected *r, const SubscriptionConfig *section) {
        return &r->hosts[section - r->session->config->subscriptions];
}

/* Opens the sink of a subscription, once: each time a file sink reads its archive, which takes a second or more.
 * Returns false, with *text* "" when a line was printed. */
static bool store_open(Rejected *r, const SubscriptionConfig *section, const char *id, SinkHost **host,
        char text[static SINK_ADMIN_TEXT_MAX]) {
        const Session *session = r->session;
        const SinkHostCallbacks callbacks = { .on_answer = on_nothing,
                .on_seen = on_nothing_seen,
                .means = { session->loop, session->http, session->secrets, session->config->state_dir, true } };
        char problem[SINK_ADMIN_TEXT_MAX] = "";
        int k;

        if (*host)
                return true;
        text[0] = '\0';
        if (!session_secrets(r->session, id, section->section, section->keys))
                return false;
        k = sink_host_new(types_sink(section->sink), section, &callbacks, host, problem);
        if (k < 0)
                text_copy(text, SINK_ADMIN_TEXT_MAX, problem[0] ? problem : strerror(-k));
        return k >= 0;
}

static const char *store_words(int error) {
        return error == -EUCLEAN ? "the file is damaged" : strerror(-error);
}

/* Returns false when the message was not stored; it is then kept. *text* becomes "" when a line was printed. */
static bool store_replay_row(Rejected *r, Sql *guest, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        _cleanup_(rejected_message_done) RejectedMessage message = {};
        const SubscriptionConfig *section;
        bool stored = false;
        int k;

        k = rejected_guest_message(guest, id, &message);
        section = k == 0 ? config_find_subscription(r->session->config, message.subscription) : NULL;
        if (k != 0)
                text_copy(text, SINK_ADMIN_TEXT_MAX, store_words(k));
        else if (!section)
                text_copy(text, SINK_ADMIN_TEXT_MAX,
                        "no subscription of this configuration has that name any more; replay it with a copy of the "
                        "configuration that has it (sensorqd -c FILE rejected replay ...)");
        else if (store_open(r, section, id, host_of(r, section), text))
                stored = store_write(host_of(r, section), r->session->loop, &message.wire, text);
        return stored;
}

static void store_act(Rejected *r, Sql *guest, const char *id) {
        char text[SINK_ADMIN_TEXT_MAX] = "dropped";
        bool done = r->action == ACTION_DROP || store_replay_row(r, guest, id, text);
        int k;

        r->found++;
        if (done) {
                k = rejected_guest_drop(guest, id);
                done = k == 0;
                if (!done)
                        text_copy(text, sizeof(text), store_words(k));
        }
        if (*text)
                tell(r, id, done, text);
}

static int store_on_rows(Rejected *r, Sql *guest) {
        _cleanup_(sink_ids_done) SinkIds ids = {};
        int k;

        if (r->action == ACTION_LIST || r->action == ACTION_SHOW)
                return rejected_guest_each(guest, &(SinkRejectedQuery){ .id = r->id,
                                                          .with_data = r->action == ACTION_SHOW,
                                                          .each = sink_print,
                                                          .userdata = r });
        k = rejected_guest_each(guest, &(SinkRejectedQuery){ .id = r->id, .each = sink_collect, .userdata = &ids });
        if (ids.error < 0)
                k = ids.error;
        r->hosts = calloc(r->session->config->n_subscriptions + 1, sizeof(*r->hosts));
        if (!r->hosts)
                return -ENOMEM;
        for (size_t i = 0; k == 0 && i < ids.n; i++)
                store_act(r, guest, ids.items[i]);
        for (size_t i = 0; i < r->session->config->n_subscriptions; i++)
                (void) sink_host_free(r->hosts[i]);
        free(r->hosts);
        return k;
}

static void rejected_in_store(Rejected *r) {
        _cleanup_(sql_closep) Sql *guest = NULL;
        int k;

        if (r->id && is_in_outbox(r->id))
                return;
        k = rejected_guest_open(r->session->config->state_dir, &guest);
        if (k == -ENOENT)
                return;
        if (k == 0)
                k = store_on_rows(r, guest);
        if (k != 0)
                tell(r, REJECTED_FILE, false,
                        k == -EOPNOTSUPP ? "was made by a later sensorqd"
                        : k == -EACCES   ? "may not be read by this user: run this as root (sudo)"
                        : k == -EUCLEAN  ? "is damaged; move it away, and keep it"
                                         : strerror(-k));
}

/* ---- the verb ---- */

static void rejected_everywhere(Rejected *r, const char *id) {
        const Config *config = r->session->config;
        size_t before = r->found + r->session->failed;

        r->id = id;
        rejected_in_outbox(r, true);
        rejected_in_outbox(r, false);
        for (size_t i = 0; i < config->n_subscriptions; i++)
                rejected_in_subscription(r, &config->subscriptions[i]);
        rejected_in_store(r);
        if (r->others.size > 0)
                fprintf(stderr,
                        "sensorqd: other subscriptions, which this configuration does not name, left rejected readings "
                        "there, too. With a copy of the configuration that names one (sensorqd -c FILE rejected ...) "
                        "they are listed, replayed and dropped:\n%s",
                        r->others.data);
        if (r->found + r->session->failed > before)
                return;
        if (id)
                tell(r, id, false, "no rejected reading of that name; see: sensorqd rejected list");
        else if (r->session->failed == 0)
                fprintf(stderr, "sensorqd: there are no rejected readings\n");
}

static bool parse_action(int argc, char **argv, bool all, Action *ret) {
        static const char *const words[] = {
                [ACTION_LIST] = "list", [ACTION_SHOW] = "show", [ACTION_REPLAY] = "replay", [ACTION_DROP] = "drop"
        };

        for (size_t i = 0; argc > 0 && i < ELEMENTSOF(words); i++)
                if (strcmp(argv[0], words[i]) == 0) {
                        *ret = (Action) i;
                        return *ret == ACTION_LIST   ? argc == 1 && !all
                               : *ret == ACTION_SHOW ? argc == 2 && !all
                                                     : all == (argc == 1);
                }
        return false;
}

bool verb_rejected_understands(int argc, char **argv, bool all) {
        Action action;

        return parse_action(argc, argv, all, &action);
}

/* Dropping cannot be undone, so a person is asked. A script is not: it has passed --all. */
static bool may_drop_all(void) {
        bool yes = true;

        if (isatty(STDIN_FILENO) && ask_yes("Delete all rejected readings for good?", false, &yes) < 0)
                return false;
        return yes;
}

int verb_rejected(Config *config, int argc, char **argv, bool all) {
        _cleanup_(session_closep) Session *session = NULL;
        Rejected r = {};
        int k;

        if (!parse_action(argc, argv, all, &r.action))
                return EX_USAGE;
        if (all && r.action == ACTION_DROP && !may_drop_all())
                return EX_TEMPFAIL;
        k = session_open_local(config, &session);
        if (k != 0)
                return k;
        if (r.action != ACTION_REPLAY)
                (void) signal(SIGPIPE, SIG_DFL); /* a pager or head(1) that has seen enough ends this, too */
        r.session = session;
        if (open_outbox(&r)) {
                if (argc == 1)
                        rejected_everywhere(&r, NULL);
                for (int i = 1; i < argc; i++)
                        rejected_everywhere(&r, argv[i]);
        }
        bytes_done(&r.others);
        r.outbox = outbox_guest_close(r.outbox);
        if (r.requeued)
                service_knock(config->state_dir);
        return session_exit_code(session);
}
