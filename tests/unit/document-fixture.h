/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages and the documents that they become. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sinks/document.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define STORED_AT (UINT64_C(1795502258123) * USEC_PER_MSEC)

static char created_at[] = "created_at", updated_at[] = "updated_at", dotted[] = "a.b", stored_at[] = "stored_at";
static char *date_fields[] = { created_at, updated_at, dotted, stored_at, NULL };
static const DocumentRules rules = {
        .subscription = SUBSCRIPTION, .id_attribute = "idempotency_key", .date_fields = date_fields
};

static inline Slice slice(const char *text) {
        return (Slice){ text, strlen(text) };
}

static inline WireMessage message_of(const char *data, size_t size) {
        return (WireMessage){
                .data = { data, size }, .message_id = slice("17"), .publish_time = slice("2026-11-24T06:27:38.123456Z")
        };
}

static inline int build(const WireMessage *message, bson_t *document, char detail[static DOCUMENT_DETAIL_SIZE]) {
        bson_init(document);
        detail[0] = '\0';
        return document_build(
                &(DocumentInput){ .message = message, .rules = &rules, .at = STORED_AT }, document, detail);
}

/* The payload's part of the document as canonical extended JSON, which tells every type apart. */
/* An empty object within another is "{ }" for libbson 1.30 and "{  }" for 1.23. */
static inline void squeeze(char *json, const char *empty) {
        for (char *at = strstr(json, empty); at; at = strstr(at, empty))
                memmove(at + 1, at + 2, strlen(at + 2) + 1);
}

static inline char *payload_json(const bson_t *document) {
        bson_t copy;
        char *json;

        bson_init(&copy);
        bson_copy_to_excluding_noinit(document, &copy, "_id", "pubsub", "stored_at", NULL);
        json = bson_as_canonical_extended_json(&copy, NULL);
        bson_destroy(&copy);
        squeeze(json, "{  }");
        squeeze(json, "[  ]");
        return json;
}

static inline void assert_payload(const char *data, size_t size, const char *expected) {
        WireMessage message = message_of(data, size);
        bson_error_t error;
        bson_t document;
        char detail[DOCUMENT_DETAIL_SIZE], *json;
        int r;

        r = build(&message, &document, detail);
        if (r != DOCUMENT_OK)
                fail_msg("%.*s: %s: %s", (int) size, data, document_reason((DocumentReason) r), detail);
        assert_true(bson_validate_with_error(&document, BSON_VALIDATE_NONE, &error));
        json = payload_json(&document);
        assert_string_equal(json, expected);
        bson_free(json);
        bson_destroy(&document);
}

static inline void assert_rejected(const char *data, size_t size, DocumentReason reason) {
        WireMessage message = message_of(data, size);
        bson_t document;
        char detail[DOCUMENT_DETAIL_SIZE];
        int r;

        r = build(&message, &document, detail);
        if (r != (int) reason)
                fail_msg("%.*s: %d instead of %s: %s", (int) size, data, r, document_reason(reason), detail);
        assert_true(bson_empty(&document));
        assert_true(strlen(detail) > 0);
        assert_true(bytes_is_utf8(detail, strlen(detail)));
        message = message_of("{}", 2); /* P6: wherever it stopped, the next message may be built in the same place */
        assert_int_equal(
                document_build(&(DocumentInput){ &message, &rules, STORED_AT, false }, &document, detail), DOCUMENT_OK);
        bson_destroy(&document);
}

static inline void assert_string(const bson_t *document, const char *path, const char *expected) {
        bson_iter_t iter, found;

        assert_true(bson_iter_init(&iter, document));
        assert_true(bson_iter_find_descendant(&iter, path, &found));
        assert_true(BSON_ITER_HOLDS_UTF8(&found));
        assert_string_equal(bson_iter_utf8(&found, NULL), expected);
}

static inline void assert_date(const bson_t *document, const char *path, int64_t expected) {
        bson_iter_t iter, found;

        assert_true(bson_iter_init(&iter, document));
        assert_true(bson_iter_find_descendant(&iter, path, &found));
        assert_true(BSON_ITER_HOLDS_DATE_TIME(&found));
        assert_int_equal(bson_iter_date_time(&found), expected);
}
