/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-reply.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/text.h"
#include "sinks/document.h"

/* ---- codes ---- */

typedef struct Code {
        int code;
        const char *name;
        MongodbKind kind;
        MongodbFault fault;
} Code;

#define BUSY MONGODB_KIND_FAULT, MONGODB_FAULT_BUSY
#define SETTINGS MONGODB_KIND_FAULT, MONGODB_FAULT_SETTINGS
#define CONCERN MONGODB_KIND_FAULT, MONGODB_FAULT_WRITE_CONCERN
#define DOCUMENT MONGODB_KIND_DOCUMENT, MONGODB_FAULT_NONE
#define DUPLICATE MONGODB_KIND_DUPLICATE, MONGODB_FAULT_NONE

/* Error codes of MongoDB and compatible servers. Names are those of the server's src/mongo/base/error_codes.yml (9.0);
 * other rows are numbers of assertions in its source. All other codes are MONGODB_KIND_OTHER: 1, 2, 8, 9, 14, 301, ...
 * can be caused by a setting or the server's state as well as by a document. 303 is Amazon DocumentDB's "Feature not
 * supported", which does not pass; MongoDB uses it (SplitHorizonChange) only in answers to a hello. */
static const Code codes[] = {
        /* error_codes.yml: RetriableError */
        { 6, "HostUnreachable", BUSY },
        { 7, "HostNotFound", BUSY },
        { 89, "NetworkTimeout", BUSY },
        { 91, "ShutdownInProgress", BUSY },
        { 134, "ReadConcernMajorityNotAvailableYet", BUSY },
        { 189, "PrimarySteppedDown", BUSY },
        { 262, "ExceededTimeLimit", BUSY },
        { 317, "ConnectionPoolExpired", BUSY },
        { 358, "InternalTransactionNotSupported", BUSY },
        { 384, "ConnectionError", BUSY },
        { 402, "ResourceExhausted", BUSY },
        { 406, "MigrationBlockingOperationCoordinatorCleaningUp", BUSY },
        { 407, "PooledConnectionAcquisitionExceededTimeLimit", BUSY },
        { 412, "UpdatesStillPending", BUSY },
        { 453, "InterruptedDueToReshardingCriticalSection", BUSY },
        { 462, "IngressRequestRateLimitExceeded", BUSY },
        { 9001, "SocketException", BUSY },
        { 10107, "NotWritablePrimary", BUSY },
        { 11600, "InterruptedAtShutdown", BUSY },
        { 11602, "InterruptedDueToReplStateChange", BUSY },
        { 13435, "NotPrimaryNoSecondaryOk", BUSY },
        { 13436, "NotPrimaryOrSecondary", BUSY },
        { 50915, "BackupCursorOpenConflictWithCheckpoint", BUSY },
        { 91331, "RetriableRemoteCommandFailure", BUSY },
        { 10045600, "InterruptedDueToFCVChange", BUSY },
        /* error_codes.yml: SystemOverloadedError */
        { 433, "AdmissionQueueOverflow", BUSY },
        { 449, "RateLimitExceeded", BUSY },
        { 450, "PooledConnectionAcquisitionRejected", BUSY },
        /* error_codes.yml: Interruption, ExceededTimeLimitError, CancellationError: the command was aborted */
        { 24, "LockTimeout", BUSY },
        { 50, "MaxTimeMSExpired", BUSY },
        { 90, "CallbackCanceled", BUSY },
        { 202, "NetworkInterfaceExceededTimeLimit", BUSY },
        { 237, "CursorKilled", BUSY },
        { 279, "ClientDisconnect", BUSY },
        { 281, "TransactionCoordinatorSteppingDown", BUSY },
        { 282, "TransactionCoordinatorReachedAbortDecision", BUSY },
        { 290, "TransactionExceededLifetimeLimitSeconds", BUSY },
        { 310, "PeriodicJobIsStopped", BUSY },
        { 355, "InterruptedDueToStorageChange", BUSY },
        { 11601, "Interrupted", BUSY },
        { 46841, "ClientMarkedKilled", BUSY },
        /* error_codes.yml: StaleShardVersionError, SnapshotError, CloseConnectionError: ask again */
        { 150, "StaleEpoch", BUSY },
        { 239, "SnapshotTooOld", BUSY },
        { 246, "SnapshotUnavailable", BUSY },
        { 250, "StaleChunkHistory", BUSY },
        { 272, "MigrationConflict", BUSY },
        { 13388, "StaleConfig", BUSY },
        /* error_codes.yml, by their names: a passing state of the server */
        { 43, "CursorNotFound", BUSY },
        { 46, "LockBusy", BUSY },
        { 63, "StaleShardVersion", BUSY },
        { 70, "ShardNotFound", BUSY },
        { 82, "NoProgressMade", BUSY },
        { 107, "LockFailed", BUSY },
        { 109, "ConfigurationInProgress", BUSY },
        { 112, "WriteConflict", BUSY },
        { 117, "ConflictingOperationInProgress", BUSY },
        { 133, "FailedToSatisfyReadPreference", BUSY },
        { 146, "ExceededMemoryLimit", BUSY },
        { 203, "ShardingStateNotInitialized", BUSY },
        { 211, "KeyNotFound", BUSY }, /* of the cluster's own signing keys */
        { 215, "DatabaseDropPending", BUSY },
        { 216, "ElectionInProgress", BUSY },
        { 225, "TransactionTooOld", BUSY },
        { 249, "StaleDbVersion", BUSY },
        { 251, "NoSuchTransaction", BUSY },
        { 261, "TooManyLogicalSessions", BUSY },
        { 264, "TooManyFilesOpen", BUSY },
        { 319, "MovePrimaryInProgress", BUSY },
        { 338, "ReshardCollectionInProgress", BUSY },
        { 343, "ShardCannotRefreshDueToLocksHeld", BUSY },
        { 365, "TemporarilyUnavailable", BUSY },
        { 10058, "LegacyNotPrimary", BUSY },
        { 12586, "BackgroundOperationInProgressForDatabase", BUSY },
        { 12587, "BackgroundOperationInProgressForNamespace", BUSY },
        /* Azure Cosmos DB for MongoDB, "Troubleshoot common issues": request rate is large */
        { 16500, "TooManyRequests", BUSY },
        /* error_codes.yml: WriteConcernError */
        { 64, "WriteConcernTimeout", CONCERN },
        { 79, "UnknownReplWriteConcern", CONCERN },
        { 100, "UnsatisfiableWriteConcern", CONCERN },
        /* error_codes.yml, by their names: a person must act */
        { 13, "Unauthorized", MONGODB_KIND_FAULT, MONGODB_FAULT_FORBIDDEN },
        { 18, "AuthenticationFailed", MONGODB_KIND_FAULT, MONGODB_FAULT_LOGIN },
        { 20, "IllegalOperation", SETTINGS },
        { 26, "NamespaceNotFound", SETTINGS },
        { 59, "CommandNotFound", SETTINGS },
        { 72, "InvalidOptions", SETTINGS },
        { 73, "InvalidNamespace", SETTINGS },
        { 115, "CommandNotSupported", SETTINGS },
        { 148, "ReadConcernMajorityNotEnabled", SETTINGS },
        { 166, "CommandNotSupportedOnView", MONGODB_KIND_FAULT, MONGODB_FAULT_TARGET },
        { 167, "OptionNotSupportedOnView", MONGODB_KIND_FAULT, MONGODB_FAULT_TARGET },
        { 238, "NotImplemented", SETTINGS },
        { 242, "CannotCreateCollection", SETTINGS },
        { 322, "APIVersionError", SETTINGS },
        { 323, "APIStrictError", SETTINGS },
        { 324, "APIDeprecationError", SETTINGS },
        { 371, "UserWritesBlocked", SETTINGS },
        { 391, "ReauthenticationRequired", MONGODB_KIND_FAULT, MONGODB_FAULT_LOGIN },
        { 12501, "quota exceeded", MONGODB_KIND_FAULT,
                MONGODB_FAULT_QUOTA }, /* of hosted servers, and mongod --quota */
        { 13297, "DatabaseDifferCase", SETTINGS },
        { 14031, "OutOfDiskSpace", MONGODB_KIND_FAULT, MONGODB_FAULT_DISK_FULL },
        /* error_codes.yml; 11001 and 12582 are of servers before 3.0 and their routers */
        { 11000, "DuplicateKey", DUPLICATE },
        { 11001, "DuplicateKeyOnUpdate", DUPLICATE },
        { 12582, "DuplicateKeyOnInsert", DUPLICATE },
        /* error_codes.yml: ValidationError, and by their names: about one document */
        { 15, "Overflow", DOCUMENT }, /* nested too deep */
        { 22, "InvalidBSON", DOCUMENT },
        { 52, "DollarPrefixedFieldName", DOCUMENT },
        { 53, "InvalidIdField", DOCUMENT },
        { 54, "NotSingleValueField", DOCUMENT },
        { 56, "EmptyFieldName", DOCUMENT },
        { 57, "DottedFieldName", DOCUMENT },
        { 61, "ShardKeyNotFound", DOCUMENT },
        { 111, "NotExactValueField", DOCUMENT },
        { 116, "DocTooLargeForCapped", DOCUMENT },
        { 121, "DocumentValidationFailure", DOCUMENT },
        { 171, "CannotIndexParallelArrays", DOCUMENT },
        { 201, "CannotBuildIndexKeys", DOCUMENT },
        { 378, "NonConformantBSON", DOCUMENT },
        { 10003, "CannotGrowDocumentInCappedNamespace", DOCUMENT },
        { 10334, "BSONObjectTooLarge", DOCUMENT },
        { 17280, "KeyTooLong", DOCUMENT },
        /* src/mongo/db/index/expression_keys_private.cpp, src/mongo/db/geo: values that an index cannot hold */
        { 10088, "parallel arrays", DOCUMENT },
        { 13022, "2d: not an array or object", DOCUMENT },
        { 13023, "2d: not numbers", DOCUMENT },
        { 13026, "2d: geo values must be numbers", DOCUMENT },
        { 13027, "2d: point not in interval", DOCUMENT },
        { 13067, "2d: geo field is empty", DOCUMENT },
        { 13068, "2d: geo field has one element only", DOCUMENT },
        { 13654, "2d: location object expected", DOCUMENT },
        { 16572, "2dsphere: cannot extract geo keys", DOCUMENT },
        { 16675, "text: multi-key as prefix", DOCUMENT },
        { 16755, "2dsphere: cannot extract geo keys", DOCUMENT },
        { 16756, "2dsphere: cannot extract geo keys", DOCUMENT },
        { 16766, "hashed: array value", DOCUMENT },
        { 16804, "2d: location array expected", DOCUMENT },
        { 17261, "text: language override is not a string", DOCUMENT },
        { 17262, "text: language override unsupported", DOCUMENT },
        { 17419, "the document would be too large", DOCUMENT },
        { 17420, "the document would be too large", DOCUMENT },
};

#define CODE_ATLAS 8000

/* Atlas uses one number for all refusals, so its words decide. A free or flex cluster checks its quota before each
 * write. When that check itself fails, the words name the quota as well, although nothing is used up. */
static MongodbFault atlas_fault(const char *message) {
        static const struct {
                const char *word;
                MongodbFault fault;
        } words[] = {
                { "internal atlas error", MONGODB_FAULT_BUSY },
                { "error determining", MONGODB_FAULT_BUSY },
                { "quota", MONGODB_FAULT_QUOTA },
                { "already using", MONGODB_FAULT_QUOTA }, /* ... 500 collections of 500 */
                { "auth", MONGODB_FAULT_LOGIN },          /* bad auth : Authentication failed. */
                { "not allowed", MONGODB_FAULT_FORBIDDEN },
        };

        if (strcasestr(message, "not authorized") || strcasestr(message, "unauthorized"))
                return MONGODB_FAULT_FORBIDDEN;
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcasestr(message, words[i].word))
                        return words[i].fault;
        return MONGODB_FAULT_SETTINGS;
}

static const Code *find_code(int64_t code, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (codes[i].code == code)
                        return &codes[i];
        for (size_t i = 0; *name && i < ELEMENTSOF(codes); i++)
                if (strcmp(codes[i].name, name) == 0)
                        return &codes[i];
        return NULL;
}

MongodbKind mongodb_code_kind(int64_t code, const char *name, const char *message, MongodbFault *ret_fault) {
        const Code *row = find_code(code, name);

        if (code == CODE_ATLAS) {
                *ret_fault = atlas_fault(message);
                return MONGODB_KIND_FAULT;
        }
        if (!row)
                return MONGODB_KIND_OTHER;
        if (row->kind == MONGODB_KIND_FAULT)
                *ret_fault = row->fault;
        return row->kind;
}

/* ---- words ---- */

static const MongodbWords fault_words[] = {
        [MONGODB_FAULT_NONE] = { "none", "answers", "", CAUSE_NONE, false },
        [MONGODB_FAULT_UNREACHABLE] = { "unreachable", "cannot be reached",
                "check that it runs, the hosts and TLS options in mongodb.uri, and in Atlas the IP access list",
                CAUSE_SERVICE, false },
        [MONGODB_FAULT_BUSY] = { "busy", "cannot write now",
                "nothing yet; if this persists, look at the server's log and its replica set", CAUSE_UNAVAILABLE,
                false },
        [MONGODB_FAULT_WRITE_CONCERN] = { "write_concern", "cannot make writes durable",
                "a majority of the replica set must be up and in sync: look at rs.status()", CAUSE_REPLICAS, false },
        [MONGODB_FAULT_DISK_FULL] = { "disk_full", "has no disk space left", "free space on the server's disk",
                CAUSE_SERVER_SPACE, false },
        [MONGODB_FAULT_LOGIN] = { "login", "refuses the login",
                "check the user and authSource in mongodb.uri and the password file; then reload, or restart where the "
                "password changed",
                CAUSE_LOGIN, true },
        [MONGODB_FAULT_FORBIDDEN] = { "forbidden", "denies the user a privilege that is needed",
                "grant the user insert and find on both collections, for example with the role readWrite", CAUSE_RIGHTS,
                true },
        [MONGODB_FAULT_QUOTA] = { "quota", "has reached the storage limit of its plan",
                "delete old data or collections, or choose a larger plan", CAUSE_PLAN, true },
        [MONGODB_FAULT_TARGET] = { "target", "has a collection that cannot keep _id unique",
                "name a plain collection in mongodb.collection: in a time-series or capped collection or a view "
                "readings could be lost or stored twice",
                CAUSE_COLLECTION, true },
        [MONGODB_FAULT_SETTINGS] = { "settings", "refuses writes until its setup is corrected",
                "check database, collection and the options in mongodb.uri, and how the server is set up",
                CAUSE_SETTINGS, true },
        [MONGODB_FAULT_LOCAL] = { "memory", "cannot be written to: memory, descriptors or threads have run out",
                "look " CAUSE_MEMORY_PLACES, CAUSE_MEMORY, false },
        [MONGODB_FAULT_REFUSED] = { "refused", "refuses everything that it is sent",
                "look the code up in the server's documentation and at the server's log", CAUSE_INVALID, false },
};

const MongodbWords *mongodb_fault_words(MongodbFault fault) {
        assert((size_t) fault < ELEMENTSOF(fault_words));
        return &fault_words[fault];
}

/* ---- errors in words ---- */

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

/* The driver uses its code for a refused login for every failure of a login, so its words decide. Where the connection
 * was lost, they begin with *broken_off*. Else they are the server's, and a refusal has a word of *refusals*: a server
 * that shuts down, or that cannot ask whom it must, did not judge user and password. */
static MongodbFault client_fault(const bson_error_t *error) {
        static const char broken_off[] = "Failed to send \"";
        static const char *const refusals[] = { "auth", "user", "password", "account", "credential", "certificate",
                "mechanism", "key", "denied" };

        if (error->code != MONGOC_ERROR_CLIENT_AUTHENTICATE ||
                strncmp(error->message, broken_off, strlen(broken_off)) == 0)
                return MONGODB_FAULT_UNREACHABLE;
        for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
                if (strcasestr(error->message, refusals[i]))
                        return MONGODB_FAULT_LOGIN;
        return MONGODB_FAULT_BUSY;
}

/* The driver does not say why it finds no server. Where this process has no descriptor left, it could look for none. */
static MongodbFault unfound_fault(void) {
        int fd = open("/", O_PATH | O_CLOEXEC);
        bool none = fd < 0 && err_is_want(-errno);

        if (fd >= 0)
                (void) close(fd);
        return none ? MONGODB_FAULT_LOCAL : MONGODB_FAULT_UNREACHABLE;
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
        case MONGOC_ERROR_SERVER_SELECTION:
                return unfound_fault();
        case MONGOC_ERROR_STREAM:
        case MONGOC_ERROR_PROTOCOL:
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

void mongodb_reply_describe_fault(
        const bson_t *reply, const bson_error_t *error, const char *host, char *text, size_t size) {
        bson_iter_t list;

        if (is_cut_short(false, error) || !mongodb_reply_list(reply, "writeConcernErrors", &list) ||
                !bson_iter_next(&list))
                return mongodb_reply_describe_error(error, host, text, size);
        describe(mongodb_reply_text(&list, "errmsg", ""), member_int(&list, "code", 0), text, size);
}
