/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* "Fails since then, said once, said again when a person has to act, said when it is over": one way for every remote
 * and for the disk. A stage keeps one Trouble for each thing that can fail, tells it how every try ended, and logs when
 * it is told to: the words and the message ids are the stage's own. A plain value; zeros: all is well. */

#include "cause.h"
#include "lib/clock.h"

#define TROUBLE_DETAIL_MAX 512

typedef enum TroubleGrade {
        TROUBLE_NONE,
        TROUBLE_PASSING, /* network, 429, 5xx: waiting helps. A warning, and not said of a single try between two good
                            ones */
        TROUBLE_LASTING, /* a refusal, a full disk: somebody has to act. An error, said at once */
} TroubleGrade;

typedef struct Trouble {
        TroubleGrade grade;              /* of the last failure */
        TroubleGrade said;               /* the worst that was said */
        Cause cause;                     /* of the last failure */
        usec_t since;                    /* clock_now() of the first failure; 0 while well */
        uint64_t failures;               /* since then */
        char detail[TROUBLE_DETAIL_MAX]; /* of the last failure: what happened, what to do; "" while well */
} Trouble;

/* A try failed; the next one is made after *retry_in* (0: not known). True when it is to be said now: at once for
 * TROUBLE_LASTING, unless that was said; for TROUBLE_PASSING at the second failure in a row, or at the first when the
 * next try is over a minute away. */
bool trouble_fail(Trouble *trouble, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail);

/* The same, of what another stage has told of: it is not said here, but a failure of another kind after it is. */
void trouble_note(Trouble *trouble, TroubleGrade grade, Cause cause, usec_t retry_in, const char *detail);

/* A try worked. True when that is to be said, because the failure was: *span* has how long it lasted, in words. */
bool trouble_mend(Trouble *trouble, char span[static CLOCK_SPAN_SIZE]);

/* The level of the line: LOG_WARNING or LOG_ERR. */
int trouble_level(const Trouble *trouble);

/* clock_wall() of the first failure, 0 while well: a clock that is set does not move it away from now. */
usec_t trouble_since(const Trouble *trouble);

static inline bool trouble_is_on(const Trouble *trouble) {
        return trouble->grade != TROUBLE_NONE;
}
