/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What fails: why, since when, and when to log it, in one way for every remote and for the disk: once, again when a
 * person has to act, and when it is over; of a remote that fails again and again, seldom. A stage has one Trouble for
 * each thing that can fail, reports the result of every try to it, and logs when it returns true; the words and message
 * ids belong to the stage. */

#include "lib/clock.h"

struct HttpReply; /* lib/http.h */

/* ---- causes ---- */

/* What to look at where memory, descriptors or threads are short: CAUSE_MEMORY. "look " CAUSE_MEMORY_PLACES. */
#define CAUSE_MEMORY_PLACES "at this machine's memory, and at the unit's MemoryMax=, LimitNOFILE= and TasksMax="
/* What -ELOOP means: file_find(). */
#define CAUSE_LINK_WORDS "is behind a link that root does not follow, since another user may have made it"

/* Why something fails, in a form that programs can read: a kind of failure, and what a person can do about it. Both are
 * fixed words for status.json, so that a page can show them in any language; the sentence is Trouble.detail. The code
 * that decides what happens next also decides the cause. */
typedef enum Cause {
        CAUSE_NONE = 0,
        CAUSE_OTHER,        /* no remedy that a program could name */
        CAUSE_NETWORK,      /* no connection to a remote */
        CAUSE_SERVICE,      /* no connection to a service that the reader runs: MongoDB, a broker */
        CAUSE_UNANSWERED,   /* connected, but no complete answer */
        CAUSE_TLS,          /* no secure connection */
        CAUSE_UNAVAILABLE,  /* the remote says that it cannot answer now: 5xx, no primary */
        CAUSE_REPLICAS,     /* no majority of a replica set */
        CAUSE_LIMITED,      /* the remote limits the rate */
        CAUSE_QUOTA,        /* the plan's limit for a day or month is used up */
        CAUSE_KEY,          /* Google refuses the credentials */
        CAUSE_CLOCK,        /* ... because this machine's clock is wrong */
        CAUSE_ROLE,         /* the service account lacks a role */
        CAUSE_PROJECT,      /* something about the project: API, billing, perimeter */
        CAUSE_TOKEN,        /* a token or secret of ours is refused */
        CAUSE_LOGIN,        /* a user or password is refused */
        CAUSE_RIGHTS,       /* the user may not do what is needed */
        CAUSE_BETWEEN,      /* a proxy, a firewall or a login page answers instead of the remote */
        CAUSE_SETUP,        /* a topic or subscription does not exist */
        CAUSE_ADDRESS,      /* the URL does not exist, or redirects */
        CAUSE_DIRECTORY,    /* a directory does not exist */
        CAUSE_NONSENSE,     /* the answers do not match the request */
        CAUSE_SETTINGS,     /* settings on this side or the other do not allow it */
        CAUSE_COLLECTION,   /* a collection that cannot keep _id unique */
        CAUSE_INVALID,      /* the remote refuses everything that it is sent */
        CAUSE_SPACE,        /* this machine's disk is full */
        CAUSE_SERVER_SPACE, /* the remote's disk is full */
        CAUSE_PLAN,         /* the remote's plan has no space left */
        CAUSE_APART_FULL,   /* the messages that were set apart have reached their limit */
        CAUSE_DISK,         /* this machine's disk fails */
        CAUSE_OWNER,        /* sensorqd may not write there */
        CAUSE_OCCUPIED,     /* another program uses it: a file, an address */
        CAUSE_NEWER,        /* a later version of sensorqd made it */
        CAUSE_MEMORY,       /* sensorqd is out of memory, descriptors or threads */
        CAUSE_PROGRAM,      /* a program that was run has failed */
        _CAUSE_MAX,
} Cause;

/* Returns "unreachable", "refused", ...: sensorqd(8) lists them. NULL for CAUSE_NONE. */
const char *cause_kind(Cause cause);
/* Returns "network", "token", ...: sensorqd(8) lists them too. NULL: no remedy is known. */
const char *cause_remedy(Cause cause);

/* The cause for an errno of open(2), write(2) or SQLite on this machine's disk; and what a person can do about it,
 * within a sentence: "free space on that disk ...". */
Cause cause_of_disk(int error);
const char *cause_disk_remedy(int error);
/* The cause for a reply that is not a success, or for a missing reply. */
Cause cause_of_http(const struct HttpReply *reply);

/* ---- troubles ---- */

#define TROUBLE_DETAIL_MAX 512

typedef enum TroubleGrade {
        TROUBLE_NONE,
        TROUBLE_PASSING, /* network, 429, 5xx: waiting helps. Logged as a warning, but not for a single failure between
                            two successes */
        TROUBLE_LASTING, /* a refusal, a full disk: a person has to act. Logged as an error, at once */
} TroubleGrade;

/* A plain value; all zeros: no failure. */
typedef struct Trouble {
        TroubleGrade grade;              /* of the last failure */
        Cause cause;                     /* of the last failure */
        usec_t since;                    /* clock_now() of the first failure; 0: no failure */
        uint64_t failures;               /* number of failures since then */
        char detail[TROUBLE_DETAIL_MAX]; /* of the last failure: what happened, what to do; "": no failure */
        /* in the log, where trouble may last over successes, see trouble_mend_proven() */
        TroubleGrade said; /* the worst grade that was logged */
        usec_t began;      /* clock_now() of its first failure */
        uint64_t tries;    /* number of failures since then */
        usec_t well;       /* clock_now() of the first success after the last failure that was worth an entry, or 0 */
        usec_t ended;      /* clock_now() when an end was last logged, or 0 */
        unsigned relapses; /* how often it came back soon after that, with known words */
        uint64_t words[4]; /* hashes of the details that were logged last */
} Trouble;

/* Call this when a try failed; the next one comes after *retry_in* (0: not known). True when it must be logged now: for
 * TROUBLE_LASTING at once, unless that was logged; for TROUBLE_PASSING at the second failure in a row, or at the first
 * when the next try is more than a minute away. */
bool trouble_fail(Trouble *trouble, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail);

/* Like trouble_fail(), for a failure that another stage has logged: it is not logged here, but a later failure of
 * another grade is. */
void trouble_note(Trouble *trouble, TroubleGrade grade, Cause cause, const char *detail);

/* Call this when it is over. True when that must be logged, because the failure was; *span* then has its duration in
 * words. */
bool trouble_mend(Trouble *trouble, char span[static CLOCK_SPAN_SIZE]);

/* Like trouble_mend(), for a remote: call this after every success. Where a failure came back soon after its end was
 * logged, with the same words, several times in a row, that is true only once success has lasted, for longer each time.
 * Until then the trouble counts as logged, and a new failure is not, unless its words are others: otherwise a remote
 * that flaps would fill the log. */
bool trouble_mend_proven(Trouble *trouble, char span[static CLOCK_SPAN_SIZE]);

/* Returns the level to log with: LOG_WARNING or LOG_ERR. */
int trouble_level(const Trouble *trouble);

/* Returns the clock_wall() of the first failure, 0 when there is none; correct even if the wall clock was set in
 * between. */
usec_t trouble_since(const Trouble *trouble);

/* What the status of a stage says of a trouble: in status.json, in STATUS= and in the metrics. Times are of
 * clock_wall(). */
typedef struct Failure {
        bool on;
        usec_t since;        /* the first failure; 0: there is none */
        usec_t logged_since; /* the first failure of what was logged and has no end in the log; 0: nothing was */
        Cause cause;
        const char *detail; /* what fails, and what to do; "": nothing. Borrowed from the trouble */
} Failure;

/* The trouble as it is now. */
Failure trouble_failure(const Trouble *trouble);

static inline bool trouble_is_on(const Trouble *trouble) {
        return trouble->grade != TROUBLE_NONE;
}
