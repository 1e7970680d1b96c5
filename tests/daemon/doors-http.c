/* SPDX-License-Identifier: Apache-2.0 */
/* Dies around the requests that move data, and cuts the wait for messages short: $SENSORQD_TEST_PULL_TIMEOUT_MSEC. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "lib/http.h"

DOOR(http_start);
DOOR(http_cancel);

/* The places around a request: before it is sent, when it is on its way, when the answer has come, when it has been
 * worked in. */
typedef struct Places {
        const char *method, *part, *answer; /* of the URL; of the answer */
        const char *before, *sent, *answered, *done;
} Places;

static const Places http_places[] = {
        { "GET", "/1/devices", "", .answered = "source-fetched" },
        { "POST", ":publish", "", .sent = "publish-sent", .answered = "publish-ids-received",
                .done = "publish-forgotten" },
        { "POST", ":pull", "receivedMessages", .done = "pull-received" },
        { "POST", ":acknowledge", "", .before = "ack-before-send", .sent = "ack-sent", .answered = "ack-confirmed" },
};
static const Places http_nowhere = { .answer = "" };

typedef struct Call {
        struct Call *next;
        HttpRequest *request;
        HttpDone done;
        void *userdata;
        const Places *places;
} Call;

static Call *http_calls;

static const Places *http_find(const char *method, const char *url) {
        for (size_t i = 0; i < sizeof(http_places) / sizeof(http_places[0]); i++)
                if (strcmp(method, http_places[i].method) == 0 && strstr(url, http_places[i].part))
                        return &http_places[i];
        return &http_nowhere;
}

/* Takes the call of that request out of the list; NULL: there is none. */
static Call *http_take(const HttpRequest *request) {
        for (Call **at = &http_calls; *at; at = &(*at)->next)
                if ((*at)->request == request) {
                        Call *found = *at;

                        *at = found->next;
                        return found;
                }
        return NULL;
}

static void http_on_done(void *userdata, HttpReply *reply) {
        Call *call = http_take(reply->request);
        Call copy;
        bool good = reply->outcome == HTTP_ANSWERED && reply->status == 200;

        assert(call == userdata);
        copy = *call;
        free(call);
        good = good && strstr(reply->body.size > 0 ? (const char *) reply->body.data : "", copy.places->answer);
        if (good)
                crash_pass(copy.places->answered);
        copy.done(copy.userdata, reply);
        if (good)
                crash_pass(copy.places->done);
}

int __wrap_http_start(Http *http, HttpSpec *spec, HttpDone done, void *userdata, HttpRequest **ret) {
        usec_t pull_timeout = door_setting("SENSORQD_TEST_PULL_TIMEOUT_MSEC");
        Call *call = calloc(1, sizeof(Call));
        const char *sent;
        int r;

        if (!call)
                abort();
        *call = (Call){ http_calls, NULL, done, userdata, http_find(spec->method, spec->url) };
        sent = call->places->sent;
        if (pull_timeout > 0 && strstr(spec->url, ":pull") && spec->timeout > pull_timeout)
                spec->timeout = pull_timeout;
        crash_pass(call->places->before);
        r = __real_http_start(http, spec, http_on_done, call, &call->request);
        if (r < 0) {
                free(call);
                return r;
        }
        http_calls = call;
        *ret = call->request;
        crash_pass(sent);
        return r;
}

HttpRequest *__wrap_http_cancel(HttpRequest *request) {
        if (request)
                free(http_take(request));
        return __real_http_cancel(request);
}
