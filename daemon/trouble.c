/* SPDX-License-Identifier: Apache-2.0 */
#include "trouble.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/http.h"
#include "lib/log.h"
#include "lib/text.h"

/* if the next try is later than this, the first failure is logged at once */
#define SAID_AT_ONCE_USEC USEC_PER_MINUTE

/* A failure comes back when it is logged again so soon after its end was. */
#define RELAPSE_USEC (15 * USEC_PER_MINUTE)
/* so often that makes no difference: each of some outages in a row is news */
#define RELAPSES_FREE 3
/* then a success must last before it counts: so long first, twice as long each time, at most so long: about ten entries
 * an hour of a remote that never stops flapping */
#define PROOF_FIRST_USEC USEC_PER_MINUTE
#define PROOF_MAX_USEC (10 * USEC_PER_MINUTE)

/* ---- causes ---- */

static const struct {
        const char *kind, *remedy;
} causes[_CAUSE_MAX] = {
        [CAUSE_OTHER] = { "other", NULL },
        [CAUSE_NETWORK] = { "unreachable", "network" },
        [CAUSE_SERVICE] = { "unreachable", "service" },
        [CAUSE_UNANSWERED] = { "unanswered", "wait" },
        [CAUSE_TLS] = { "insecure", "tls" },
        [CAUSE_UNAVAILABLE] = { "unavailable", "wait" },
        [CAUSE_REPLICAS] = { "unavailable", "replicas" },
        [CAUSE_LIMITED] = { "limited", "interval" },
        [CAUSE_QUOTA] = { "limited", "quota" },
        [CAUSE_KEY] = { "refused", "key" },
        [CAUSE_CLOCK] = { "refused", "clock" },
        [CAUSE_ROLE] = { "refused", "role" },
        [CAUSE_PROJECT] = { "refused", "project" },
        [CAUSE_TOKEN] = { "refused", "token" },
        [CAUSE_LOGIN] = { "refused", "login" },
        [CAUSE_RIGHTS] = { "refused", "rights" },
        [CAUSE_BETWEEN] = { "intercepted", "between" },
        [CAUSE_SETUP] = { "missing", "setup" },
        [CAUSE_ADDRESS] = { "missing", "address" },
        [CAUSE_DIRECTORY] = { "missing", "directory" },
        [CAUSE_NONSENSE] = { "unusable", "address" },
        [CAUSE_SETTINGS] = { "unusable", "settings" },
        [CAUSE_COLLECTION] = { "unusable", "collection" },
        [CAUSE_INVALID] = { "invalid", "server-log" },
        [CAUSE_SPACE] = { "full", "space" },
        [CAUSE_SERVER_SPACE] = { "full", "server-space" },
        [CAUSE_PLAN] = { "full", "plan" },
        [CAUSE_APART_FULL] = { "full", "rejected" },
        [CAUSE_DISK] = { "disk", "disk" },
        [CAUSE_OWNER] = { "disk", "owner" },
        [CAUSE_OCCUPIED] = { "occupied", "occupied" },
        [CAUSE_NEWER] = { "unusable", "newer" },
        [CAUSE_MEMORY] = { "memory", "memory" },
        [CAUSE_PROGRAM] = { "program", "program" },
};

const char *cause_kind(Cause cause) {
        assert(cause < _CAUSE_MAX);
        return causes[cause].kind;
}

const char *cause_remedy(Cause cause) {
        assert(cause < _CAUSE_MAX);
        return causes[cause].remedy;
}

Cause cause_of_disk(int error) {
        switch (error) {
        case -ENOSPC:
        case -EDQUOT:
                return CAUSE_SPACE;
        case -EACCES:
        case -EPERM:
        case -EROFS:
                return CAUSE_OWNER;
        case -ENOENT:
        case -ENOTDIR:
                return CAUSE_DIRECTORY;
        case -EAGAIN:
        case -EBUSY:
                return CAUSE_OCCUPIED;
        case -EFBIG:
        case -ELOOP:
        case -ENOLCK:
                return CAUSE_SETTINGS;
        case -EOPNOTSUPP:
                return CAUSE_NEWER;
        case -ENOMEM:
        case -EMFILE:
        case -ENFILE:
                return CAUSE_MEMORY;
        default:
                return CAUSE_DISK;
        }
}

const char *cause_disk_remedy(int error) {
        switch (error) {
        case -ENOSPC:
                return "free space on that disk (`df`, and `df -i`); sensorqd then resumes by itself";
        case -EDQUOT:
                return "free space there or raise the quota";
        case -EFBIG:
                return "raise the file size limit (LimitFSIZE=)";
        case -EROFS:
                return "name the directory in ReadWritePaths= (`systemctl edit` of its unit); where the disk itself is "
                       "read-only, mount it for writing, and see `journalctl -k` whether it is broken";
        case -EACCES:
                return "give the directory to the user that runs sensorqd (chown), and name it in ReadWritePaths=";
        case -EPERM:
                return "give the directory to the user that runs sensorqd (chown)";
        case -ENOENT:
                return "mount the disk that belongs there, or create the missing directory";
        case -ENOTDIR:
                return "move that file, or name another place";
        case -ELOOP:
                return "name the place itself, or run this as that user (sudo -u)";
        case -EAGAIN:
                return "stop the other sensorqd that writes there, or give each a directory of its own";
        case -EBUSY:
                return "nothing yet; if this persists, stop the program that has the file open";
        case -ENOLCK:
                return "enable locking on its file server, or name a directory on a local disk";
        case -ENOMEM:
        case -EMFILE:
        case -ENFILE:
                return "look " CAUSE_MEMORY_PLACES;
        default:
                return "look at the disk and at `journalctl -k`";
        }
}

static Cause of_status(int status) {
        switch (status) {
        case 200 ... 299:
                return CAUSE_NONSENSE;
        case 401:
        case 403:
                return CAUSE_TOKEN;
        case 407:
        case 511:
                return CAUSE_BETWEEN;
        case 300 ... 399:
        case 404:
        case 410:
                return CAUSE_ADDRESS;
        case 429:
                return CAUSE_LIMITED;
        case 408:
        case 500 ... 510:
        case 512 ... 599:
                return CAUSE_UNAVAILABLE;
        default:
                return CAUSE_INVALID;
        }
}

Cause cause_of_http(const struct HttpReply *reply) {
        switch (reply->outcome) {
        case HTTP_ANSWERED:
                return reply->status / 100 == 2 && http_reply_is_page(reply) ? CAUSE_BETWEEN : of_status(reply->status);
        case HTTP_UNREACHABLE:
                return reply->want ? CAUSE_MEMORY : CAUSE_NETWORK;
        case HTTP_TLS:
                return CAUSE_TLS;
        case HTTP_TOO_LARGE:
                return CAUSE_NONSENSE;
        default:
                return CAUSE_UNANSWERED;
        }
}

/* ---- troubles ---- */

/* Notes a failure. Returns whether it is worth an entry. */
static bool note(Trouble *t, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail) {
        if (t->grade == TROUBLE_NONE)
                t->since = clock_now();
        t->grade = grade;
        t->cause = cause == CAUSE_NONE ? CAUSE_OTHER : cause;
        t->failures++;
        t->tries++;
        text_copy(t->detail, sizeof(t->detail), detail);
        return grade == TROUBLE_LASTING || t->failures > 1 || retry_in > SAID_AT_ONCE_USEC;
}

/* Returns the place of these words among those that were logged lately; the number of places: they were not. */
static size_t find_words(const Trouble *t, uint64_t hash) {
        size_t i = 0;

        while (i < ELEMENTSOF(t->words) && t->words[i] != hash)
                i++;
        return i;
}

static void begin(Trouble *t, uint64_t hash) {
        const bool soon = t->ended > 0 && t->since - t->ended < RELAPSE_USEC;
        const size_t place = find_words(t, hash), last = ELEMENTSOF(t->words) - 1;

        t->relapses = soon ? t->relapses + (place <= last) : 0;
        t->began = t->since;
        t->tries = t->failures;
        memmove(t->words + 1, t->words, (place < last ? place : last) * sizeof(t->words[0]));
        t->words[0] = hash;
}

/* Returns how long a success must last before the log says that it is over. */
static usec_t proof(const Trouble *t) {
        unsigned n = t->relapses > RELAPSES_FREE ? t->relapses - RELAPSES_FREE : 0;

        return n == 0 ? 0 : usec_min(PROOF_FIRST_USEC << (n < 8 ? n - 1 : 7), PROOF_MAX_USEC);
}

/* Whether what was logged is over, although its end is not in the log: other words come after a success, or success has
 * lasted, but nobody has asked since. */
static bool is_another(const Trouble *t, uint64_t hash) {
        return t->well > 0 && (find_words(t, hash) == ELEMENTSOF(t->words) || t->since - t->well >= proof(t));
}

bool trouble_fail(Trouble *t, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail) {
        uint64_t hash;

        if (!note(t, grade, cause, retry_in, detail))
                return false;
        hash = bytes_hash(BYTES_HASH, t->detail, strlen(t->detail));
        if (t->said != TROUBLE_NONE && is_another(t, hash)) {
                t->said = TROUBLE_NONE;
                t->ended = t->well;
        }
        t->well = 0;
        if (grade <= t->said)
                return false;
        if (t->said == TROUBLE_NONE)
                begin(t, hash);
        t->said = grade;
        return true;
}

void trouble_note(Trouble *t, TroubleGrade grade, Cause cause, const char *detail) {
        (void) note(t, grade, cause, 0, detail);
}

bool trouble_mend(Trouble *t, char span[static CLOCK_SPAN_SIZE]) {
        bool say = t->said != TROUBLE_NONE;

        if (say)
                (void) clock_format_span(clock_now() - t->began, span, CLOCK_SPAN_SIZE);
        *t = (Trouble){};
        return say;
}

bool trouble_mend_proven(Trouble *t, char span[static CLOCK_SPAN_SIZE]) {
        usec_t now = clock_now();

        if (t->grade == TROUBLE_NONE && t->said == TROUBLE_NONE)
                return false;
        t->grade = TROUBLE_NONE;
        t->cause = CAUSE_NONE;
        t->since = t->failures = 0;
        t->detail[0] = '\0';
        if (t->well == 0)
                t->well = now;
        if (t->said == TROUBLE_NONE || now - t->well < proof(t))
                return false;
        (void) clock_format_span(t->well - t->began, span, CLOCK_SPAN_SIZE);
        t->said = TROUBLE_NONE;
        t->ended = now;
        return true;
}

usec_t trouble_since(const Trouble *t) {
        return t->since > 0 ? clock_wall_of(t->since) : 0;
}

Failure trouble_failure(const Trouble *t) {
        return (Failure){
                .on = t->grade != TROUBLE_NONE,
                .since = trouble_since(t),
                .logged_since = t->said != TROUBLE_NONE ? clock_wall_of(t->began) : 0,
                .cause = t->cause,
                .detail = t->detail,
        };
}

int trouble_level(const Trouble *t) {
        return t->grade == TROUBLE_LASTING ? LOG_ERR : LOG_WARNING;
}
