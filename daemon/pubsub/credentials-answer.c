/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/credentials.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/json.h"
#include "lib/text.h"
#include "pubsub/wire.h"

#define VALUE_MAX 16384 /* what fits into a header everywhere; Google reserves 2048 */

static const char *remote_name(const Credentials *c, CredentialsStep step) {
        if (step == CREDENTIALS_SUBJECT)
                return "identity provider";
        if (step == CREDENTIALS_IMPERSONATE)
                return "IAM Credentials API";
        return c->kind == CREDENTIALS_METADATA ? "metadata server" : "token endpoint";
}

/* ---- a token ---- */

/* Whether http_start() accepts it as a bearer token. */
static bool value_valid(const char *value) {
        size_t n = strlen(value);

        for (const char *c = value; *c != '\0'; c++)
                if (!isalnum((unsigned char) *c) && !strchr("-._~+/=", *c))
                        return false;

        return n > 0 && n <= VALUE_MAX;
}

static usec_t lifetime_until(const char *time, usec_t now) {
        int64_t msec;

        if (!clock_parse_rfc3339(time, strlen(time), &msec))
                return CREDENTIALS_LIFETIME_UNKNOWN_USEC;
        return msec > (int64_t) (now / USEC_PER_MSEC) ? (usec_t) msec * USEC_PER_MSEC - now : 0;
}

/* Returns 0 when the token has expired already. *now* is the remote's time. */
static usec_t lifetime_of(Json *json, usec_t now) {
        const char *expires = json_get_string(json, "expireTime");
        usec_t lifetime = CREDENTIALS_LIFETIME_UNKNOWN_USEC;
        int64_t seconds;

        if (expires)
                lifetime = lifetime_until(expires, now);
        else if (json_get_int(json, "expires_in", &seconds))
                lifetime = seconds <= 0 ? 0
                           : (usec_t) seconds < CREDENTIALS_LIFETIME_MAX_USEC / USEC_PER_SEC
                                   ? (usec_t) seconds * USEC_PER_SEC
                                   : CREDENTIALS_LIFETIME_MAX_USEC;
        return usec_min(lifetime, CREDENTIALS_LIFETIME_MAX_USEC);
}

static int read_token(const Credentials *c, CredentialsStep step, Json *json, usec_t now, CredentialsAnswer *ret) {
        const char *value = json_get_string(json, step == CREDENTIALS_IMPERSONATE ? "accessToken" : "access_token");
        usec_t lifetime = lifetime_of(json, now);

        if (!value || !value_valid(value)) {
                ret->cause = CAUSE_BETWEEN;
                text_print(ret->detail, sizeof(ret->detail),
                        "the answer of the %s holds no access token; see whether a proxy or captive portal answers in "
                        "its place",
                        remote_name(c, step));
                return -EAGAIN;
        }
        if (lifetime == 0) {
                ret->cause = CAUSE_CLOCK;
                text_print(ret->detail, sizeof(ret->detail),
                        "the %s gave a token that has run out already; check this machine's clock, and what answers in "
                        "its place",
                        remote_name(c, step));
                return -EAGAIN;
        }

        ret->value = strdup(value);
        ret->lifetime = lifetime;
        ret->cause = ret->value ? CAUSE_NONE : CAUSE_MEMORY;
        if (!ret->value)
                text_print(ret->detail, sizeof(ret->detail), "out of memory; give the service more");
        return ret->value ? 0 : -EAGAIN;
}

static int read_subject(const Credentials *c, const HttpReply *reply, CredentialsAnswer *ret) {
        ret->cause = CAUSE_KEY;
        ret->value = credentials_subject(c, reply->body.data ? reply->body.data : "", reply->body.size);
        if (!ret->value)
                text_print(ret->detail, sizeof(ret->detail),
                        "the answer of the identity provider (%s) holds no token: see `credential_source` in %s",
                        c->subject_url, c->origin);
        return ret->value ? 0 : -EACCES;
}

/* ---- a refusal ---- */

/* Whether to try again: on the statuses and words on which google-auth does. A metadata server answers 404 in the first
 * seconds of a container's life. */
static bool is_transient(const Credentials *c, int status, const WireError *refusal) {
        static const char *const words[] = { "internal_failure", "server_error", "temporarily_unavailable" };

        if (status < 400 || status >= 500 || status == 408 || status == 429)
                return true;
        if (status == 404 && c->kind == CREDENTIALS_METADATA)
                return true;

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcmp(refusal->status, words[i]) == 0 || strcmp(refusal->message, words[i]) == 0)
                        return true;
        return false;
}

static const char *remedy_for(const Credentials *c, CredentialsStep step, const WireError *refusal, Cause *ret_cause) {
        *ret_cause = CAUSE_KEY;

        if (c->kind != CREDENTIALS_METADATA && refusal->status[0] == '\0' && refusal->message[0] == '\0') {
                *ret_cause = CAUSE_BETWEEN;
                return "this is not Google's answer but that of something in between: see whether a proxy or firewall "
                       "keeps this machine from it";
        }
        if (step == CREDENTIALS_IMPERSONATE)
                return "the credentials need roles/iam.serviceAccountTokenCreator on that service account, and the IAM "
                       "Service Account Credentials API must be enabled";
        if (c->kind == CREDENTIALS_EXTERNAL_ACCOUNT)
                return "check the workload identity pool, its provider, and `credential_source`";
        if (c->kind == CREDENTIALS_METADATA)
                return "give this machine a service account with access to Pub/Sub";
        if (c->kind == CREDENTIALS_AUTHORIZED_USER)
                return "the login was revoked or is too old: run `gcloud auth application-default login` again and "
                       "restart, or use a service account";
        if (strstr(refusal->message, "short-lived")) {
                *ret_cause = CAUSE_CLOCK;
                return "set this machine's clock (timedatectl)";
        }
        if (strcasestr(refusal->message, "signature"))
                return "the key was deleted or replaced: install one that is valid, and restart";
        if (strcasestr(refusal->message, "not found") || strcasestr(refusal->message, "disabled"))
                return "the service account was deleted or disabled: restore it, or install the key of another and "
                       "restart";
        return "check the service account and its key; a new key needs a restart";
}

/* How much later *theirs* is than *ours* (usec); 0 when both agree well enough. */
static int64_t clock_error_of(usec_t theirs, usec_t ours) {
        int64_t error = (int64_t) (theirs - ours);

        return error > -(int64_t) CREDENTIALS_CLOCK_ERROR_USEC && error < (int64_t) CREDENTIALS_CLOCK_ERROR_USEC
                       ? 0
                       : error;
}

usec_t credentials_signing_time(usec_t endpoint_ahead, usec_t now, usec_t wall) {
        usec_t theirs = now + endpoint_ahead;

        return endpoint_ahead == 0 || clock_error_of(theirs, wall) == 0 ? wall : theirs;
}

/* The next assertion is signed with the endpoint's time: see credentials_signing_time(). */
static void describe_clock(int64_t clock_error, char *text, size_t size) {
        char span[CLOCK_SPAN_SIZE];

        (void) snprintf(text, size, "this machine's clock is %s %s, so the next try goes by the endpoint's",
                clock_format_span((usec_t) (clock_error < 0 ? -clock_error : clock_error), span, sizeof(span)),
                clock_error < 0 ? "fast" : "slow");
}

static int describe_refusal(
        const Credentials *c, CredentialsStep step, usec_t wall, const HttpReply *reply, CredentialsAnswer *ret) {
        int64_t clock_error = reply->date > 0 ? clock_error_of(reply->date, wall) : 0;
        bool clock_matters = c->kind == CREDENTIALS_SERVICE_ACCOUNT && clock_error != 0;
        char description[101], clock[120];
        const char *remedy;
        WireError refusal;

        wire_get_error(reply->body.data, reply->body.size, &refusal);
        if (is_transient(c, reply->status, &refusal)) {
                ret->cause = reply->status == 404 ? CAUSE_KEY : cause_of_http(reply);
                text_print(ret->detail, sizeof(ret->detail), "the %s answered %s%s%s; %s", remote_name(c, step),
                        reply->detail, refusal.status[0] != '\0' ? " " : "", refusal.status,
                        reply->status == 404 ? "see whether this machine has a service account"
                                             : "if it does not pass, see whether a proxy answers in its place, and the "
                                               "service's status page");
                return -EAGAIN;
        }

        remedy = remedy_for(c, step, &refusal, &ret->cause);
        if (clock_matters) {
                ret->cause = CAUSE_CLOCK;
                describe_clock(clock_error, clock, sizeof(clock));
        }
        text_copy_words(description, sizeof(description), refusal.message);
        text_print(ret->detail, sizeof(ret->detail), "the %s refuses %s: %s%s%s%s; %s", remote_name(c, step), c->origin,
                refusal.status[0] != '\0' ? refusal.status : reply->detail, refusal.message[0] != '\0' ? " (" : "",
                description, refusal.message[0] != '\0' ? ")" : "", clock_matters ? clock : remedy);
        return -EACCES;
}

int credentials_answer(
        const Credentials *c, CredentialsStep step, usec_t wall, const HttpReply *reply, CredentialsAnswer *ret) {
        _cleanup_(json_freep) Json *json = NULL;

        if (reply->outcome != HTTP_ANSWERED) {
                ret->cause = cause_of_http(reply);
                text_print(ret->detail, sizeof(ret->detail), "the %s (%s) %s: %s; %s", remote_name(c, step),
                        credentials_url(c, step),
                        reply->outcome == HTTP_UNREACHABLE ? "cannot be reached" : "does not answer", reply->detail,
                        reply->want                  ? "look " CAUSE_MEMORY_PLACES
                        : reply->outcome == HTTP_TLS ? "check the network, `pubsub.ca_file` and this machine's clock"
                                                     : "check the network and name resolution");
                return -EAGAIN;
        }
        if (reply->status != 200)
                return describe_refusal(c, step, wall, reply, ret);
        if (step == CREDENTIALS_SUBJECT)
                return read_subject(c, reply, ret);
        (void) json_parse(reply->body.data ? reply->body.data : "", reply->body.size, &json);
        return read_token(c, step, json, reply->date > 0 ? reply->date : wall, ret);
}
