/* SPDX-License-Identifier: Apache-2.0 */
#include "trouble.h"

#include <assert.h>
#include <errno.h>

#include "lib/http.h"
#include "lib/log.h"
#include "lib/text.h"

/* if the next try is later than this, the first failure is logged at once */
#define SAID_AT_ONCE_USEC USEC_PER_MINUTE

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

bool trouble_fail(Trouble *t, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail) {
        bool say;

        if (t->grade == TROUBLE_NONE)
                t->since = clock_now();
        t->grade = grade;
        t->cause = cause == CAUSE_NONE ? CAUSE_OTHER : cause;
        t->failures++;
        text_copy(t->detail, sizeof(t->detail), detail);

        say = grade > t->said && (grade == TROUBLE_LASTING || t->failures > 1 || retry_in > SAID_AT_ONCE_USEC);
        if (say)
                t->said = grade;
        return say;
}

void trouble_note(Trouble *t, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail) {
        TroubleGrade said = t->said;

        (void) trouble_fail(t, grade, cause, retry_in, detail);
        t->said = said;
}

bool trouble_mend(Trouble *t, char span[static CLOCK_SPAN_SIZE]) {
        bool say = t->said != TROUBLE_NONE;

        if (t->grade != TROUBLE_NONE)
                (void) clock_format_span(clock_now() - t->since, span, CLOCK_SPAN_SIZE);
        *t = (Trouble){};
        return say;
}

usec_t trouble_since(const Trouble *t) {
        return t->since > 0 ? clock_wall_of(t->since) : 0;
}

int trouble_level(const Trouble *t) {
        return t->grade == TROUBLE_LASTING ? LOG_ERR : LOG_WARNING;
}
