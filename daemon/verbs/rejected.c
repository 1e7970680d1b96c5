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
#include "publish/outbox-guest.h"
#include "publish/outbox-sql.h"
#include "subscribe/rejected.h"
#include "subscribe/sink-host.h"
#include "types.h"
#include "verbs/ask.h"
#include "verbs/check.h"
#include "verbs/session.h"
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
        Bytes others;        /* lines: subscriptions that have rows but are not in this configuration */
        char **ids;          /* of the messages to act on */
        size_t n_ids, allocated;
        int error; /* of collecting them */
} Rejected;

/* ---- printing ---- */

static void print_entry(Rejected *r, const SinkRejected *entry) {
        char when[CLOCK_RFC3339_SIZE];

        r->found++;
        session_print(entry->id);
        printf("  %s  ", clock_format_rfc3339(entry->rejected_at, when));
        session_print(entry->reason);
        if (entry->detail.size > 0) {
                printf(": ");
                session_print(entry->detail);
        }
        printf("  (%" PRIu64 " byte%s)\n", entry->size, text_s(entry->size));
        if (r->action != ACTION_SHOW)
                return;
        printf("attributes: ");
        session_print(slice_of(entry->attributes));
        (void) putchar('\n');
        session_print_data(entry->data);
        (void) putchar('\n');
}

static void tell(Rejected *r, const char *id, bool done, const char *detail) {
        session_tell(r->session, done ? SINK_GRADE_OK : SINK_GRADE_FAIL, id, "%s", detail);
}

/* ---- the outbox: readings that Pub/Sub refused, and what sources could not read ---- */

static void row_id(const Rejected *r, const OutboxRejected *row, char id[static ROW_ID_SIZE]) {
        if (r->unread)
                (void) snprintf(id, ROW_ID_SIZE, SOURCE_PREFIX "%.*s:%" PRIi64, (int) row->source.size,
                        row->source.data, row->id);
        else
                (void) snprintf(id, ROW_ID_SIZE, OUTBOX_PREFIX "%" PRIi64, row->id);
}

static void row_print(Rejected *r, const OutboxRejected *row, const char *id) {
        SinkRejected entry = { .id = slice_of(id),
                .reason = row->reason,
                .data = row->payload,
                .size = row->size,
                .rejected_at = row->at };
        _cleanup_bytes_ Bytes text = {};

        bytes_append_format(&text, "source=%.*s ", (int) row->source.size, row->source.data);
        if (r->unread) {
                entry.detail = row->reason;
                entry.reason = slice_of("unreadable");
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
                words = "the configuration has no source of that name; drop it, or give a source that name";
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

        row_id(r, row, id);
        if (r->id && strcmp(r->id, id) != 0)
                return 1; /* the wanted row is gone, or the id is not written as in the list; this is a later row */
        if (r->action == ACTION_REPLAY || r->action == ACTION_DROP)
                row_act(r, row, id);
        else
                row_print(r, row, id);
        return r->id != NULL;
}

static void on_dropped(void *userdata, Slice source, uint64_t n) {
        char name[ROW_ID_SIZE];

        (void) snprintf(name, sizeof(name), "%.*s", (int) source.size, source.data);
        name[text_clean(name, strlen(name))] = '\0';
        fprintf(stderr,
                "sensorqd: source %s: more could not become readings, %" PRIu64
                " deleted so far: the newest %d of a source are kept, at most "
                "%d MiB\n",
                name, n, OUTBOX_UNREADABLE_ROWS, OUTBOX_UNREADABLE_BYTES >> 20);
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
        return !check_unit_makes(config) && access(config->state_dir, F_OK) < 0 && errno == ENOENT;
}

static void tell_unopened(Rejected *r, const char *what, int error) {
        char text[200];

        (void) snprintf(text, sizeof(text), CAUSE_LINK_WORDS ": %s", cause_disk_remedy(error));
        tell(r, what, false,
                error == -EOPNOTSUPP ? "was made by a later sensorqd"
                : error == -EACCES   ? "may not be read by this user: run this as root (sudo)"
                : error == -EUCLEAN  ? "is damaged; move it away and keep it"
                : error == -ELOOP    ? text
                                     : strerror(-error));
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
                tell_unopened(r, "outbox", k == OUTBOX_NEWER ? -EOPNOTSUPP : k);
        return k == OUTBOX_OK;
}

/* ---- messages: what a sink set apart itself, or what is in state_dir ---- */

static bool print_message(void *userdata, const SinkRejected *message) {
        print_entry(userdata, message);
        return true;
}

static bool collect_id(void *userdata, const SinkRejected *message) {
        Rejected *r = userdata;
        char *id = strndup(message->id.data, message->id.size);

        r->error = id ? array_reserve(&r->ids, &r->allocated, r->n_ids + 1, sizeof(char *)) : -ENOMEM;
        if (r->error == 0)
                r->ids[r->n_ids++] = cleanup_steal(id);
        free(id);
        return r->error == 0;
}

static void note_other(void *userdata, const char *subscription) {
        char line[ROW_ID_SIZE * 4];
        Rejected *r = userdata;

        text_copy(line, sizeof(line) - 1, subscription);
        (void) strcpy(line + text_clean(line, strlen(line)), "\n");
        if (config_find_subscription(r->session->config, slice_of(subscription)) ||
                (r->others.data && strstr(r->others.data, line)))
                return;
        if (bytes_append_text(&r->others, line) < 0)
                tell(r, subscription, false, strerror(ENOMEM));
}

enum { MESSAGE_TOLD = 3 }; /* beside SINK_ADMIN_*: a line about the message was printed */

static void message_act(Rejected *r, const SinkAdmin *admin, void *self, const char *id) {
        char text[SINK_ADMIN_TEXT_MAX] = "";
        int k;

        r->found++;
        k = r->action == ACTION_REPLAY ? admin->replay(self, id, text) : admin->drop(self, id, text);
        if (k != MESSAGE_TOLD)
                tell(r, id, k == SINK_ADMIN_OK, text[0] ? text : strerror(k < 0 ? -k : EIO));
}

/* Does what was asked for with the messages of one place. Ids are collected first and acted on afterwards, so that
 * nothing changes while it is read. */
static int messages_act(Rejected *r, const SinkAdmin *admin, void *self, char text[static SINK_ADMIN_TEXT_MAX]) {
        bool acts = r->action == ACTION_REPLAY || r->action == ACTION_DROP;
        const SinkRejectedQuery query = {
                .id = r->id,
                .with_data = r->action == ACTION_SHOW,
                .each = acts ? collect_id : print_message,
                .other = r->action == ACTION_LIST ? note_other : NULL,
                .userdata = r,
        };
        int k;

        r->error = 0;
        k = admin->each_rejected(self, &query, text);
        if (r->error < 0)
                k = r->error;
        for (size_t i = 0; i < r->n_ids; i++) {
                if (k == SINK_ADMIN_OK)
                        message_act(r, admin, self, r->ids[i]);
                free(r->ids[i]);
        }
        r->n_ids = 0;
        return k;
}

static bool is_in_outbox(const char *id) {
        return is_of(id, OUTBOX_PREFIX) || is_of(id, SOURCE_PREFIX);
}

static void rejected_in_sink(Rejected *r, const SubscriptionConfig *section) {
        const SinkAdmin *admin = types_sink(section->sink)->admin;
        char text[SINK_ADMIN_TEXT_MAX] = "";
        void *sink = NULL;
        int k;

        if (!admin || !admin->each_rejected ||
                !session_secrets(r->session, section->subscription, section->section, section->keys))
                return;
        k = admin->open(section, &sink, text);
        if (k == 0)
                k = messages_act(r, admin, sink, text);
        if (k != SINK_ADMIN_OK)
                tell(r, section->subscription, false, text[0] ? text : strerror(k < 0 ? -k : EIO));
        if (sink)
                (void) admin->close(sink);
}

/* ---- state_dir/rejected.sqlite as such a place; a message is replayed into the sink of its subscription ---- */

typedef struct Store {
        Session *session;
        Sql *guest;
        SinkHost **hosts; /* of each subscription: its sink; NULL: not open */
} Store;

/* Asks the type one question and waits for the answer. NULL: none came in time. The sink's thread may then still read
 * the message, so it gets a copy, and keeps that. */
static SinkWork *store_ask(SinkHost *host, Loop *loop, SinkStep step, WireMessage *message) {
        const Batch own = { .pull = { .messages = message, .n = 1 }, .suspicions = &(Suspicion){} };
        usec_t end = clock_now() + REPLAY_USEC;
        Batch *copy = NULL;
        SinkWork *work;

        if (sink_host_prepare(host, message ? 1 : 0, &work) < 0 ||
                (message && batch_gather(&(BatchPick){ &own, 0 }, 1, &copy) < 0))
                return NULL;
        if (message)
                work->items[0] = (SinkItem){ .message = copy->pull.messages, .alone = true };
        sink_host_ask(host, step, copy);
        while (sink_host_is_busy(host) && clock_now() < end)
                if (loop_turn(loop, 100 * USEC_PER_MSEC) < 0)
                        break;
        if (sink_host_is_busy(host))
                return NULL;
        (void) batch_free(copy);
        return work;
}

static void on_nothing(void *userdata, SinkStep step, SinkWork *work) {}

static void on_nothing_seen(void *userdata, unsigned seen) {}

/* Writes the message. A sink that did not answer, or is down, is closed: another message needs a fresh one. */
static int store_write(SinkHost **host, Loop *loop, WireMessage *message, char text[static SINK_ADMIN_TEXT_MAX]) {
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
        return stored ? SINK_ADMIN_OK : SINK_ADMIN_FAILED;
}

/* Opens the sink of a subscription, once: each time a file sink reads its archive, which takes a second or more. */
static int store_open(Session *session, const SubscriptionConfig *section, const char *id, SinkHost **host,
        char text[static SINK_ADMIN_TEXT_MAX]) {
        const SinkHostCallbacks callbacks = { .on_answer = on_nothing,
                .on_seen = on_nothing_seen,
                .means = { session->loop, session->http, session->secrets, session->config->state_dir, true } };

        if (*host)
                return SINK_ADMIN_OK;
        if (!session_secrets(session, id, section->section, section->keys))
                return MESSAGE_TOLD;
        return sink_host_new(types_sink(section->sink), section, &callbacks, host, text);
}

static int store_fail(int error, char text[static SINK_ADMIN_TEXT_MAX]) {
        text_copy(text, SINK_ADMIN_TEXT_MAX, error == -EUCLEAN ? "the file is damaged" : strerror(-error));
        return error;
}

static int store_each(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]) {
        const Store *store = self;

        return rejected_guest_each(store->guest, query);
}

static int store_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        const Store *store = self;
        int k = rejected_guest_drop(store->guest, id);

        if (k < 0)
                return store_fail(k, text);
        if (text[0] == '\0') /* else it was replayed */
                text_copy(text, SINK_ADMIN_TEXT_MAX, "dropped");
        return SINK_ADMIN_OK;
}

static int store_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        _cleanup_(rejected_message_done) RejectedMessage message = {};
        const Store *store = self;
        Session *session = store->session;
        const SubscriptionConfig *section;
        SinkHost **host;
        int k;

        k = rejected_guest_message(store->guest, id, &message);
        if (k < 0)
                return store_fail(k, text);
        section = config_find_subscription(session->config, message.subscription);
        if (!section) {
                text_copy(text, SINK_ADMIN_TEXT_MAX,
                        "no subscription of this configuration has that name any more; replay it with a copy of the "
                        "configuration that has it (sensorqd -c FILE rejected replay ...)");
                return SINK_ADMIN_FAILED;
        }
        host = &store->hosts[section - session->config->subscriptions];
        k = store_open(session, section, id, host, text);
        if (k == SINK_ADMIN_OK)
                k = store_write(host, session->loop, &message.wire, text);
        return k == SINK_ADMIN_OK ? store_drop(self, id, text) : k;
}

static const SinkAdmin store_admin = { .each_rejected = store_each, .replay = store_replay, .drop = store_drop };

static void rejected_in_store(Rejected *r) {
        const Config *config = r->session->config;
        Store store = { .session = r->session };
        char text[SINK_ADMIN_TEXT_MAX] = "";
        int k;

        k = rejected_guest_open(config->state_dir, &store.guest);
        if (k == -ENOENT)
                return;
        store.hosts = calloc(config->n_subscriptions + 1, sizeof(*store.hosts));
        if (k == 0)
                k = store.hosts ? messages_act(r, &store_admin, &store, text) : -ENOMEM;
        for (size_t i = 0; store.hosts && i < config->n_subscriptions; i++)
                (void) sink_host_free(store.hosts[i]);
        free(store.hosts);
        (void) sql_close(store.guest);
        if (k != 0)
                tell_unopened(r, REJECTED_FILE, k);
}

/* ---- the verb ---- */

static void rejected_everywhere(Rejected *r, const char *id) {
        const Config *config = r->session->config;
        size_t before = r->found + r->session->failed;
        bool messages = !id || !is_in_outbox(id);

        r->id = id;
        rejected_in_outbox(r, true);
        rejected_in_outbox(r, false);
        for (size_t i = 0; i < config->n_subscriptions && messages; i++)
                rejected_in_sink(r, &config->subscriptions[i]);
        if (messages)
                rejected_in_store(r);
        if (r->others.size > 0)
                fprintf(stderr,
                        "sensorqd: subscriptions that this configuration does not name have left rejected readings "
                        "there, too. With a copy of the configuration that names the subscription (sensorqd -c FILE "
                        "rejected ...) they can be listed, replayed or dropped:\n%s",
                        r->others.data);
        if (r->found + r->session->failed > before)
                return;
        if (id)
                tell(r, id, false, "no rejected reading of that name; see: sensorqd rejected list");
        else if (r->session->failed == 0 && access(config->state_dir, F_OK) < 0 && errno == ENOENT)
                fprintf(stderr,
                        "sensorqd: there are no rejected readings; state_dir %s is not there yet. Where another "
                        "service, or a person, runs this file, set state_dir in it\n",
                        config->state_dir);
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
        free(r.ids);
        r.outbox = outbox_guest_close(r.outbox);
        if (r.requeued)
                service_knock(config->state_dir);
        return session_exit_code(session);
}
