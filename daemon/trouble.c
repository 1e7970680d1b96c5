/* SPDX-License-Identifier: Apache-2.0 */
#include "trouble.h"

#include "lib/bytes.h"
#include "lib/log.h"
#include "lib/text.h"

/* if the next try is later than this, the first failure is logged at once */
#define SAID_AT_ONCE_USEC USEC_PER_MINUTE

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
