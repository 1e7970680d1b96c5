/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer means: google/rpc/code.proto maps several codes to one HTTP status, so the error body's status decides
 * first, the HTTP status where a front end or proxy answered without one. */

#include <string.h>

#include "lib/text.h"
#include "pubsub/client.h"

/* ---- outcome ---- */

static bool has_status(const WireError *error, const char *status) {
        return strcmp(error->status, status) == 0;
}

/* Whether Pub/Sub itself answered: its error bodies have one of these fields, pages of proxies and firewalls do not. */
static bool is_pubsubs(const WireError *error) {
        return error->status[0] != '\0' || error->message[0] != '\0' || error->reason[0] != '\0';
}

static ClientOutcome sort_status(int status, const WireError *error) {
        switch (status) {
        case 200 ... 299:
                return CLIENT_OK;
        case 400:
                return has_status(error, "INVALID_ARGUMENT") || has_status(error, "OUT_OF_RANGE") ? CLIENT_INVALID
                                                                                                  : CLIENT_FAILED;
        case 401:
                return CLIENT_REFUSED;
        case 403:
                return is_pubsubs(error) ? CLIENT_REFUSED : CLIENT_FAILED;
        case 404:
                return is_pubsubs(error) ? CLIENT_NOT_FOUND : CLIENT_FAILED;
        case 409: /* ABORTED is worth another try, and so is a 409 from something that is not Pub/Sub */
                return has_status(error, "ALREADY_EXISTS") ? CLIENT_EXISTS : CLIENT_RETRY;
        case 413:
                return CLIENT_TOO_LARGE;
        case 408:
        case 429:
        case 499:
        case 500 ... 510:
        case 512 ... 599:
                return CLIENT_RETRY;
        default: /* 511 as well: a captive portal sends it, never the server itself (RFC 6585 section 6) */
                return CLIENT_FAILED;
        }
}

/* Whether the body begins with { and ends with }. Its reader finds other faults. */
static bool looks_like_object(const Bytes *body) {
        static const char spaces[] = { ' ', '\t', '\r', '\n' };
        size_t first = 0, last = body->size;

        while (first < last && memchr(spaces, body->data[first], sizeof(spaces)))
                first++;
        while (first < last && memchr(spaces, body->data[last - 1], sizeof(spaces)))
                last--;
        return last - first >= 2 && body->data[first] == '{' && body->data[last - 1] == '}';
}

/* ---- words ---- */

static const char *role_of(const char *verb) {
        if (!verb)
                return "pubsub.viewer";
        if (strcmp(verb, ":publish") == 0)
                return "pubsub.publisher";
        if (strcmp(verb, ":pull") == 0 || strcmp(verb, ":acknowledge") == 0 || strcmp(verb, ":modifyAckDeadline") == 0)
                return "pubsub.subscriber";
        return "pubsub.editor";
}

static const char *kind_of(const char *resource) {
        return strstr(resource, "/topics/")          ? "topic"
               : strstr(resource, "/subscriptions/") ? "subscription"
                                                     : "resource";
}

/* What to do about a `reason` in an error body. */
typedef struct Reason {
        const char *reason, *remedy;
        Cause cause;
} Reason;

static const Reason reasons[] = {
        { "SERVICE_DISABLED", "enable the Cloud Pub/Sub API in the project", CAUSE_PROJECT },
        { "BILLING_DISABLED", "enable billing for the project", CAUSE_PROJECT },
        { "CONSUMER_SUSPENDED", "the project is suspended: see its console", CAUSE_PROJECT },
        { "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "the credentials lack the scope https://www.googleapis.com/auth/pubsub",
                CAUSE_KEY },
        { "USER_PROJECT_DENIED", "the account needs serviceusage.services.use on its quota project", CAUSE_ROLE },
        { "SECURITY_POLICY_VIOLATED",
                "a service perimeter (VPC Service Controls) keeps this machine out: ask whoever runs it to let it in",
                CAUSE_PROJECT },
        { "RESOURCE_PROJECT_INVALID", "check `pubsub.project` in the configuration", CAUSE_SETTINGS },
        { "CONSUMER_INVALID",
                "Google knows no such project: check `pubsub.project` in the configuration, and `quota_project_id` of "
                "the credentials",
                CAUSE_SETTINGS },
};

/* Returns NULL when the reason is unknown. */
static const Reason *reason_of(const WireError *error) {
        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                if (strcmp(error->reason, reasons[i].reason) == 0)
                        return &reasons[i];
        return NULL;
}

/* ---- sentences ---- */

/* " (HTTP 403 PERMISSION_DENIED: User not authorized)" */
static void add_answer(TextRoom *words, const ClientReply *reply) {
        text_add(words, " (HTTP %d", reply->http_status);
        if (reply->error.status[0] != '\0')
                text_add(words, " %s", reply->error.status);
        if (reply->error.message[0] != '\0')
                text_add(words, ": %s", reply->error.message);
        text_add(words, ")");
}

static Cause say_between(TextRoom *words) {
        text_add(words,
                "something between here and Pub/Sub refused the request, not Pub/Sub itself: a proxy, a firewall, or "
                "another server at `pubsub.endpoint`");
        return CAUSE_BETWEEN;
}

static Cause say_refused(TextRoom *words, const ClientReply *reply, const char *resource, const char *verb) {
        if (!is_pubsubs(&reply->error))
                return say_between(words);
        if (reply->http_status == 401) {
                text_add(words,
                        "Pub/Sub does not accept the access token, not even a fresh one: check the credentials and "
                        "this machine's clock");
                return CAUSE_KEY;
        }
        if (verb && strcmp(verb, CLIENT_CREATE) == 0)
                text_add(words,
                        "the service account has no pubsub.editor role on the project, without which it cannot make "
                        "%s: grant it, or let another account make it",
                        resource);
        else
                text_add(words, "the service account has no %s role on this %s: grant it", role_of(verb),
                        kind_of(resource));
        return CAUSE_ROLE;
}

static Cause say_not_found(TextRoom *words, const ClientReply *reply, const char *resource) {
        if (strcasestr(reply->error.message, "project not found")) { /* a missing topic has the same code */
                text_add(words, "it is in no project that the account may see: check `pubsub.project`");
                return CAUSE_SETTINGS;
        }
        text_add(words,
                "it does not exist: create it with `sensorqd setup`, or check the %s's name and `pubsub.project`",
                kind_of(resource));
        return CAUSE_SETUP;
}

static Cause say_failed(TextRoom *words, const ClientReply *reply, const char *resource) {
        if (reply->http_status < 300)
                text_add(words,
                        "the answer to a request for %s was not Pub/Sub's: a captive portal or proxy? check "
                        "`pubsub.endpoint` and the network",
                        resource);
        else if (reply->http_status < 400)
                text_add(words,
                        "redirected (HTTP %d), which is not followed: a captive portal? check `pubsub.endpoint` and "
                        "the network",
                        reply->http_status);
        else if (!is_pubsubs(&reply->error))
                return say_between(words);
        else if (has_status(&reply->error, "FAILED_PRECONDITION"))
                text_add(words,
                        "%s cannot be used as it is: check billing, its encryption key, and whether it is detached or "
                        "pushes",
                        resource);
        else
                text_add(words, "Pub/Sub refused a request for %s", resource);
        return reply->http_status < 400 ? CAUSE_BETWEEN : CAUSE_SETTINGS;
}

/* Writes what happened and what to do; returns why. */
static Cause say(TextRoom *words, const ClientReply *reply, const char *resource, const char *verb) {
        switch (reply->outcome) {
        case CLIENT_OK:
                return CAUSE_NONE;
        case CLIENT_REFUSED:
                return say_refused(words, reply, resource, verb);
        case CLIENT_NOT_FOUND:
                return say_not_found(words, reply, resource);
        case CLIENT_FAILED:
                return say_failed(words, reply, resource);
        case CLIENT_RETRY:
        case CLIENT_UNSURE:
                text_add(words, reply->http_status == 429 ? "Pub/Sub asks for fewer requests, a quota is used up"
                                                          : "Pub/Sub is not available");
                return reply->http_status == 429 ? CAUSE_QUOTA : CAUSE_UNAVAILABLE;
        case CLIENT_EXISTS:
                text_add(words, "%s exists already", resource);
                break;
        case CLIENT_INVALID:
                text_add(words, "Pub/Sub calls a request for %s invalid", resource);
                break;
        case CLIENT_TOO_LARGE:
                text_add(words, "Pub/Sub calls a request for %s too large", resource);
                break;
        }
        return CAUSE_INVALID;
}

/* No whole answer came. */
static void sort_failure(const HttpReply *http, const char *resource, ClientReply *ret, TextRoom *words) {
        ret->outcome = CLIENT_RETRY;
        ret->cause = cause_of_http(http);
        switch (http->outcome) {
        case HTTP_ANSWERED:
                break;
        case HTTP_UNREACHABLE:
                return text_add(words, "Pub/Sub cannot be reached: %s%s", http->detail,
                        http->want ? "; look " CAUSE_MEMORY_PLACES : "");
        case HTTP_TLS:
                return text_add(words,
                        "no secure connection to Pub/Sub: %s; check `pubsub.ca_file`, a proxy in between, and this "
                        "machine's clock",
                        http->detail);
        case HTTP_TIMEOUT:
        case HTTP_CUT:
                ret->outcome = CLIENT_UNSURE;
                return text_add(words, "no whole answer from Pub/Sub: %s", http->detail);
        case HTTP_TOO_LARGE:
                ret->outcome = CLIENT_TOO_LARGE;
                return text_add(words, "the answer to a request for %s is larger than sensorqd takes", resource);
        }
}

void client_sort(const HttpReply *http, const char *resource, const char *verb, ClientReply *ret,
        char detail[static CLIENT_DETAIL_MAX]) {
        TextRoom words = { .text = detail, .size = CLIENT_DETAIL_MAX };
        const Reason *reason;

        *ret = (ClientReply){ .detail = detail, .begun = http->begun };
        detail[0] = '\0';
        if (http->outcome != HTTP_ANSWERED)
                return sort_failure(http, resource, ret, &words);

        ret->http_status = http->status;
        if (http->status < 200 || http->status > 299)
                wire_get_error(http->body.data, http->body.size, &ret->error);
        ret->outcome = sort_status(http->status, &ret->error);
        if (ret->outcome == CLIENT_OK && !looks_like_object(&http->body))
                ret->outcome = CLIENT_FAILED;
        if (ret->outcome == CLIENT_OK)
                return;
        ret->retry_after = usec_min(usec_max(http->retry_after, ret->error.retry_delay), USEC_PER_HOUR);
        reason = reason_of(&ret->error);
        if (reason && (ret->outcome == CLIENT_REFUSED || ret->outcome == CLIENT_FAILED) && http->status >= 400 &&
                http->status != 401)
                text_add(&words, "%s", reason->remedy);
        else
                ret->cause = say(&words, ret, resource, verb);
        if (reason)
                ret->cause = reason->cause;
        if (http->status >= 400)
                add_answer(&words, ret);
}
