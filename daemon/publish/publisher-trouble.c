/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher-trouble.h"

#include <stdio.h>

#include "events.h"
#include "lib/log.h"

void trouble_end(Trouble *t, const char *topic) {
        char span[64];

        if (t->kind == TROUBLE_NONE)
                return;
        (void) clock_format_span(clock_now() - t->from, span, sizeof(span));
        if (t->kind == TROUBLE_DISK)
                log_event(LOG_NOTICE, EVENT_OUTBOX_RECOVERED, LOG_FIELDS({ FIELD_TOPIC, topic }),
                        "The outbox can be used again after %s; publishing to %s goes on.", span, topic);
        else
                log_event(LOG_NOTICE, EVENT_PUBLISH_RECOVERED, LOG_FIELDS({ FIELD_TOPIC, topic }),
                        "Publishing to %s works again after %s.", topic, span);
        t->kind = TROUBLE_NONE;
        t->detail[0] = '\0';
}

static void trouble_tell(const Trouble *t, const char *topic, const TroubleDetail *detail) {
        char span[64], status[16], retry[24], rows[24];

        (void) clock_format_span(detail->retry, span, sizeof(span));
        (void) snprintf(status, sizeof(status), "%d", detail->http_status);
        (void) snprintf(retry, sizeof(retry), "%" PRIu64, detail->retry / USEC_PER_SEC);
        (void) snprintf(rows, sizeof(rows), "%" PRIu64, detail->rows);
        const LogField *fields = LOG_FIELDS({ FIELD_TOPIC, topic }, { FIELD_ERROR, t->detail },
                { FIELD_STATUS, detail->http_status > 0 ? status : NULL }, { FIELD_RETRY_SEC, retry },
                { FIELD_ROWS, rows });

        if (t->kind == TROUBLE_DISK)
                log_event(LOG_ERR, EVENT_OUTBOX_FAILING, fields,
                        "Publishing to %s waits for the disk: %s. Nothing is lost; next try in %s. Free space on the "
                        "disk of state_dir, or "
                        "mend it.",
                        topic, t->detail, span);
        else
                log_event(t->kind == TROUBLE_REMOTE ? LOG_WARNING : LOG_ERR, EVENT_PUBLISH_FAILING, fields,
                        "Publishing to %s fails: %s. Polling goes on; readings waiting on the disk: %s. Next try in "
                        "%s. "
                        "This is said once until it works again.",
                        topic, t->detail, rows, span);
}

void trouble_begin(Trouble *t, const char *topic, TroubleKind kind, const TroubleDetail *detail) {
        bool tell = kind != t->kind && (t->kind == TROUBLE_NONE || kind != TROUBLE_REMOTE);

        if (t->kind != TROUBLE_NONE && (t->kind == TROUBLE_DISK) != (kind == TROUBLE_DISK)) {
                trouble_end(t, topic);
                tell = true;
        }
        if (t->kind == TROUBLE_NONE) {
                t->since = clock_wall();
                t->from = clock_now();
        }
        t->kind = kind;
        t->failures++;
        (void) snprintf(t->detail, sizeof(t->detail), "%s", detail->text);
        if (tell)
                trouble_tell(t, topic, detail);
}
