/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/sink-words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "events.h"
#include "lib/log.h"
#include "lib/text.h"

/* ---- logging ---- */

/* A library's words may be a whole sentence, or several. */
static size_t size_without_stop(const char *text) {
        size_t size = strlen(text);

        while (size > 0 && strchr(". ", text[size - 1]))
                size--;
        return size;
}

void sink_said_down(SinkSaid *said, const SinkAnswer *answer, bool scouts, usec_t delay) {
        TroubleGrade grade = answer->fault == SINK_FAULT_LASTING ? TROUBLE_LASTING : TROUBLE_PASSING;
        const TroubleGrade before = said->down.said;
        const usec_t began = said->down.began;
        int size = (int) size_without_stop(answer->detail);
        char detail[TROUBLE_DETAIL_MAX], cut[257], seconds[24];

        text_copy_words(cut, sizeof(cut), answer->detail);
        cut[size_without_stop(cut)] = '\0';
        (void) snprintf(detail, sizeof(detail), "%s: %s; %s", answer->reason, cut, answer->remedy);
        if (!trouble_fail(&said->down, grade, answer->cause, delay, detail))
                return;
        (void) snprintf(seconds, sizeof(seconds), "%.1f", (double) delay / (double) USEC_PER_SEC);
        log_event(trouble_level(&said->down),
                before == TROUBLE_NONE || began != said->down.began ? EVENT_SINK_DOWN : NULL,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, said->subscription }, { FIELD_COLLECTION, said->place },
                        { FIELD_REASON, answer->reason }, { FIELD_ERROR, answer->detail },
                        { FIELD_RETRY_SEC, seconds }),
                "%s for %s %s: %.*s. %s and none is lost; sensorqd keeps trying. To do: %s", said->what,
                said->subscription, answer->words, size, answer->detail,
                scouts ? "Meanwhile only a few messages are pulled, to see whether one is accepted,"
                       : "No messages are pulled meanwhile",
                answer->remedy);
}

void sink_said_up(SinkSaid *said) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_is_on(&said->down))
                said->unkept_at = clock_now(); /* while it was down, nothing was set apart or tried */
        if (trouble_mend_proven(&said->down, span))
                log_event(LOG_NOTICE, EVENT_SINK_UP,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, said->subscription }, { FIELD_COLLECTION, said->place }),
                        "%s for %s is back after %s; pulling resumes", said->what, said->subscription, span);
}

static void said_apart_over(SinkSaid *said, const char *how) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&said->apart, span))
                log_event(LOG_NOTICE, EVENT_APART_RECOVERED, LOG_FIELDS({ FIELD_SUBSCRIPTION, said->subscription }),
                        "Messages of %s that could neither be stored nor set apart %s, after %s", said->subscription,
                        how, span);
}

void sink_said_apart(SinkSaid *said, const char *words, bool done, bool refused) {
        if (refused)
                said->unkept_at = clock_now();
        if (refused && trouble_fail(&said->apart, TROUBLE_LASTING, CAUSE_INVALID, 0, words))
                log_event(LOG_ERR, EVENT_APART_FAILING,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, said->subscription }, { FIELD_COLLECTION, said->place },
                                { FIELD_ERROR, words[0] ? words : "it is refused" }),
                        "Messages of %s can neither be stored in %s nor set apart: %s. They are held and tried again; "
                        "other messages are stored. Find out what refuses them there",
                        said->subscription, said->place, words[0] ? words : "it is refused");
        if (done && !refused)
                said_apart_over(said, "are kept again");
}

void sink_said_heard(SinkSaid *said, bool ready) {
        if (!trouble_is_on(&said->apart))
                return;
        if (!ready) /* no message comes, or none is tried */
                said->unkept_at = clock_now();
        else if (clock_now() >= said->unkept_at + SINK_UNKEPT_OVER_USEC)
                said_apart_over(said, "have not come again");
}

/* ---- what was set apart ---- */

#define COUNT_USEC (10 * USEC_PER_MINUTE)
#define QUIET_USEC USEC_PER_HOUR

/* Where there are more reasons than room (there are fewer), they share the last place. */
static bool apart_is_news(SinkApart *apart, const char *reason, usec_t now) {
        size_t i = 0;
        bool news;

        while (i + 1 < ELEMENTSOF(apart->reasons) && apart->reasons[i].reason &&
                strcmp(apart->reasons[i].reason, reason) != 0)
                i++;
        news = !text_equal(apart->reasons[i].reason, reason) || now - apart->reasons[i].last >= QUIET_USEC;
        apart->reasons[i].reason = reason;
        apart->reasons[i].last = now;
        return news;
}

static void apart_log(const SinkApart *apart, const SinkItem *item) {
        int attempt = item->message->delivery_attempt;
        _cleanup_bytes_ Bytes key = {};
        char message[128], number[16];

        (void) snprintf(
                message, sizeof(message), "%.*s", (int) item->message->message_id.size, item->message->message_id.data);
        (void) snprintf(number, sizeof(number), "%d", attempt);
        if (apart->key)
                (void) apart->key(apart->userdata, item->message, &key); /* empty without memory */
        log_event(LOG_WARNING, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, apart->subscription }, { FIELD_MESSAGE_ID, message },
                        { FIELD_KEY, key.data }, { FIELD_REASON, item->reason }, { FIELD_ERROR, item->detail },
                        { FIELD_ATTEMPT, attempt > 0 ? number : NULL }, { apart->field, apart->where }),
                "Message %s of %s cannot be stored in %s: %s (%s). Its bytes are kept in %s; `sensorqd rejected show` "
                "prints them, `replay` tries again. Others with this reason are only counted",
                message, apart->subscription, apart->place, item->detail ?: "", item->reason, apart->where);
}

static void apart_count(SinkApart *apart, usec_t now) {
        if (apart->unsaid == 0 || (apart->counted > 0 && now - apart->counted < COUNT_USEC))
                return;
        log_event(LOG_WARNING, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, apart->subscription }, { apart->field, apart->where }),
                "%" PRIu64 " more message%s of %s cannot be stored in %s: kept in %s; `sensorqd rejected list` "
                "shows them",
                apart->unsaid, text_s(apart->unsaid), apart->subscription, apart->place, apart->where);
        apart->unsaid = 0;
        apart->counted = now;
}

void sink_said_set_apart(SinkApart *apart, const SinkWork *work) {
        usec_t now = clock_now();

        for (size_t i = 0; i < work->n; i++) {
                const SinkItem *item = &work->items[i];

                if (item->verdict != SINK_STORED && item->verdict != SINK_DUPLICATE)
                        continue;
                if (apart_is_news(apart, item->reason, now))
                        apart_log(apart, item);
                else
                        apart->unsaid++;
        }
        apart_count(apart, now);
}

/* ---- errors of a disk ---- */

#define WANT "cannot be written to: memory or file descriptors have run out"

void sink_disk_answer(SinkAnswer *answer, int error, const char *path) {
        static const struct {
                int error;
                const char *reason, *words;
        } table[] = {
                { -ENOSPC, "disk_full", "has no room" },
                { -EDQUOT, "disk_full", "has used up its quota" },
                { -EFBIG, "too_large", "has reached the limit on file size" },
                { -EROFS, "read_only", "is read-only for sensorqd" },
                { -EACCES, "forbidden", "may not be written to" },
                { -EPERM, "forbidden", "may not be written to" },
                { -ENOENT, "missing", "has no directory, and its parent is missing too" },
                { -ENOTDIR, "missing", "has a file in place of its directory" },
                { -ELOOP, "link", CAUSE_LINK_WORDS },
                { -EAGAIN, "in_use", "is locked by another process" },
                { -EBUSY, "in_use", "is locked by another process" },
                { -ENOLCK, "no_locks", "cannot be locked" },
                { -ENOMEM, "memory", WANT },
                { -EMFILE, "memory", WANT },
                { -ENFILE, "memory", WANT },
                { 0, "failing", "cannot be written to" },
        };
        size_t i = 0;

        while (table[i].error != 0 && table[i].error != error)
                i++;
        answer->fault = SINK_FAULT_PASSING;
        answer->cause = cause_of_disk(error);
        answer->reason = table[i].reason;
        answer->words = table[i].words;
        answer->remedy = cause_disk_remedy(error);
        (void) snprintf(answer->detail, sizeof(answer->detail), "%s: %s", path, strerror(-error));
}

/* ---- for the verbs ---- */

void sink_admin_tell(const SinkTeller *teller, SinkGrade grade, const char *format, ...) {
        char text[SINK_ADMIN_TEXT_MAX];
        va_list args;

        va_start(args, format);
        (void) vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        teller->tell(teller->userdata, grade, text);
}
