/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/blame.h"

#include <assert.h>

#include "lib/cleanup.h"

_asserted_ static const bool moves[BLAME_STATES][BLAME_STATES] = {
        [BLAME_CLEAR] = { [BLAME_CLEAR] = true,
                [BLAME_KEPT] = true,
                [BLAME_ASIDE] = true,
                [BLAME_REJECTED] = true,
                [BLAME_LAPSED] = true },
        [BLAME_KEPT] = { [BLAME_CLEAR] = true,
                [BLAME_KEPT] = true,
                [BLAME_ASIDE] = true,
                [BLAME_REJECTED] = true,
                [BLAME_LAPSED] = true },
        [BLAME_ASIDE] = { [BLAME_CLEAR] = true, [BLAME_ASIDE] = true, [BLAME_REJECTED] = true, [BLAME_LAPSED] = true },
        [BLAME_REJECTED] = { [BLAME_ASIDE] = true,
                [BLAME_REJECTED] = true,
                [BLAME_CLEAR] = true,
                [BLAME_LAPSED] = true },
};

static BlameState suspicion_move(Suspicion *s, BlameState state) {
        assert(moves[s->state][state]);
        s->state = state;
        return state;
}

/* ---- codes that pass ---- */

static void note_passed(Blame *blame, int code, usec_t now) {
        size_t oldest = 0;

        for (size_t i = 0; i < BLAME_CODES; i++) {
                if (blame->passed[i].at > 0 && blame->passed[i].code == code) {
                        blame->passed[i].at = now;
                        return;
                }
                if (blame->passed[i].at < blame->passed[oldest].at)
                        oldest = i;
        }
        blame->passed[oldest].code = code;
        blame->passed[oldest].at = now;
}

static bool has_passed_since(const Blame *blame, int code, usec_t since) {
        for (size_t i = 0; i < BLAME_CODES; i++)
                if (blame->passed[i].at > 0 && blame->passed[i].code == code)
                        return blame->passed[i].at >= since;
        return false;
}

/* ---- verdicts ---- */

void blame_accepted(Blame *blame, Suspicion *s, usec_t now) {
        blame->accepted++;
        if ((s->state == BLAME_KEPT || s->state == BLAME_ASIDE) && !s->unkept)
                note_passed(blame, s->code, now);
        *s = (Suspicion){};
}

/* Whether it was refused often enough, alone. */
static bool is_proven(const Blame *blame, Suspicion *s, usec_t now) {
        if (s->refusals == 0 || has_passed_since(blame, s->code, s->first)) {
                s->refusals = 1;
                s->first = now;
                s->mark = blame->accepted;
        } else if (blame->accepted > s->mark) {
                s->refusals++;
                s->mark = blame->accepted;
        }
        return s->refusals >= BLAME_REFUSALS && now - s->first >= BLAME_SPAN_USEC;
}

static void wait_aside(Suspicion *s, usec_t now) {
        usec_t most = s->later ? BLAME_PAUSE_LATER_USEC : BLAME_PAUSE_MAX_USEC;
        usec_t pause = s->tries < 16 ? BLAME_PAUSE_FIRST_USEC << s->tries : most;
        usec_t judged = s->first + BLAME_SPAN_USEC;

        s->tries++;
        s->due = now + (pause < most ? pause : most);
        if (s->refusals > 0 && judged > now && judged < s->due)
                s->due = judged;
}

BlameState blame_refused(Blame *blame, Suspicion *s, const BlameRefusal *refusal, usec_t now) {
        if (s->state == BLAME_CLEAR || (s->state == BLAME_ASIDE && s->code != refusal->code))
                s->base = refusal->before; /* what was accepted before says nothing of a code that is new */
        if (s->code != refusal->code)
                s->refusals = 0;
        s->code = refusal->code;
        s->about_document = refusal->about_document;
        s->later = false;
        if (s->state == BLAME_REJECTED)
                return suspicion_move(s, BLAME_REJECTED);
        if (blame->accepted == s->base && s->state != BLAME_ASIDE)
                return suspicion_move(s, BLAME_KEPT);
        if (blame->accepted > s->base && (s->about_document || (refusal->alone && is_proven(blame, s, now))))
                return suspicion_move(s, BLAME_REJECTED);
        wait_aside(s, now);
        return suspicion_move(s, BLAME_ASIDE);
}

BlameState blame_put_off(Blame *blame, Suspicion *s, const BlameRefusal *refusal, usec_t now) {
        bool others = s->first > 0 && blame->accepted > s->mark, none = blame->accepted == refusal->before;

        if (s->state == BLAME_REJECTED)
                (void) suspicion_move(s, BLAME_CLEAR);
        if (s->state == BLAME_CLEAR)
                s->base = refusal->before;
        if (s->first == 0)
                s->first = now;
        s->code = refusal->code;
        s->about_document = false;
        s->later = true;
        s->refusals = 0;
        s->mark = blame->accepted;
        if (s->state != BLAME_ASIDE && !(none ? others : refusal->few))
                return suspicion_move(s, none ? BLAME_KEPT : BLAME_CLEAR);
        wait_aside(s, now);
        return suspicion_move(s, BLAME_ASIDE);
}

void blame_unkept(Suspicion *s, usec_t now) {
        s->unkept = true;
        wait_aside(s, now);
        (void) suspicion_move(s, BLAME_ASIDE);
}

BlameState blame_expire(Suspicion *s) {
        return suspicion_move(s, s->about_document && s->state == BLAME_KEPT ? BLAME_REJECTED : BLAME_LAPSED);
}
