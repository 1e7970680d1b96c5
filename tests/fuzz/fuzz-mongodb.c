/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a reply of a MongoDB, or of something that answers in its place: each document of the bulk has one
 * verdict, none counts as stored that the reply lists as refused, and the words are UTF-8 and fit. The first byte: how
 * many documents, and the driver's own result. */
#include <stdio.h>

#include "fuzz.h"
#include "lib/bytes.h"
#include "sinks/document.h"
#include "sinks/mongodb-reply.h"

#define DOCUMENTS_MAX 8

static void require_words(const char *words, size_t size) {
        require(memchr(words, '\0', size) && bytes_is_utf8(words, strlen(words)));
}

static void describe(const bson_t *reply, const bson_error_t *error, size_t n, size_t room) {
        char *text = malloc(room);

        for (size_t i = 0; i <= n; i++) {
                mongodb_reply_describe(reply, error, i, text, room);
                require_words(text, room);
        }
        mongodb_reply_describe_fault(reply, error, text, room);
        require_words(text, room);
        free(text);
}

static void judge(const bson_t *reply, const bson_error_t *error, bool ok, size_t n) {
        MongodbJudgement judgements[DOCUMENTS_MAX];
        MongodbFault fault = mongodb_reply_judge(ok, reply, error, judgements, n);
        size_t listed = 0, stored = 0;

        for (size_t i = 0; i < n; i++) {
                listed += judgements[i].verdict > MONGODB_STORED;
                stored += judgements[i].verdict == MONGODB_STORED;
        }
        require(stored == 0 || stored + listed == n);
        require(mongodb_fault_words(fault)->words || fault == MONGODB_FAULT_NONE);
        require(mongodb_reply_fault(reply, error) != MONGODB_FAULT_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        bson_error_t error = {};
        uint8_t *copy;
        bson_t reply;

        if (size < 3)
                return 0;
        error.domain = data[1] % 24;
        error.code = data[1];
        (void) snprintf(error.message, sizeof(error.message), "%.*s", (int) (size - 2), (const char *) data + 2);
        copy = malloc(size - 2);
        memcpy(copy, data + 2, size - 2);
        if (bson_init_static(&reply, copy, size - 2)) {
                judge(&reply, &error, data[0] & 64, data[0] % (DOCUMENTS_MAX + 1));
                describe(&reply, &error, data[0] % (DOCUMENTS_MAX + 1), 48 + data[1] % 200);
                (void) document_same_payload(&reply, &reply);
                (void) document_same_data(&reply, &reply);
                (void) document_same_time(&reply, &reply);
        } else
                describe(NULL, &error, 1, 48 + data[0]);
        free(copy);
        return 0;
}
