/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes of MongoDB and compatible servers, and words for the faults. Names are those of the server's
 * src/mongo/base/error_codes.yml (9.0); other rows are numbers of assertions in its source. All other codes are
 * MONGODB_KIND_OTHER: 1, 2, 8, 9, 14, 301, ... can be caused by a setting or the server's state as well as by a
 * document. 303 is Amazon DocumentDB's "Feature not supported", which does not pass; MongoDB uses it
 * (SplitHorizonChange) only in answers to a hello. */
#include <assert.h>
#include <string.h>

#include "lib/err.h"
#include "sinks/mongodb-reply.h"

#define CODE_ATLAS 8000

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

static const MongodbWords words[] = {
        [MONGODB_FAULT_NONE] = { "none", "answers", "", CAUSE_NONE, false },
        [MONGODB_FAULT_UNREACHABLE] = { "unreachable", "cannot be reached",
                "check that it runs, the hosts and TLS options in mongodb.uri, and in Atlas the IP access list",
                CAUSE_SERVICE, false },
        [MONGODB_FAULT_BUSY] = { "busy", "cannot write now",
                "nothing to do if this ends by itself; else look at the server's log and its replica set",
                CAUSE_UNAVAILABLE, false },
        [MONGODB_FAULT_WRITE_CONCERN] = { "write_concern", "cannot make writes durable",
                "a majority of the replica set must be up and in step: look at rs.status()", CAUSE_REPLICAS, false },
        [MONGODB_FAULT_DISK_FULL] = { "disk_full", "has no disk space left", "make room on the server's disk",
                CAUSE_SERVER_SPACE, false },
        [MONGODB_FAULT_LOGIN] = { "login", "refuses the login",
                "check the user and authSource in mongodb.uri and the password file; then reload, or restart where the "
                "password changed",
                CAUSE_LOGIN, true },
        [MONGODB_FAULT_FORBIDDEN] = { "forbidden", "does not let the user do what is needed",
                "grant the user insert and find on both collections, for example with the role readWrite", CAUSE_RIGHTS,
                true },
        [MONGODB_FAULT_QUOTA] = { "quota", "has no room left in its plan",
                "delete old data or collections, or take a larger plan", CAUSE_PLAN, true },
        [MONGODB_FAULT_TARGET] = { "target", "has a collection there that cannot keep _id unique",
                "name a plain collection in mongodb.collection: in a time-series or capped collection or a view "
                "readings could be lost or doubled",
                CAUSE_COLLECTION, true },
        [MONGODB_FAULT_SETTINGS] = { "settings", "refuses to write, and only a person can change that",
                "check database, collection and the options in mongodb.uri, and how the server is set up",
                CAUSE_SETTINGS, true },
        [MONGODB_FAULT_LOCAL] = { "memory", "is not written to, since memory or threads are short",
                "look " CAUSE_MEMORY_PLACES, CAUSE_MEMORY, false },
        [MONGODB_FAULT_REFUSED] = { "refused", "refuses everything that it is sent",
                "look the code up in the server's documentation and at the server's log", CAUSE_INVALID, false },
};

const MongodbWords *mongodb_fault_words(MongodbFault fault) {
        assert((size_t) fault < ELEMENTSOF(words));
        return &words[fault];
}
