/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/credentials.h"

#include <string.h>

#include "lib/err.h"
#include "lib/json.h"
#include "lib/loop.h"
#include "lib/pem.h"
#include "lib/text.h"

#define ASSERTION_LIFETIME_SEC 3600 /* the endpoint's maximum */
/* a clock that is a little ahead would sign in the endpoint's future, which it refuses */
#define ASSERTION_BACKDATE_SEC 10
#define ASSERTION_SPREAD_SEC 600 /* the lifetime is shortened by a random time below this */
#define ASSERTION_EARLY_SEC 40   /* and begins earlier by a random time below this */

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
                subject = credentials_subject(c, text, size);
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

/* ---- steps ---- */

CredentialsStep credentials_first_step(const Credentials *c) {
        return c->subject_url ? CREDENTIALS_SUBJECT : CREDENTIALS_EXCHANGE;
}

CredentialsStep credentials_next_step(const Credentials *c, CredentialsStep step) {
        if (step == CREDENTIALS_SUBJECT)
                return CREDENTIALS_EXCHANGE;
        return step == CREDENTIALS_EXCHANGE && c->impersonation_url ? CREDENTIALS_IMPERSONATE : CREDENTIALS_DONE;
}

const char *credentials_url(const Credentials *c, CredentialsStep step) {
        if (step == CREDENTIALS_SUBJECT)
                return c->subject_url;
        return step == CREDENTIALS_IMPERSONATE ? c->impersonation_url : c->token_uri;
}

int credentials_request(const Credentials *c, CredentialsStep step, const char *held, usec_t wall, HttpSpec *spec) {
        static const char *const metadata_headers[] = { "Metadata-Flavor: Google", NULL };
        int r = 0;

        spec->url = credentials_url(c, step);
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
                        c->delegates ? c->delegates : "[]");
                break;
        case CREDENTIALS_DONE:
                break;
        }
        if (r < 0)
                bytes_done(&spec->body);
        return r;
}

char *credentials_subject(const Credentials *c, const char *text, size_t size) {
        _cleanup_(json_freep) Json *json = NULL;
        const char *member;

        if (c->subject_field) {
                member = json_parse(text, size, &json) < 0 ? NULL : json_get_string(json, c->subject_field);
                return member && member[0] != '\0' ? strdup(member) : NULL;
        }
        while (size > 0 && (unsigned char) text[size - 1] <= ' ')
                size--;
        return size > 0 && !memchr(text, '\0', size) ? strndup(text, size) : NULL;
}
