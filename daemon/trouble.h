/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* When to log failures, in one way for every remote and for the disk: once, again when a person has to act, and when it
 * is over. A stage has one Trouble for each thing that can fail, reports the result of every try to it, and logs when
 * it returns true; the words and message ids belong to the stage. A plain value; all zeros: no failure. */

#include "cause.h"
#include "lib/clock.h"

#define TROUBLE_DETAIL_MAX 512

typedef enum TroubleGrade {
        TROUBLE_NONE,
        TROUBLE_PASSING, /* network, 429, 5xx: waiting helps. Logged as a warning, but not for a single failure between
                            two successes */
        TROUBLE_LASTING, /* a refusal, a full disk: a person has to act. Logged as an error, at once */
} TroubleGrade;

typedef struct Trouble {
        TroubleGrade grade;              /* of the last failure */
        TroubleGrade said;               /* the worst grade that was logged */
        Cause cause;                     /* of the last failure */
        usec_t since;                    /* clock_now() of the first failure; 0: no failure */
        uint64_t failures;               /* number of failures since then */
        char detail[TROUBLE_DETAIL_MAX]; /* of the last failure: what happened, what to do; "": no failure */
} Trouble;

/* Call this when a try failed; the next one comes after *retry_in* (0: not known). True when it must be logged now: for
 * TROUBLE_LASTING at once, unless that was logged; for TROUBLE_PASSING at the second failure in a row, or at the first
 * when the next try is more than a minute away. */
bool trouble_fail(Trouble *trouble, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail);

/* Like trouble_fail(), for a failure that another stage has logged: it is not logged here, but a later failure of
 * another grade is. */
void trouble_note(Trouble *trouble, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail);

/* Call this when a try succeeded. True when that must be logged, because the failure was; *span* then has its duration
 * in words. */
bool trouble_mend(Trouble *trouble, char span[static CLOCK_SPAN_SIZE]);

/* Returns the level to log with: LOG_WARNING or LOG_ERR. */
int trouble_level(const Trouble *trouble);

/* Returns the clock_wall() of the first failure, 0 when there is none; correct even if the wall clock was set in
 * between. */
usec_t trouble_since(const Trouble *trouble);

static inline bool trouble_is_on(const Trouble *trouble) {
        return trouble->grade != TROUBLE_NONE;
}
