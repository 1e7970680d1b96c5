/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/credentials.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/loop.h"
#include "lib/text.h"
#include "pubsub/wire.h"

#define ASSERTION_LIFETIME_SEC 3600 /* the endpoint's maximum */
/* a clock that is a little ahead would sign in the endpoint's future, which it refuses */
#define ASSERTION_BACKDATE_SEC 10
#define ASSERTION_SPREAD_SEC 600 /* the lifetime is shortened by a random time below this */
#define ASSERTION_EARLY_SEC 40   /* and begins earlier by a random time below this */
#define VALUE_MAX 16384          /* what fits into a header everywhere; Google reserves 2048 */

/* ---- steps ---- */

CredentialsStep credentials_first_step(const Credentials *c) {
        return c->subject_url ? CREDENTIALS_SUBJECT : CREDENTIALS_EXCHANGE;
}

CredentialsStep credentials_next_step(const Credentials *c, CredentialsStep step) {
        if (step == CREDENTIALS_SUBJECT)
                return CREDENTIALS_EXCHANGE;
        return step == CREDENTIALS_EXCHANGE && c->impersonation_url ? CREDENTIALS_IMPERSONATE : CREDENTIALS_DONE;
}

/* Returns where a step's request goes. */
static const char *url_of(const Credentials *c, CredentialsStep step) {
        if (step == CREDENTIALS_SUBJECT)
                return c->subject_url;
        return step == CREDENTIALS_IMPERSONATE ? c->impersonation_url : c->token_uri;
}

/* Returns the other provider's token in *text* (an answer, or the content of its file), malloc'ed; NULL: none. */
static char *subject_of(const Credentials *c, const char *text, size_t size) {
        _cleanup_(json_freep) Json *json = NULL;
        const char *member;

        if (c->subject_field) {
                (void) json_parse(text, size, &json);
                member = text_or_null(json_get_string(json, c->subject_field));
                return member ? strdup(member) : NULL;
        }
        while (size > 0 && (unsigned char) text[size - 1] <= ' ')
                size--;
        return size > 0 && !memchr(text, '\0', size) ? strndup(text, size) : NULL;
}

/* ---- requests ---- */

/* The audience is Google's endpoint even when token_uri reaches it by another name (a private endpoint, a proxy), as in
 * google-auth: the endpoint compares it with its own names. Beginning and lifetime are random, so that two assertions
 * of the same second differ: an endpoint may refuse one that it has seen before, and Google documents no claim for
 * this purpose. */
static int append_claims(const Credentials *c, usec_t wall, Bytes *claims) {
        uint64_t draw = loop_random(), lifetime = ASSERTION_LIFETIME_SEC - draw % ASSERTION_SPREAD_SEC;
        uint64_t early = ASSERTION_BACKDATE_SEC + draw / ASSERTION_SPREAD_SEC % ASSERTION_EARLY_SEC;
        uint64_t issued = wall / USEC_PER_SEC;

        issued -= issued < early ? issued : early;
        bytes_append_text(claims, "{\"iss\":");
        bytes_append_json_string(claims, c->client_email, strlen(c->client_email));
        return bytes_append_format(claims,
                ",\"scope\":\"%s\",\"aud\":\"" CREDENTIALS_TOKEN_ENDPOINT "\",\"iat\":%" PRIu64 ",\"exp\":%" PRIu64 "}",
                c->impersonation_url ? CREDENTIALS_SCOPE_IAM : CREDENTIALS_SCOPE, issued, issued + lifetime);
}

static int append_header(const Credentials *c, Bytes *header) {
        bytes_append_text(header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
        if (c->private_key_id[0] != '\0') {
                bytes_append_text(header, ",\"kid\":");
                bytes_append_json_string(header, c->private_key_id, strlen(c->private_key_id));
        }
        return bytes_append_text(header, "}");
}

static int append_assertion(const Credentials *c, usec_t wall, Bytes *body) {
        _cleanup_bytes_ Bytes header = {}, claims = {};
        _cleanup_(secret_freep) char *assertion = NULL;
        int r;

        r = append_header(c, &header);
        if (r < 0)
                return r;
        r = append_claims(c, wall, &claims);
        if (r < 0)
                return r;
        r = pem_key_sign(c->key, header.data, claims.data, &assertion);
        if (r < 0)
                return r;
        r = secrets_note_passing(c->secrets, assertion);
        if (r < 0)
                return r;

        bytes_reserve(body, strlen(assertion) + 128); /* a buffer that grows leaves copies behind */
        return bytes_append_format(
                body, "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer&assertion=%s", assertion);
}

static int append_refresh(const Credentials *c, Bytes *body) {
        bytes_reserve(body, 128 + 3 * (strlen(c->client_id) + strlen(c->client_secret) + strlen(c->refresh_token)));
        text_append_field(body, "grant_type", "refresh_token");
        text_append_field(body, "client_id", c->client_id);
        text_append_field(body, "client_secret", c->client_secret);
        return text_append_field(body, "refresh_token", c->refresh_token);
}

/* RFC 8693. *held*: the other provider's token; NULL: it is in a file, which is read each time, since it changes. */
static int append_federation(const Credentials *c, const char *held, Bytes *body) {
        _cleanup_(secret_freep) char *subject = NULL, *text = NULL;
        size_t size;
        int r;

        if (!held) {
                r = secret_read_file(c->subject_file, &text, &size);
                if (r < 0)
                        return r;
                subject = subject_of(c, text, size);
                if (!subject)
                        return -EBADMSG;
                held = subject;
        }
        r = secrets_note_passing(c->secrets, held);
        if (r < 0)
                return r;

        const char *const fields[][2] = {
                { "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange" },
                { "requested_token_type", "urn:ietf:params:oauth:token-type:access_token" },
                { "audience", c->audience },
                { "scope", c->impersonation_url ? CREDENTIALS_SCOPE_IAM : CREDENTIALS_SCOPE },
                { "subject_token_type", c->subject_token_type },
                { "subject_token", held },
        };
        bytes_reserve(body, 512 + 3 * (strlen(held) + strlen(c->audience)));
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                text_append_field(body, fields[i][0], fields[i][1]);
        return bytes_result(body);
}

static int exchange_request(const Credentials *c, const char *held, usec_t wall, HttpSpec *spec) {
        spec->method = "POST";
        spec->content_type = "application/x-www-form-urlencoded";
        switch (c->kind) {
        case CREDENTIALS_SERVICE_ACCOUNT:
                return append_assertion(c, wall, &spec->body);
        case CREDENTIALS_AUTHORIZED_USER:
                return append_refresh(c, &spec->body);
        case CREDENTIALS_EXTERNAL_ACCOUNT:
                return append_federation(c, held, &spec->body);
        case CREDENTIALS_METADATA:
                break;
        }
        spec->method = "GET";
        return 0;
}

int credentials_request(const Credentials *c, CredentialsStep step, const char *held, usec_t wall, HttpSpec *spec) {
        static const char *const metadata_headers[] = { "Metadata-Flavor: Google", NULL };
        int r = 0;

        spec->url = url_of(c, step);
        switch (step) {
        case CREDENTIALS_SUBJECT:
                spec->method = "GET";
                spec->headers = (const char *const *) c->subject_headers;
                break;
        case CREDENTIALS_EXCHANGE:
                spec->headers = c->kind == CREDENTIALS_METADATA ? metadata_headers : NULL;
                r = exchange_request(c, held, wall, spec);
                break;
        case CREDENTIALS_IMPERSONATE:
                spec->method = "POST";
                spec->bearer = held;
                r = bytes_append_format(&spec->body,
                        "{\"delegates\":%s,\"scope\":[\"" CREDENTIALS_SCOPE "\"],\"lifetime\":\"3600s\"}",
                        c->delegates ?: "[]");
                break;
        case CREDENTIALS_DONE:
                break;
        }
        if (r < 0)
                bytes_done(&spec->body);
        return r;
}

/* ---- answers ---- */

static const char *remote_name(const Credentials *c, CredentialsStep step) {
        if (step == CREDENTIALS_SUBJECT)
                return "identity provider";
        if (step == CREDENTIALS_IMPERSONATE)
                return "IAM Credentials API";
        return c->kind == CREDENTIALS_METADATA ? "metadata server" : "token endpoint";
}

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
                                        : usec_min((usec_t) seconds, CREDENTIALS_LIFETIME_MAX_USEC / USEC_PER_SEC) *
                                                  USEC_PER_SEC;
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
                        "the %s issued a token that has already expired; check this machine's clock, and what answers "
                        "in its place",
                        remote_name(c, step));
                return -EAGAIN;
        }

        ret->value = strdup(value);
        ret->lifetime = lifetime;
        if (ret->value)
                return 0;
        ret->cause = CAUSE_MEMORY;
        text_print(ret->detail, sizeof(ret->detail), "out of memory; raise the service's limit");
        return -EAGAIN;
}

static int read_subject(const Credentials *c, const HttpReply *reply, CredentialsAnswer *ret) {
        ret->cause = CAUSE_KEY;
        ret->value = subject_of(c, reply->body.data ?: "", reply->body.size);
        if (!ret->value)
                text_print(ret->detail, sizeof(ret->detail),
                        "the answer of the identity provider (%s) holds no token: see `credential_source` in %s",
                        c->subject_url, c->origin);
        return ret->value ? 0 : -EACCES;
}

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

        (void) snprintf(text, size, "this machine's clock is %s %s, so the next try uses the endpoint's time",
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
                                             : "if this persists, see whether a proxy answers in its place, and the "
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
                        url_of(c, step), reply->outcome == HTTP_UNREACHABLE ? "cannot be reached" : "does not answer",
                        reply->detail,
                        reply->want                  ? "look " CAUSE_MEMORY_PLACES
                        : reply->outcome == HTTP_TLS ? "check the network, `pubsub.ca_file` and this machine's clock"
                                                     : "check the network and name resolution");
                return -EAGAIN;
        }
        if (reply->status != 200)
                return describe_refusal(c, step, wall, reply, ret);
        if (step == CREDENTIALS_SUBJECT)
                return read_subject(c, reply, ret);
        (void) json_parse(reply->body.data ?: "", reply->body.size, &json);
        return read_token(c, step, json, reply->date > 0 ? reply->date : wall, ret);
}
