/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB as the verbs see any sink. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "sinks/mongodb-admin.h"
#include "sinks/mongodb-config.h"
#include "subscribe/sink-admin.h"

static void verbs_place(const SubscriptionConfig *config, char text[static SINK_ADMIN_TEXT_MAX]) {
        const MongodbConfig *keys = config->keys;

        (void) snprintf(text, SINK_ADMIN_TEXT_MAX, "%s.%s", keys->database, keys->collection);
}

static int verbs_open(const SubscriptionConfig *config, void **ret_self, char text[static SINK_ADMIN_TEXT_MAX]) {
        const MongodbConfig *keys = config->keys;
        MongodbAdminDetail detail = {};
        MongodbAdmin *admin = NULL;
        int r;

        r = mongodb_admin_open(config, keys->password.text, &admin, &detail);
        text_copy(text, SINK_ADMIN_TEXT_MAX, detail.text);
        if (r == 0)
                *ret_self = admin;
        return r;
}

static void *verbs_close(void *self) {
        return mongodb_admin_close(self);
}

static bool verbs_tell(const SinkTeller *teller, int r, const MongodbAdminDetail *detail) {
        bool ok = r == MONGODB_ADMIN_OK;

        teller->tell(teller->userdata, ok ? SINK_GRADE_OK : SINK_GRADE_FAIL,
                detail->text[0] ? detail->text : strerror(r < 0 ? -r : EIO));
        return ok;
}

static void verbs_check(void *self, const SinkTeller *teller) {
        MongodbAdminDetail detail = {};
        int r;

        r = mongodb_admin_check_login(self, &detail);
        if (r == MONGODB_ADMIN_OK)
                r = mongodb_admin_check_write(self, &detail);
        (void) verbs_tell(teller, r, &detail);
}

static void verbs_setup(void *self, const SinkTeller *teller) {
        MongodbAdminDetail detail = {};
        int r;

        r = mongodb_admin_create_indexes(self, &detail);
        (void) verbs_tell(teller, r, &detail);
}

static bool on_rejected(void *userdata, const MongodbRejected *row) {
        const SinkRejectedQuery *query = userdata;

        return query->each(query->userdata,
                &(SinkRejected){ .id = row->id,
                        .reason = row->reason,
                        .detail = row->detail,
                        .data = row->data,
                        .size = row->data.size,
                        .rejected_at = row->rejected_at > 0 ? (usec_t) row->rejected_at * USEC_PER_MSEC : 0,
                        .attributes = row->attributes });
}

static int verbs_each_rejected(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]) {
        MongodbAdminDetail detail = {};
        SinkRejectedQuery copy = *query;
        size_t n;
        int r;

        r = mongodb_admin_each_rejected(self, query->id, on_rejected, &copy, &n, &detail);
        text_copy(text, SINK_ADMIN_TEXT_MAX, detail.text);
        return r;
}

static int verbs_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        MongodbAdminDetail detail = {};
        int r;

        r = mongodb_admin_replay(self, id, &detail);
        text_copy(text, SINK_ADMIN_TEXT_MAX, detail.text);
        return r;
}

static int verbs_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]) {
        MongodbAdminDetail detail = {};
        int r;

        r = mongodb_admin_drop(self, id, &detail);
        text_copy(text, SINK_ADMIN_TEXT_MAX, detail.text);
        return r;
}

extern const SinkAdmin sink_admin_mongodb;

const SinkAdmin sink_admin_mongodb = {
        .place = verbs_place,
        .open = verbs_open,
        .close = verbs_close,
        .check = verbs_check,
        .setup = verbs_setup,
        .each_rejected = verbs_each_rejected,
        .replay = verbs_replay,
        .drop = verbs_drop,
};
