/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* The state of one rule for one device.
 *
 *             holds                       held for `for`
 *      OK -----------------> PENDING -----------------------> FIRING
 *       ^                       |                                |
 *       +--- no longer holds ---+        over (past `clear`) ----+--> OK */
/* clang-format on */
#include "sinks/alert-rules.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "match.h"

#define NUMBER_SIZE_MAX 64
#define NUMBER_MAX 1e290 /* as for charts: a device without a value may send the largest possible number */

_asserted_ static const bool moves[PHASES][PHASES] = {
        [PHASE_OK] = { [PHASE_PENDING] = true },
        [PHASE_PENDING] = { [PHASE_OK] = true, [PHASE_FIRING] = true },
        [PHASE_FIRING] = { [PHASE_OK] = true },
};

static void move(AlertState *state, AlertPhase phase) {
        assert(moves[state->phase][phase]);
        state->phase = phase;
}

/* ---- a value ---- */

/* Reads a JSON number. Returns false for any other text. */
static bool get_number(Slice value, double *ret) {
        char text[NUMBER_SIZE_MAX + 1];

        if (value.size == 0 || value.size > NUMBER_SIZE_MAX || !strchr("-0123456789", value.data[0]))
                return false;
        *(char *) mempcpy(text, value.data, value.size) = '\0';
        *ret = strtod(text, NULL);
        return fabs(*ret) <= NUMBER_MAX;
}

AlertTruth alert_judge_value(const AlertRule *rule, Slice value) {
        double number;

        if (!value.data || slice_equal(value, "null"))
                return ALERT_SAYS_NOTHING;
        if (rule->test == ALERT_IS) {
                if (value.data[0] == '{' || value.data[0] == '[')
                        return ALERT_SAYS_NOTHING;
                return match_value((char *const[]){ rule->is, NULL }, value) ? ALERT_HOLDS : ALERT_OVER;
        }
        if (!get_number(value, &number))
                return ALERT_SAYS_NOTHING;
        if (rule->test == ALERT_ABOVE ? number > rule->limit : number < rule->limit)
                return ALERT_HOLDS;
        return (rule->test == ALERT_ABOVE ? number <= rule->clear : number >= rule->clear) ? ALERT_OVER : ALERT_BETWEEN;
}

/* ---- moves ---- */

static bool has_passed(usec_t from, usec_t span, usec_t now) {
        return now >= from && now - from >= span;
}

static AlertMove hold(const AlertRule *rule, AlertState *state, usec_t since, usec_t now) {
        if (state->phase == PHASE_OK) {
                move(state, PHASE_PENDING);
                state->since = since;
        }
        if (state->phase != PHASE_PENDING || !has_passed(state->since, rule->wait, now))
                return ALERT_STAYS;
        move(state, PHASE_FIRING);
        return ALERT_FIRED;
}

static AlertMove cease(AlertState *state) {
        bool fired = state->phase == PHASE_FIRING;

        if (state->phase != PHASE_OK)
                move(state, PHASE_OK);
        return fired ? ALERT_CEASED : ALERT_STAYS;
}

AlertMove alert_judge_message(const AlertRule *rule, AlertState *state, usec_t at, AlertTruth truth) {
        if (truth == ALERT_SAYS_NOTHING || at <= state->judged)
                return ALERT_OLD;
        state->judged = at;
        if (truth == ALERT_HOLDS)
                return hold(rule, state, at, at);
        return truth == ALERT_OVER || state->phase == PHASE_PENDING ? cease(state) : ALERT_STAYS;
}

AlertMove alert_judge_life(const AlertRule *rule, AlertState *state, const AlertLife *life, usec_t now) {
        bool was_offline = state->offline;

        if (life->at <= state->judged || (life->heard == 0 && !life->offline && !(was_offline && life->online)))
                return ALERT_OLD;
        state->judged = life->at;
        if (life->heard > state->heard)
                state->heard = life->heard;
        state->offline = life->offline && (was_offline || state->phase != PHASE_FIRING); /* silence stays silence */
        if (life->offline)
                return hold(rule, state, life->at, life->at);
        return !was_offline && has_passed(state->heard, rule->stale, now) ? ALERT_STAYS : cease(state);
}

static bool is_silent(const AlertRule *rule, const AlertState *state, usec_t now) {
        return rule->test == ALERT_STALE && state->heard > 0 && has_passed(state->heard, rule->stale, now);
}

AlertMove alert_judge_time(const AlertRule *rule, AlertState *state, usec_t now) {
        AlertPhase before = state->phase;
        AlertMove moved = ALERT_STAYS;

        if (before == PHASE_FIRING)
                return ALERT_OLD;
        if (is_silent(rule, state, now))
                moved = hold(rule, state, state->heard + rule->stale, now);
        else if (before == PHASE_PENDING && (rule->test != ALERT_STALE || state->offline))
                moved = hold(rule, state, state->since, now);
        return state->phase == before ? ALERT_OLD : moved;
}

usec_t alert_judge_next(const AlertRule *rule, const AlertState *state) {
        if (state->phase == PHASE_PENDING)
                return state->since + rule->wait;
        if (state->phase == PHASE_OK && rule->test == ALERT_STALE && state->heard > 0)
                return state->heard + rule->stale;
        return USEC_INFINITY;
}
