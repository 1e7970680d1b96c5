/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-reply.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/bytes.h"

#define MAJORITY_READS_OFF 148

typedef enum CodeClass {
        CODE_OTHER = 0,
        CODE_DUPLICATE,
        CODE_PERMANENT, /* for the one document */
        CODE_BUSY,
        CODE_WRITE_CONCERN,
        CODE_DISK_FULL,
        CODE_LOGIN,
        CODE_FORBIDDEN,
        CODE_SETTINGS,
} CodeClass;

/* Names as in the server's error_codes.yml; the retryable ones are those of the drivers' retryable writes
 * specification. */
static const struct {
        int code;
        CodeClass class;
} codes[] = {
        { 2, CODE_PERMANENT },       /* BadValue */
        { 6, CODE_BUSY },            /* HostUnreachable */
        { 7, CODE_BUSY },            /* HostNotFound */
        { 9, CODE_PERMANENT },       /* FailedToParse */
        { 13, CODE_FORBIDDEN },      /* Unauthorized */
        { 14, CODE_PERMANENT },      /* TypeMismatch */
        { 15, CODE_PERMANENT },      /* Overflow: nested too deep */
        { 16, CODE_PERMANENT },      /* InvalidLength */
        { 18, CODE_LOGIN },          /* AuthenticationFailed */
        { 20, CODE_SETTINGS },       /* IllegalOperation */
        { 22, CODE_PERMANENT },      /* InvalidBSON */
        { 24, CODE_BUSY },           /* LockTimeout */
        { 26, CODE_SETTINGS },       /* NamespaceNotFound */
        { 43, CODE_BUSY },           /* CursorNotFound */
        { 46, CODE_BUSY },           /* LockBusy */
        { 50, CODE_BUSY },           /* MaxTimeMSExpired */
        { 52, CODE_PERMANENT },      /* DollarPrefixedFieldName */
        { 53, CODE_PERMANENT },      /* InvalidIdField */
        { 54, CODE_PERMANENT },      /* NotSingleValueField */
        { 56, CODE_PERMANENT },      /* EmptyFieldName */
        { 57, CODE_PERMANENT },      /* DottedFieldName */
        { 59, CODE_SETTINGS },       /* CommandNotFound */
        { 63, CODE_BUSY },           /* StaleShardVersion */
        { 64, CODE_WRITE_CONCERN },  /* WriteConcernFailed */
        { 72, CODE_SETTINGS },       /* InvalidOptions */
        { 73, CODE_SETTINGS },       /* InvalidNamespace */
        { 79, CODE_WRITE_CONCERN },  /* UnknownReplWriteConcern */
        { 89, CODE_BUSY },           /* NetworkTimeout */
        { 91, CODE_BUSY },           /* ShutdownInProgress */
        { 100, CODE_WRITE_CONCERN }, /* UnsatisfiableWriteConcern */
        { 112, CODE_BUSY },          /* WriteConflict */
        { 117, CODE_BUSY },          /* ConflictingOperationInProgress */
        { 121, CODE_PERMANENT },     /* DocumentValidationFailure */
        { 133, CODE_BUSY },          /* FailedToSatisfyReadPreference */
        { 134, CODE_BUSY },          /* ReadConcernMajorityNotAvailableYet */
        { 148, CODE_SETTINGS },      /* ReadConcernMajorityNotEnabled */
        { 150, CODE_BUSY },          /* StaleEpoch */
        { 166, CODE_SETTINGS },      /* CommandNotSupportedOnView */
        { 189, CODE_BUSY },          /* PrimarySteppedDown */
        { 202, CODE_BUSY },          /* NetworkInterfaceExceededTimeLimit */
        { 225, CODE_BUSY },          /* TransactionTooOld */
        { 237, CODE_BUSY },          /* CursorKilled */
        { 251, CODE_BUSY },          /* NoSuchTransaction */
        { 262, CODE_BUSY },          /* ExceededTimeLimit */
        { 290, CODE_BUSY },          /* TransactionExceededLifetimeLimitSeconds */
        { 322, CODE_SETTINGS },      /* APIVersionError */
        { 323, CODE_SETTINGS },      /* APIStrictError */
        { 324, CODE_SETTINGS },      /* APIDeprecationError */
        { 365, CODE_BUSY },          /* TemporarilyUnavailable */
        { 371, CODE_SETTINGS },      /* UserWritesBlocked */
        { 402, CODE_BUSY },          /* ResourceExhausted */
        { 433, CODE_BUSY },          /* ... overloaded */
        { 449, CODE_BUSY },          /* ... overloaded */
        { 8000, CODE_LOGIN },        /* AtlasError: nearly always the login */
        { 9001, CODE_BUSY },         /* SocketException */
        { 10058, CODE_BUSY },        /* LegacyNotPrimary */
        { 10107, CODE_BUSY },        /* NotWritablePrimary */
        { 10334, CODE_PERMANENT },   /* BSONObjectTooLarge */
        { 11000, CODE_DUPLICATE },   /* DuplicateKey */
        { 11001, CODE_DUPLICATE },
        { 11600, CODE_BUSY }, /* InterruptedAtShutdown */
        { 11601, CODE_BUSY }, /* Interrupted */
        { 11602, CODE_BUSY }, /* InterruptedDueToReplStateChange */
        { 12582, CODE_DUPLICATE },
        { 13388, CODE_BUSY },      /* StaleConfig */
        { 13435, CODE_BUSY },      /* NotPrimaryNoSecondaryOk */
        { 13436, CODE_BUSY },      /* NotPrimaryOrSecondary */
        { 14031, CODE_DISK_FULL }, /* OutOfDiskSpace */
        { 17280, CODE_PERMANENT }, /* KeyTooLong */
        { 17419, CODE_PERMANENT }, /* the document would be too large */
        { 17420, CODE_PERMANENT },
};

static CodeClass code_class(int64_t code) {
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (codes[i].code == code)
                        return codes[i].class;
        return CODE_OTHER;
}

static MongodbFault class_fault(CodeClass class) {
        switch (class) {
        case CODE_BUSY:
                return MONGODB_FAULT_BUSY;
        case CODE_WRITE_CONCERN:
                return MONGODB_FAULT_WRITE_CONCERN;
        case CODE_DISK_FULL:
                return MONGODB_FAULT_DISK_FULL;
        case CODE_LOGIN:
                return MONGODB_FAULT_LOGIN;
        case CODE_FORBIDDEN:
                return MONGODB_FAULT_FORBIDDEN;
        case CODE_SETTINGS:
                return MONGODB_FAULT_SETTINGS;
        case CODE_DUPLICATE: /* of a command as a whole: a single insert */
        case CODE_PERMANENT:
                return MONGODB_FAULT_POISON;
        case CODE_OTHER:
                break;
        }
        return MONGODB_FAULT_STRANGE;
}

/* ---- words ---- */

static const struct {
        const char *name, *remedy;
} faults[] = {
        [MONGODB_FAULT_NONE] = { "none", "" },
        [MONGODB_FAULT_UNREACHABLE] = { "unreachable",
                "check that it runs, and the hosts and TLS options in mongodb.uri" },
        [MONGODB_FAULT_BUSY] = { "busy",
                "nothing to do if this ends by itself; else look at the server's log and its replica set" },
        [MONGODB_FAULT_WRITE_CONCERN] = { "write_concern",
                "a majority of the replica set must be up and in step: look at rs.status()" },
        [MONGODB_FAULT_DISK_FULL] = { "disk_full", "make room on the server's disk" },
        [MONGODB_FAULT_LOGIN] = { "login", "check the user and authSource in mongodb.uri and the password file; then "
                                           "reload, or restart where the password changed" },
        [MONGODB_FAULT_FORBIDDEN] = { "forbidden",
                "grant the user insert and find on both collections, for example with the role readWrite" },
        [MONGODB_FAULT_SETTINGS] = { "settings",
                "check database, collection and the options in mongodb.uri, and how the server is set up" },
        [MONGODB_FAULT_LOCAL] = { "memory", "give the service more memory" },
        [MONGODB_FAULT_STRANGE] = { "unknown",
                "look the code up in the server's documentation and at the server's log" },
        [MONGODB_FAULT_POISON] = { "poison", "look at the server's log" },
};

const char *mongodb_fault_name(MongodbFault fault) {
        assert((size_t) fault < ELEMENTSOF(faults));
        return faults[fault].name;
}

const char *mongodb_fault_remedy(MongodbFault fault) {
        assert((size_t) fault < ELEMENTSOF(faults));
        return faults[fault].remedy;
}

bool mongodb_fault_is_config(MongodbFault fault) {
        return fault == MONGODB_FAULT_LOGIN || fault == MONGODB_FAULT_FORBIDDEN || fault == MONGODB_FAULT_SETTINGS;
}

/* Makes *text* printable UTF-8, whatever the server sent and wherever it was cut. */
static void make_printable(char *text) {
        size_t size = strlen(text);

        for (size_t i = 0; i < size; i++)
                if ((uint8_t) text[i] < 0x20 || text[i] == 0x7f)
                        text[i] = ' ';
        for (size_t cut = 0; cut < 4 && size > 0 && !bytes_is_utf8(text, size); cut++)
                text[--size] = '\0';
        for (size_t i = 0; i < size && !bytes_is_utf8(text, size); i++)
                if ((uint8_t) text[i] >= 0x80)
                        text[i] = '?';
}

void mongodb_reply_describe_error(const bson_error_t *error, char *text, size_t size) {
        if (size == 0)
                return;
        (void) snprintf(text, size, "%s (code %u)", error->message, error->code);
        make_printable(text);
}

/* ---- one answer ---- */

/* The list at *key*, from which *ret* then reads. False when there is none or it is empty. */
static bool find_list(const bson_t *reply, const char *key, bson_iter_t *ret) {
        bson_iter_t iter, probe;

        if (!reply || !bson_iter_init_find(&iter, reply, key) || !BSON_ITER_HOLDS_ARRAY(&iter) ||
                !bson_iter_recurse(&iter, ret))
                return false;
        probe = *ret;
        return bson_iter_next(&probe);
}

/* An integer of the document that *element* stands on. Servers and proxies send int32, int64 or double. */
static int64_t member_int(const bson_iter_t *element, const char *key, int64_t fallback) {
        bson_iter_t iter;

        if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, key) || !BSON_ITER_HOLDS_NUMBER(&iter))
                return fallback;
        return bson_iter_as_int64(&iter);
}

static const char *member_text(const bson_iter_t *element, const char *key) {
        bson_iter_t iter;

        if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, key) || !BSON_ITER_HOLDS_UTF8(&iter))
                return "";
        return bson_iter_utf8(&iter, NULL);
}

/* Whether a duplicate key error is about the index on _id. Servers before 4.2 tell only in words. */
static bool is_id_index(const bson_iter_t *element) {
        const char *message = member_text(element, "errmsg");
        bson_iter_t iter, keys;

        if (bson_iter_recurse(element, &iter) && bson_iter_find(&iter, "keyPattern") &&
                BSON_ITER_HOLDS_DOCUMENT(&iter) && bson_iter_recurse(&iter, &keys))
                return bson_iter_next(&keys) && strcmp(bson_iter_key(&keys), "_id") == 0 && !bson_iter_next(&keys);
        return strstr(message, "index: _id_ ") || strstr(message, ".$_id_ ");
}

static MongodbVerdict judge_element(const bson_iter_t *element, MongodbFault *fault) {
        CodeClass class = code_class(member_int(element, "code", 0));

        switch (class) {
        case CODE_DUPLICATE:
                return is_id_index(element) ? MONGODB_DUPLICATE : MONGODB_REFUSED;
        case CODE_PERMANENT:
                return MONGODB_REFUSED;
        case CODE_OTHER:
                return MONGODB_ODD;
        default:
                *fault = class_fault(class);
                return MONGODB_LATER;
        }
}

/* Walks writeErrors. Returns how many there are, or -1 when they contradict themselves. */
static ssize_t judge_list(const bson_t *reply, MongodbVerdict *verdicts, size_t n, MongodbFault *fault) {
        ssize_t count = 0;
        bson_iter_t list;

        if (!find_list(reply, "writeErrors", &list))
                return 0;
        for (; bson_iter_next(&list); count++) {
                int64_t index = member_int(&list, "index", -1);

                if (index < 0 || (uint64_t) index >= n || verdicts[index] != MONGODB_UNKNOWN)
                        return -1;
                verdicts[index] = judge_element(&list, fault);
        }
        return count;
}

static bool has_label(const bson_t *reply) {
        return reply && (mongoc_error_has_label(reply, "RetryableWriteError") ||
                                mongoc_error_has_label(reply, "SystemOverloadedError"));
}

MongodbFault mongodb_reply_fault(const bson_t *reply, const bson_error_t *error) {
        MongodbFault fault;

        switch ((int) error->domain) {
        case MONGOC_ERROR_SERVER:
                fault = class_fault(code_class(error->code));
                return (fault == MONGODB_FAULT_STRANGE || fault == MONGODB_FAULT_POISON) && has_label(reply)
                               ? MONGODB_FAULT_BUSY
                               : fault;
        case MONGOC_ERROR_WRITE_CONCERN:
                return MONGODB_FAULT_WRITE_CONCERN;
        case MONGOC_ERROR_CLIENT:
                return error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE ? MONGODB_FAULT_LOGIN
                                                                       : MONGODB_FAULT_UNREACHABLE;
        case MONGOC_ERROR_SASL:
        case MONGOC_ERROR_SCRAM:
                return MONGODB_FAULT_LOGIN;
        case MONGOC_ERROR_BSON: /* found by the driver before it sent anything */
        case MONGOC_ERROR_COMMAND:
                return MONGODB_FAULT_POISON;
        case MONGOC_ERROR_STREAM:
        case MONGOC_ERROR_PROTOCOL:
        case MONGOC_ERROR_SERVER_SELECTION:
        case MONGOC_ERROR_POOL:
        case MONGOC_ERROR_CURSOR:
                return MONGODB_FAULT_UNREACHABLE;
        default:
                return has_label(reply) ? MONGODB_FAULT_BUSY : MONGODB_FAULT_STRANGE;
        }
}

bool mongodb_reply_lacks_majority_reads(const bson_error_t *error) {
        return error->domain == MONGOC_ERROR_SERVER && error->code == MAJORITY_READS_OFF;
}

/* Errors of the driver's own domains mean that the conversation ended early, whatever else the reply says of its first
 * part. */
static bool is_cut_short(bool ok, const bson_error_t *error) {
        return !ok && error->code != 0 && error->domain != MONGOC_ERROR_SERVER &&
               error->domain != MONGOC_ERROR_WRITE_CONCERN;
}

static MongodbFault write_concern_fault(bson_iter_t *list) {
        MongodbFault fault = MONGODB_FAULT_WRITE_CONCERN;

        if (bson_iter_next(list))
                fault = class_fault(code_class(member_int(list, "code", 64)));
        return fault == MONGODB_FAULT_BUSY ? MONGODB_FAULT_BUSY : MONGODB_FAULT_WRITE_CONCERN;
}

/* Documents that no list names are stored, if the numbers add up: a sub-command that failed by itself leaves no other
 * trace. */
static void judge_unlisted(const bson_t *reply, MongodbVerdict *verdicts, size_t n, size_t n_listed) {
        bson_iter_t iter;
        int64_t inserted;

        if (!reply || !bson_iter_init_find(&iter, reply, "nInserted") || !BSON_ITER_HOLDS_NUMBER(&iter))
                return;
        inserted = bson_iter_as_int64(&iter);
        if (inserted < 0 || (uint64_t) inserted + n_listed != n)
                return;
        for (size_t i = 0; i < n; i++)
                if (verdicts[i] == MONGODB_UNKNOWN)
                        verdicts[i] = MONGODB_STORED;
}

static void forget(MongodbVerdict *verdicts, size_t n) {
        for (size_t i = 0; i < n; i++)
                verdicts[i] = MONGODB_UNKNOWN;
}

MongodbFault mongodb_reply_judge(
        bool ok, const bson_t *reply, const bson_error_t *error, MongodbVerdict *verdicts, size_t n) {
        MongodbFault fault = MONGODB_FAULT_NONE;
        ssize_t n_listed;
        bson_iter_t list;

        forget(verdicts, n);
        if (is_cut_short(ok, error))
                return mongodb_reply_fault(reply, error);
        if (find_list(reply, "writeConcernErrors", &list))
                return write_concern_fault(&list);

        n_listed = judge_list(reply, verdicts, n, &fault);
        if (n_listed < 0) {
                forget(verdicts, n);
                return MONGODB_FAULT_STRANGE;
        }
        if (n_listed == 0 && !ok && error->code != 0)
                return mongodb_reply_fault(reply, error);
        judge_unlisted(reply, verdicts, n, (size_t) n_listed);
        return fault;
}

/* Adds why the validator refused, as the server explains it. */
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
        if (json)
                (void) snprintf(text, size, ": %s", json);
        bson_free(json);
}

void mongodb_reply_describe(const bson_t *reply, const bson_error_t *error, size_t index, char *text, size_t size) {
        bson_iter_t list;
        int written;

        if (size == 0)
                return;
        if (find_list(reply, "writeErrors", &list))
                while (bson_iter_next(&list)) {
                        if (member_int(&list, "index", -1) != (int64_t) index)
                                continue;
                        written = snprintf(text, size, "%s (code %" PRId64 ")", member_text(&list, "errmsg"),
                                member_int(&list, "code", 0));
                        if (written > 0 && (size_t) written < size)
                                describe_info(&list, text + written, size - (size_t) written);
                        make_printable(text);
                        return;
                }
        mongodb_reply_describe_error(error, text, size);
}

void mongodb_reply_describe_fault(const bson_t *reply, const bson_error_t *error, char *text, size_t size) {
        bson_iter_t list;

        if (size == 0)
                return;
        if (is_cut_short(false, error) || !find_list(reply, "writeConcernErrors", &list) || !bson_iter_next(&list)) {
                mongodb_reply_describe_error(error, text, size);
                return;
        }
        (void) snprintf(
                text, size, "%s (code %" PRId64 ")", member_text(&list, "errmsg"), member_int(&list, "code", 0));
        make_printable(text);
}
