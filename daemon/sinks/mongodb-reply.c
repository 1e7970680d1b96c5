/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "sinks/document.h"

/* Writes "not primary (code 10107)"; *size* > 0. */
static void describe(const char *message, int64_t code, char *text, size_t size) {
        char number[40];
        size_t n = (size_t) snprintf(number, sizeof(number), " (code %" PRId64 ")", code),
               most = size > n + 8 ? size - n : size;

        text_copy_words(text, most, message);
        (void) snprintf(text + strlen(text), size - strlen(text), "%s", number);
}

/* What the driver says of a host that it had no answer from, "BEFORE[::1]:27017END", and what we say. */
static const struct {
        const char *before, *end, *words;
} forms[] = {
        { "target host: ", "]", "no answer from" },
        { "calling hello on '", "'", "no answer from" },
        { "Failed to resolve '", "'", "no address found for" },
        { "Failed to resolve ", "]", "no address found for" },
};

/* Returns the first host that *message* names, and *ret_words; empty: it names none. The brackets of an IPv6 address
 * are a part of the host. */
static Slice host_without(const char *message, const char **ret_words) {
        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                const char *host = strstr(message, forms[i].before);
                size_t inside;

                if (!host)
                        continue;
                host += strlen(forms[i].before);
                inside = host[0] == '[' ? strcspn(host, "]") : 0;
                if (host[inside] == ']')
                        inside++;
                *ret_words = forms[i].words;
                return (Slice){ host, inside + strcspn(host + inside, forms[i].end) };
        }
        return (Slice){};
}

/* Of a server that was not found, what a person looks for comes first, and the driver's words behind. These name no
 * host while no monitor has failed yet, as with a name server that does not answer, or where all answer and none is
 * primary.
 */
void mongodb_reply_describe_error(const bson_error_t *error, const char *host, char *text, size_t size) {
        const bool lost = error->domain == MONGOC_ERROR_SERVER_SELECTION;
        const char *what = "no server to write to at";
        Slice named = lost ? host_without(error->message, &what) : (Slice){};
        char words[2 * sizeof(error->message) + 32];

        if (lost && named.size == 0 && host)
                named = slice_of(host);
        if (named.size > 0)
                (void) snprintf(
                        words, sizeof(words), "%s %.*s (%s)", what, (int) named.size, named.data, error->message);
        else
                text_copy(words, sizeof(words), error->message);
        describe(words, error->code, text, size);
}

/* ---- one answer ---- */

bool mongodb_reply_list(const bson_t *reply, const char *path, bson_iter_t *ret) {
        bson_iter_t found, probe;

        if (!reply || !document_find(reply, path, &found) || !BSON_ITER_HOLDS_ARRAY(&found) ||
                !bson_iter_recurse(&found, ret))
                return false;
        probe = *ret;
        return bson_iter_next(&probe);
}

/* Returns an integer member of the document at *element*. */
static int64_t member_int(const bson_iter_t *element, const char *key, int64_t fallback) {
        bson_iter_t iter;

        if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, key) || !BSON_ITER_HOLDS_NUMBER(&iter))
                return fallback;
        return bson_iter_as_int64(&iter);
}

const char *mongodb_reply_text(const bson_iter_t *element, const char *key, const char *fallback) {
        bson_iter_t iter;

        if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, key) || !BSON_ITER_HOLDS_UTF8(&iter))
                return fallback;
        return bson_iter_utf8(&iter, NULL);
}

static MongodbJudgement judge_element(const bson_iter_t *element, MongodbFault *fault) {
        static const SinkVerdict verdicts[] = { [MONGODB_KIND_OTHER] = SINK_REFUSED,
                [MONGODB_KIND_DUPLICATE] = SINK_DUPLICATE,
                [MONGODB_KIND_DOCUMENT] = SINK_REFUSED,
                [MONGODB_KIND_FAULT] = SINK_LATER };
        int code = (int) member_int(element, "code", 0);
        MongodbKind kind = mongodb_code_kind(
                code, mongodb_reply_text(element, "codeName", ""), mongodb_reply_text(element, "errmsg", ""), fault);

        return (MongodbJudgement){
                .verdict = verdicts[kind], .about_document = kind == MONGODB_KIND_DOCUMENT, .code = code
        };
}

/* Walks writeErrors. Returns how many there are, or -1 when they contradict themselves. */
static ssize_t judge_list(const bson_t *reply, MongodbJudgement *judgements, size_t n, MongodbFault *fault) {
        ssize_t count = 0;
        bson_iter_t list;

        if (!mongodb_reply_list(reply, "writeErrors", &list))
                return 0;
        for (; bson_iter_next(&list); count++) {
                int64_t index = member_int(&list, "index", -1);

                if (index < 0 || (uint64_t) index >= n || judgements[index].verdict != SINK_PENDING)
                        return -1;
                judgements[index] = judge_element(&list, fault);
        }
        return count;
}

/* mongoc_error_has_label() of older drivers (Debian 12's) aborts where `writeConcernError` is not an object. */
static bool has_label(const bson_t *reply) {
        static const char *const labels[] = { "RetryableWriteError", "SystemOverloadedError", NULL };
        bson_iter_t list;

        if (!mongodb_reply_list(reply, "errorLabels", &list))
                return false;
        while (bson_iter_next(&list))
                if (BSON_ITER_HOLDS_UTF8(&list) && text_is_among(bson_iter_utf8(&list, NULL), labels))
                        return true;
        return false;
}

/* Returns the fault of a command that a server refused. */
static MongodbFault code_fault(const bson_t *reply, const bson_error_t *error) {
        MongodbFault fault = MONGODB_FAULT_REFUSED;
        const char *name = reply ? document_text(reply, "codeName").data : "";

        if (mongodb_code_kind(error->code, name, error->message, &fault) == MONGODB_KIND_FAULT)
                return fault;
        return has_label(reply) ? MONGODB_FAULT_BUSY : MONGODB_FAULT_REFUSED;
}

/* The driver uses its code for a refused login for every failure of a login. When the connection was lost, its words
 * begin with *broken_off*, and the server did not judge user and password. */
static MongodbFault client_fault(const bson_error_t *error) {
        static const char broken_off[] = "Failed to send \"";

        if (error->code != MONGOC_ERROR_CLIENT_AUTHENTICATE ||
                strncmp(error->message, broken_off, strlen(broken_off)) == 0)
                return MONGODB_FAULT_UNREACHABLE;
        return MONGODB_FAULT_LOGIN;
}

MongodbFault mongodb_reply_fault(const bson_t *reply, const bson_error_t *error) {
        switch ((int) error->domain) {
        case MONGOC_ERROR_SERVER:
                return code_fault(reply, error);
        case MONGOC_ERROR_WRITE_CONCERN:
                return MONGODB_FAULT_WRITE_CONCERN;
        case MONGOC_ERROR_CLIENT:
                return client_fault(error);
        case MONGOC_ERROR_SASL:
        case MONGOC_ERROR_SCRAM:
                return MONGODB_FAULT_LOGIN;
        case MONGOC_ERROR_BSON: /* the driver found it before it sent anything */
        case MONGOC_ERROR_COMMAND:
                return MONGODB_FAULT_REFUSED;
        case MONGOC_ERROR_STREAM:
        case MONGOC_ERROR_PROTOCOL:
        case MONGOC_ERROR_SERVER_SELECTION:
        case MONGOC_ERROR_POOL:
        case MONGOC_ERROR_CURSOR:
                return MONGODB_FAULT_UNREACHABLE;
        default:
                return has_label(reply) ? MONGODB_FAULT_BUSY : MONGODB_FAULT_REFUSED;
        }
}

/* Whether the exchange with the server ended early, as an error of the driver's own domains means. The reply then may
 * describe only its first part. */
static bool is_cut_short(bool ok, const bson_error_t *error) {
        return !ok && error->code != 0 && error->domain != MONGOC_ERROR_SERVER &&
               error->domain != MONGOC_ERROR_WRITE_CONCERN;
}

static MongodbFault write_concern_fault(bson_iter_t *list) {
        MongodbFault fault = MONGODB_FAULT_WRITE_CONCERN;

        if (bson_iter_next(list))
                (void) mongodb_code_kind(
                        member_int(list, "code", 64), mongodb_reply_text(list, "codeName", ""), "", &fault);
        return fault == MONGODB_FAULT_BUSY ? MONGODB_FAULT_BUSY : MONGODB_FAULT_WRITE_CONCERN;
}

/* Documents that are in no list are stored, but only if the numbers add up: a part of the bulk that failed alone leaves
 * no other trace. */
static void judge_unlisted(const bson_t *reply, MongodbJudgement *judgements, size_t n, size_t n_listed) {
        int64_t inserted = reply ? document_number(reply, "nInserted", -1) : -1;

        if (inserted < 0 || (uint64_t) inserted + n_listed != n)
                return;
        for (size_t i = 0; i < n; i++)
                if (judgements[i].verdict == SINK_PENDING)
                        judgements[i].verdict = SINK_STORED;
}

/* When the server's label says that trying again helps, that overrides the codes. */
static void trust_label(const bson_t *reply, MongodbJudgement *judgements, size_t n, MongodbFault *fault) {
        if (!has_label(reply))
                return;
        for (size_t i = 0; i < n; i++)
                if (judgements[i].verdict == SINK_REFUSED && !judgements[i].about_document) {
                        judgements[i].verdict = SINK_LATER;
                        *fault = MONGODB_FAULT_BUSY;
                }
}

MongodbFault mongodb_reply_judge(
        bool ok, const bson_t *reply, const bson_error_t *error, MongodbJudgement *judgements, size_t n) {
        MongodbFault fault = MONGODB_FAULT_NONE;
        ssize_t n_listed;
        bson_iter_t list;

        memset(judgements, 0, n * sizeof(*judgements)); /* all SINK_PENDING */
        if (is_cut_short(ok, error))
                return mongodb_reply_fault(reply, error);
        if (mongodb_reply_list(reply, "writeConcernErrors", &list))
                return write_concern_fault(&list);

        n_listed = judge_list(reply, judgements, n, &fault);
        if (n_listed < 0) {
                memset(judgements, 0, n * sizeof(*judgements));
                return MONGODB_FAULT_BUSY; /* the answer contradicts itself: try again */
        }
        if (n_listed == 0 && !ok && error->code != 0)
                return mongodb_reply_fault(reply, error);
        judge_unlisted(reply, judgements, n, (size_t) n_listed);
        if (n_listed > 0)
                trust_label(reply, judgements, n, &fault);
        return fault;
}

/* Appends the server's explanation of why the validator refused. */
static void describe_info(const bson_iter_t *element, char *text, size_t size) {
        uint32_t length;
        const uint8_t *data;
        bson_iter_t iter;
        bson_t info;
        char *json;

        if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, "errInfo") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
                return;
        bson_iter_document(&iter, &length, &data);
        if (!bson_init_static(&info, data, length))
                return;
        json = bson_as_relaxed_extended_json(&info, NULL);
        if (json && size > sizeof(": "))
                (void) snprintf(text, size, ": %.*s", (int) text_cut(json, strlen(json), size - sizeof(": ")), json);
        bson_free(json);
}

void mongodb_reply_describe(const bson_t *reply, const bson_error_t *error, size_t index, char *text, size_t size) {
        bson_iter_t list;
        size_t written;

        if (mongodb_reply_list(reply, "writeErrors", &list))
                while (bson_iter_next(&list)) {
                        if (member_int(&list, "index", -1) != (int64_t) index)
                                continue;
                        describe(mongodb_reply_text(&list, "errmsg", ""), member_int(&list, "code", 0), text, size);
                        written = strlen(text);
                        describe_info(&list, text + written, size - written);
                        text[text_clean(text, strlen(text))] = '\0';
                        return;
                }
        mongodb_reply_describe_error(error, NULL, text, size);
}

void mongodb_reply_describe_fault(const bson_t *reply, const bson_error_t *error, char *text, size_t size) {
        bson_iter_t list;

        if (is_cut_short(false, error) || !mongodb_reply_list(reply, "writeConcernErrors", &list) ||
                !bson_iter_next(&list))
                return mongodb_reply_describe_error(error, NULL, text, size);
        describe(mongodb_reply_text(&list, "errmsg", ""), member_int(&list, "code", 0), text, size);
}
