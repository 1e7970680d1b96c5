/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a rule's text, a webhook's body and what a device says of itself: what is taken as a template makes
 * UTF-8, what is taken as a body makes JSON, and no message is longer than its service takes. The input: template, NUL,
 * name, NUL, value. */
#include <stdlib.h>

#include "fuzz.h"
#include "sinks/alert-target.h"

static void send_to(const AlertTarget *target, const AlertNotice *notice) {
        AlertRequest request = {};

        require(alert_target_write(target, &(AlertMessage){ notice, 1, ALERT_JAPANESE, "key" }, &request) == 0);
        require(bytes_is_utf8(request.body.data, request.body.size));
        require(json_is_whole((Slice){ request.body.data, request.body.size }, JSON_READER_DEPTH, NULL));
        alert_target_request_done(&request);
}

static void try_services(const AlertNotice *notice, char *text) {
        static char topic[] = "t", recipient[] = "U1", url[] = "https://h/slack";
        const AlertTarget targets[] = { { .type = ALERT_SLACK, .at.url_file = { url, url } },
                { .type = ALERT_NTFY, .at.url = url, .topic = topic },
                { .type = ALERT_LINE, .at.url = url, .recipient = recipient } };
        ConfigProblem problem;

        for (size_t i = 0; i < ELEMENTSOF(targets); i++)
                send_to(&targets[i], notice);
        if (alert_text_body.text(text, &problem) == 0)
                send_to(&(AlertTarget){ .type = ALERT_WEBHOOK, .at.url = url, .body = text }, notice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text = strndup((const char *) data, size), *name = NULL, *value = NULL;
        size_t at = strlen(text) + 1;
        AlertNotice notice = { .kind = ALERT_FIRING, .rule = "rule", .since = 1, .until = 2 };
        ConfigProblem problem;

        if (at < size)
                name = strndup((const char *) data + at, size - at);
        if (name && at + strlen(name) + 1 < size)
                value = strndup((const char *) data + at + strlen(name) + 1, size - at - strlen(name) - 1);
        notice.name = name && bytes_is_utf8(name, strlen(name)) ? name : NULL;
        notice.value = value && bytes_is_utf8(value, strlen(value)) ? value : NULL;
        /* what the configuration hands over is UTF-8 */
        if (bytes_is_utf8(text, strlen(text)) && alert_text_template.text(text, &problem) == 0)
                notice.text = text;
        if (bytes_is_utf8(text, strlen(text)))
                try_services(&notice, text);
        free(value);
        free(name);
        free(text);
        return 0;
}
