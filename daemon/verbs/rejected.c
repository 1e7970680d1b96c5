/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd rejected`: what could be neither published nor stored, wherever it is kept. In the outbox an entry is named
 * outbox:N; in a rejected collection by its _id, SUBSCRIPTION:MESSAGE_ID. The daemon may be running meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "lib/err.h"
#include "publish/outbox-rejected.h"
#include "secret.h"
#include "sinks/mongodb-admin.h"
#include "sinks/mongodb-config.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

#define OUTBOX_PREFIX "outbox:"
#define REASON_SHOWN 100 /* characters of a reason in a list */

typedef enum Action { ACTION_LIST, ACTION_SHOW, ACTION_REPLAY, ACTION_DROP } Action;

/* One run of the verb. */
typedef struct Rejected {
        Config *config;
        Action action;
        const char *id; /* NULL: all */
        size_t found, failed;
        bool secret_unreadable;
        OutboxGuest *outbox; /* NULL: none there */
        MongodbAdmin *admin; /* of the subscription being looked at */
} Rejected;

/* ---- printing: what a remote sent may hold anything ---- */

static void print_text(Slice text, size_t most) {
        for (size_t i = 0; i < text.size && i < most; i++) {
                unsigned char c = (unsigned char) text.data[i];

                (void) putchar(c < ' ' || c == 0x7f ? ' ' : c);
        }
}

static void print_entry(Action action, const char *id, usec_t rejected_at, Slice reason, Slice detail, Slice data,
        const char *attributes) {
        char when[CLOCK_RFC3339_SIZE];

        printf("%s  %s  ", id, clock_format_rfc3339(rejected_at, when));
        print_text(reason, REASON_SHOWN);
        if (detail.size > 0) {
                printf(": ");
                print_text(detail, action == ACTION_SHOW ? SIZE_MAX : REASON_SHOWN);
        }
        printf("  (%zu bytes)\n", data.size);
        if (action != ACTION_SHOW)
                return;
        printf("attributes: %s\n", attributes);
        (void) fwrite(data.data, 1, data.size, stdout);
        (void) putchar('\n');
}

static void tell(Rejected *r, const char *id, bool done, const char *detail) {
        if (!done)
                r->failed++;
        printf("%-4s  %s  %s\n", done ? "ok" : "FAIL", id, detail);
}

/* ---- the outbox ---- */

typedef struct OutboxIds {
        int64_t items[256];
        size_t n;
} OutboxIds;

static int outbox_print(void *userdata, const OutboxRejected *row) {
        Rejected *r = userdata;
        char id[40], attributes[512];

        (void) snprintf(id, sizeof(id), OUTBOX_PREFIX "%" PRIi64, row->id);
        if (r->id && strcmp(id, r->id) != 0)
                return 1; /* the next one after it */
        r->found++;
        (void) snprintf(attributes, sizeof(attributes), "source=%.*s type=%.*s device=%.*s idempotency_key=%.*s",
                (int) row->source.size, row->source.data, (int) row->type.size, row->type.data, (int) row->device.size,
                row->device.data, (int) row->key.size, row->key.data);
        print_entry(r->action, id, row->rejected_at, row->reason, (Slice){ "", 0 },
                (Slice){ row->payload.data, row->size }, attributes);
        return r->id != NULL;
}

static int outbox_collect(void *userdata, const OutboxRejected *row) {
        OutboxIds *ids = userdata;

        ids->items[ids->n++] = row->id;
        return ids->n == ELEMENTSOF(ids->items);
}

static void outbox_act(Rejected *r, int64_t row) {
        char id[40];
        int k;

        (void) snprintf(id, sizeof(id), OUTBOX_PREFIX "%" PRIi64, row);
        k = r->action == ACTION_REPLAY ? outbox_rejected_replay(r->outbox, row) : outbox_rejected_drop(r->outbox, row);
        if (k == -ENOENT)
                return; /* none of that name: told at the end when it is nowhere */
        r->found++;
        tell(r, id, k >= 0, k < 0 ? strerror(-k) : r->action == ACTION_REPLAY ? "is queued again" : "dropped");
}

static int outbox_act_on_all(Rejected *r) {
        OutboxIds ids;
        int64_t after = 0;
        int k;

        do {
                ids.n = 0;
                k = outbox_rejected_each(r->outbox, after, false, outbox_collect, &ids);
                for (size_t i = 0; k >= 0 && i < ids.n; i++)
                        outbox_act(r, after = ids.items[i]);
        } while (k > 0);
        return k;
}

/* The row that *id* names exactly as a list shows it, else 0: a slip of the finger shall not drop another one. */
static int64_t outbox_row_of(const char *id) {
        char exact[40];
        int64_t row;

        if (strncmp(id, OUTBOX_PREFIX, strlen(OUTBOX_PREFIX)) != 0)
                return 0;
        row = strtoll(id + strlen(OUTBOX_PREFIX), NULL, 10);
        (void) snprintf(exact, sizeof(exact), OUTBOX_PREFIX "%" PRIi64, row);
        return row > 0 && strcmp(id, exact) == 0 ? row : 0;
}

static void rejected_in_outbox(Rejected *r) {
        int k;

        if (!r->outbox)
                return;
        if (r->action == ACTION_LIST)
                k = outbox_rejected_each(r->outbox, 0, false, outbox_print, r);
        else if (r->action == ACTION_SHOW)
                k = outbox_rejected_each(r->outbox, outbox_row_of(r->id) - 1, true, outbox_print, r);
        else if (!r->id)
                k = outbox_act_on_all(r);
        else {
                int64_t row = outbox_row_of(r->id);

                if (row > 0)
                        outbox_act(r, row);
                k = 0;
        }
        if (k < 0)
                tell(r, "outbox", false, strerror(-k));
}

static bool open_outbox(Rejected *r) {
        int k;

        if (!r->config->publishes)
                return true;
        k = outbox_guest_open(r->config->state_dir, &r->outbox);
        if (k == -ENOENT)
                return true;
        if (k != OUTBOX_OK)
                tell(r, "outbox", false,
                        k == OUTBOX_NEWER ? "was made by a later sensorqd"
                        : k == -EACCES    ? "may not be read by this user: run this as root (sudo)"
                                          : strerror(-k));
        return k == OUTBOX_OK;
}

/* ---- a rejected collection ---- */

static bool mongodb_print(void *userdata, const MongodbRejected *row) {
        Rejected *r = userdata;
        char id[1024];

        r->found++;
        (void) snprintf(id, sizeof(id), "%.*s", (int) row->id.size, row->id.data);
        print_entry(r->action, id, row->rejected_at > 0 ? (usec_t) row->rejected_at * USEC_PER_MSEC : 0, row->reason,
                row->detail, row->data, row->attributes);
        return true;
}

static void mongodb_act(Rejected *r, const char *id) {
        MongodbAdminDetail detail = {};
        int k;

        r->found++;
        k = r->action == ACTION_REPLAY ? mongodb_admin_replay(r->admin, id, &detail)
                                       : mongodb_admin_drop(r->admin, id, &detail);
        tell(r, id, k == MONGODB_ADMIN_OK, detail.text[0] ? detail.text : strerror(k < 0 ? -k : EIO));
}

/* Names first, acts after: a collection is not changed while it is being read. */
typedef struct MongodbIds {
        char **items;
        size_t n, allocated;
        int error;
} MongodbIds;

static bool mongodb_collect(void *userdata, const MongodbRejected *row) {
        MongodbIds *ids = userdata;

        if (ids->n == ids->allocated) {
                size_t more = ids->allocated ? 2 * ids->allocated : 64;
                char **items = reallocarray(ids->items, more, sizeof(char *));

                if (!items)
                        return ids->error = -ENOMEM, false;
                ids->items = items;
                ids->allocated = more;
        }
        ids->items[ids->n] = strndup(row->id.data, row->id.size);
        if (!ids->items[ids->n])
                return ids->error = -ENOMEM, false;
        ids->n++;
        return true;
}

static void mongodb_act_on_found(Rejected *r, const char *name) {
        MongodbAdminDetail detail = {};
        MongodbIds ids = {};
        size_t n = 0;
        int k;

        k = mongodb_admin_each_rejected(r->admin, r->id, mongodb_collect, &ids, &n, &detail);
        if (k != MONGODB_ADMIN_OK || ids.error < 0)
                tell(r, name, false, detail.text[0] ? detail.text : strerror(ENOMEM));
        for (size_t i = 0; i < ids.n; i++) {
                if (k == MONGODB_ADMIN_OK && ids.error == 0)
                        mongodb_act(r, ids.items[i]);
                free(ids.items[i]);
        }
        free(ids.items);
}

static void rejected_in_mongodb(Rejected *r, const char *name) {
        MongodbAdminDetail detail = {};
        size_t n = 0;

        if (r->action == ACTION_REPLAY || r->action == ACTION_DROP)
                return mongodb_act_on_found(r, name);
        if (mongodb_admin_each_rejected(r->admin, r->id, mongodb_print, r, &n, &detail) != MONGODB_ADMIN_OK)
                tell(r, name, false, detail.text[0] ? detail.text : strerror(EIO));
}

static void rejected_in_subscription(Rejected *r, const SubscriptionConfig *section) {
        const MongodbConfig *keys = section->keys;
        MongodbAdminDetail detail = {};
        SecretProblem problem;
        int k;

        if (r->id && strncmp(r->id, OUTBOX_PREFIX, strlen(OUTBOX_PREFIX)) == 0)
                return;
        k = secret_read_all(r->config, NULL, section->section, section->keys, &problem);
        if (k < 0) {
                r->secret_unreadable = true;
                (void) snprintf(detail.text, sizeof(detail.text), "%s", problem.text);
        } else
                k = mongodb_admin_open(section, keys->password.text, &r->admin, &detail);
        if (k < 0)
                tell(r, section->subscription, false, detail.text[0] ? detail.text : strerror(-k));
        else
                rejected_in_mongodb(r, section->subscription);
        r->admin = mongodb_admin_close(r->admin);
}

/* ---- the verb ---- */

static void rejected_everywhere(Rejected *r, const char *id) {
        size_t before = r->found + r->failed;

        r->id = id;
        rejected_in_outbox(r);
        for (size_t i = 0; i < r->config->n_subscriptions; i++)
                rejected_in_subscription(r, &r->config->subscriptions[i]);
        if (id && r->found + r->failed == before)
                tell(r, id, false, "no rejected reading of that name; see: sensorqd rejected list");
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

int verb_rejected(Config *config, int argc, char **argv, bool all) {
        Rejected r = { .config = config };

        if (!parse_action(argc, argv, all, &r.action))
                return EX_USAGE;
        if (open_outbox(&r)) {
                if (argc == 1)
                        rejected_everywhere(&r, NULL);
                for (int i = 1; i < argc; i++)
                        rejected_everywhere(&r, argv[i]);
        }
        r.outbox = outbox_guest_close(r.outbox);
        return r.secret_unreadable ? EX_NOPERM : r.failed > 0 ? EX_UNAVAILABLE : EX_OK;
}
