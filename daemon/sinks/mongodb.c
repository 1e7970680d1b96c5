/* SPDX-License-Identifier: Apache-2.0 */
/* MongoDB as a type of sink. Everything here but mongodb_open() is on the sink's thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sinks/mongodb-config.h"
#include "sinks/mongodb-write.h"
#include "subscribe/sink.h"

typedef struct Mongodb {
        MongodbWriter *writer;
        char *place;
} Mongodb;

static const char *fault_words(MongodbFault fault) {
        switch (fault) {
        case MONGODB_FAULT_UNREACHABLE:
                return "cannot be reached";
        case MONGODB_FAULT_BUSY:
                return "cannot write now";
        case MONGODB_FAULT_WRITE_CONCERN:
                return "cannot make writes durable";
        case MONGODB_FAULT_DISK_FULL:
                return "has no disk space left";
        case MONGODB_FAULT_LOGIN:
                return "refuses the login";
        case MONGODB_FAULT_FORBIDDEN:
                return "does not let the user do what is needed";
        case MONGODB_FAULT_SETTINGS:
                return "refuses to write, and only a person can change that";
        case MONGODB_FAULT_LOCAL:
                return "is not written to, because sensorqd is out of memory";
        default:
                return "fails in a way that is not known";
        }
}

static void answer_with(SinkAnswer *answer, MongodbFault fault) {
        if (fault == MONGODB_FAULT_NONE)
                return;
        answer->fault = mongodb_fault_is_config(fault) ? SINK_FAULT_LASTING : SINK_FAULT_PASSING;
        answer->reason = mongodb_fault_name(fault);
        answer->words = fault_words(fault);
        answer->remedy = mongodb_fault_remedy(fault);
}

static void mongodb_probe_remote(void *self, SinkAnswer *answer) {
        Mongodb *m = self;

        answer_with(answer, mongodb_writer_probe(m->writer, answer));
}

static void mongodb_write(void *self, SinkWork *work) {
        Mongodb *m = self;

        answer_with(&work->answer, mongodb_writer_write(m->writer, work));
        for (size_t i = 0; i < work->n; i++)
                if (work->items[i].verdict == SINK_STORED || work->items[i].verdict == SINK_DUPLICATE)
                        work->answer.accepted = true;
}

static void mongodb_set_apart(void *self, SinkWork *work) {
        Mongodb *m = self;

        answer_with(&work->answer, mongodb_writer_set_apart(m->writer, work));
}

static const char *mongodb_place(const void *self) {
        return ((const Mongodb *) self)->place;
}

/* The pool waits for its monitors when it is destroyed, up to the connect timeout. */
static void *mongodb_close(void *self) {
        Mongodb *m = self;

        if (!m)
                return NULL;
        m->writer = mongodb_writer_free(m->writer);
        free(m->place);
        free(m);
        return NULL;
}

static int mongodb_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        _cleanup_(mongodb_client_freep) MongodbClient *client = NULL;
        const MongodbConfig *keys = config->keys;
        Mongodb *m;
        int r;

        r = mongodb_client_new(config, keys->password.text, &client, problem, SINK_DETAIL_MAX);
        if (r < 0)
                return r;
        client->host = host;
        m = calloc(1, sizeof(Mongodb));
        if (!m)
                return -ENOMEM;
        if (asprintf(&m->place, "%s.%s", keys->database, keys->collection) < 0)
                m->place = NULL;
        r = m->place ? mongodb_writer_new(client, &m->writer) : -ENOMEM;
        if (r < 0) {
                (void) mongodb_close(m);
                return r;
        }
        cleanup_steal(client);
        *ret_self = m;
        return 0;
}

extern const SinkType sink_type_mongodb;   /* named in types.c only */
extern const SinkAdmin sink_admin_mongodb; /* mongodb-verbs.c */

const SinkType sink_type_mongodb = {
        .keys = &mongodb_config_section,
        .what = "MongoDB",
        .blocks = true,
        .open = mongodb_open,
        .place = mongodb_place,
        .probe = mongodb_probe_remote,
        .write = mongodb_write,
        .set_apart = mongodb_set_apart,
        .close = mongodb_close,
        .admin = &sink_admin_mongodb,
};
