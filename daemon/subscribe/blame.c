/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/blame.h"

#include <assert.h>

#include "lib/err.h"

_asserted_ static const bool moves[BLAME_STATES][BLAME_STATES] = {
        [BLAME_CLEAR] = { [BLAME_CLEAR] = true,
                [BLAME_OUTAGE] = true,
                [BLAME_SUSPECT] = true,
                [BLAME_REJECTED] = true,
                [BLAME_LAPSED] = true },
        [BLAME_OUTAGE] = { [BLAME_CLEAR] = true,
                [BLAME_OUTAGE] = true,
                [BLAME_SUSPECT] = true,
                [BLAME_REJECTED] = true,
                [BLAME_LAPSED] = true },
        [BLAME_SUSPECT] = { [BLAME_CLEAR] = true,
                [BLAME_SUSPECT] = true,
                [BLAME_REJECTED] = true,
                [BLAME_LAPSED] = true },
        [BLAME_REJECTED] = { [BLAME_SUSPECT] = true,
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
        if ((s->state == BLAME_OUTAGE || s->state == BLAME_SUSPECT) && !s->unkept)
                note_passed(blame, s->code, now);
        *s = (Suspicion){};
}

/* What was accepted in the write that had the refusal does not count: in the middle of it the remote may have begun to
 * refuse everything, or ceased to. */
static void count_refusal(const Blame *blame, Suspicion *s, uint64_t before, usec_t now) {
        if (s->refusals == 0 || has_passed_since(blame, s->code, s->first)) {
                s->refusals = 1;
                s->first = now;
                s->mark = blame->accepted;
        } else if (before > s->mark) {
                s->refusals++;
                s->mark = blame->accepted;
        }
}

/* Whether it was refused often enough. */
static bool is_proven(const Suspicion *s, const BlameRefusal *refusal, usec_t now) {
        if (s->about_document)
                return refusal->proven || s->refusals >= BLAME_REFUSALS_ABOUT;
        return refusal->alone && s->refusals >= BLAME_REFUSALS && now - s->first >= BLAME_SPAN_USEC;
}

static void wait_aside(Suspicion *s, usec_t now) {
        usec_t most = s->later ? BLAME_PAUSE_LATER_USEC : BLAME_PAUSE_MAX_USEC;
        usec_t pause = s->tries < 16 ? BLAME_PAUSE_FIRST_USEC << s->tries : most;
        usec_t judged = s->first + BLAME_SPAN_USEC;

        s->tries++;
        s->due = now + usec_min(pause, most);
        if (s->refusals > 0 && judged > now && judged < s->due)
                s->due = judged;
}

BlameState blame_refused(Blame *blame, Suspicion *s, const BlameRefusal *refusal, usec_t now) {
        const bool none = blame->accepted == (s->state == BLAME_OUTAGE ? s->mark : refusal->before);
        const bool outage = none && s->state != BLAME_SUSPECT, unkept = s->unkept && s->code == refusal->code;

        if (s->code != refusal->code)
                s->refusals = 0; /* earlier accepted messages show nothing about a new code */
        s->code = refusal->code;
        s->about_document = refusal->about_document;
        s->later = false;
        if (s->about_document || (refusal->alone && !outage))
                count_refusal(blame, s, refusal->before, now);
        else if (outage)
                s->mark = blame->accepted;
        if (outage && s->state != BLAME_REJECTED)
                return suspicion_move(s, BLAME_OUTAGE);
        if (s->state == BLAME_REJECTED || unkept || is_proven(s, refusal, now))
                return suspicion_move(s, BLAME_REJECTED);
        wait_aside(s, now);
        return suspicion_move(s, BLAME_SUSPECT);
}

BlameState blame_put_off(Blame *blame, Suspicion *s, const BlameRefusal *refusal, usec_t now) {
        bool others = s->first > 0 && blame->accepted > s->mark, none = blame->accepted == refusal->before;

        if (s->state == BLAME_REJECTED)
                (void) suspicion_move(s, BLAME_CLEAR);
        if (s->first == 0)
                s->first = now;
        s->code = refusal->code;
        s->about_document = false;
        s->later = true;
        s->refusals = 0;
        s->mark = blame->accepted;
        if (s->state != BLAME_SUSPECT && !(none ? others : refusal->few))
                return suspicion_move(s, none ? BLAME_OUTAGE : BLAME_CLEAR);
        wait_aside(s, now);
        return suspicion_move(s, BLAME_SUSPECT);
}

void blame_unkept(Suspicion *s, usec_t now) {
        s->unkept = true;
        wait_aside(s, now);
        (void) suspicion_move(s, BLAME_SUSPECT);
}

BlameState blame_expire(Suspicion *s) {
        return suspicion_move(s, s->about_document && s->state == BLAME_OUTAGE ? BLAME_REJECTED : BLAME_LAPSED);
}

/* ---- the remote ---- */

_asserted_ static const bool health_moves[HEALTHS][HEALTHS] = {
        [HEALTH_AWAY] = { [HEALTH_ACCEPTING] = true, [HEALTH_UNTRIED] = true, [HEALTH_REFUSING] = true },
        [HEALTH_ACCEPTING] = { [HEALTH_AWAY] = true, [HEALTH_DOUBTED] = true, [HEALTH_REFUSING] = true },
        [HEALTH_DOUBTED] = { [HEALTH_AWAY] = true, [HEALTH_ACCEPTING] = true, [HEALTH_REFUSING] = true },
        [HEALTH_UNTRIED] = { [HEALTH_AWAY] = true, [HEALTH_ACCEPTING] = true, [HEALTH_REFUSING] = true },
        [HEALTH_REFUSING] = { [HEALTH_AWAY] = true, [HEALTH_ACCEPTING] = true },
};

void blame_move(Blame *blame, Health health) {
        assert(health == blame->health || health_moves[blame->health][health]);
        blame->health = health;
        if (health == HEALTH_AWAY || health == HEALTH_ACCEPTING)
                blame->refusing_since = 0;
}

void blame_probing(Blame *blame) {
        if (blame->health == HEALTH_ACCEPTING)
                blame_move(blame, HEALTH_AWAY);
        else if (blame->health == HEALTH_DOUBTED)
                blame_move(blame, HEALTH_REFUSING);
}

bool blame_all_refused(Blame *blame, size_t n, bool scout, usec_t now) {
        bool alone;

        if (blame->refusing_since == 0) {
                blame->refusing_since = now;
                blame->refused = n;
        } else
                blame->refused += scout;
        alone = blame->refused <= 1 && now - blame->refusing_since < BLAME_ALONE_USEC;
        if (!alone || blame->health == HEALTH_AWAY)
                blame_move(blame, HEALTH_REFUSING);
        else if (blame->health == HEALTH_ACCEPTING)
                blame_move(blame, HEALTH_DOUBTED);
        return !alone;
}

bool blame_is_refusing(const Blame *blame) {
        return blame->health == HEALTH_DOUBTED || blame->health == HEALTH_UNTRIED || blame->health == HEALTH_REFUSING;
}

BlameNext blame_next(const BlameWrite *write, bool *ret_accepts) {
        *ret_accepts = write->accepted ? !write->down : !write->fault && !write->refusing && !write->outage;
        if (write->down)
                return write->accepted && !write->lasting ? WRITE_LATER : WRITE_DOWN;
        if (!write->left)
                return WRITE_DONE;
        if (write->accepted)
                return write->refusing ? WRITE_AT_ONCE : WRITE_LATER;
        return write->outage ? WRITE_REFUSED : WRITE_LATER;
}
