/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/credentials.h"

#include <string.h>

#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/loop.h"
#include "lib/text.h"

#define ASSERTION_LIFETIME_SEC 3600 /* the endpoint's maximum */
/* a clock that is a little ahead would sign in the endpoint's future, which it refuses */
#define ASSERTION_BACKDATE_SEC 10
#define ASSERTION_SPREAD_SEC 600 /* by so much the lifetime is cut at random */

/* The audience is Google's endpoint also where token_uri leads to it by another name (a private endpoint, a proxy), as
 * in google-auth: the endpoint compares it with its own names. The lifetime varies, so that two assertions of one
 * second differ: an endpoint may refuse one that it has seen, and Google documents no claim that would be made for
 * this. */
static int append_claims(const Credentials *c, usec_t wall, Bytes *claims) {
        uint64_t issued = wall / USEC_PER_SEC, lifetime = ASSERTION_LIFETIME_SEC - loop_random() % ASSERTION_SPREAD_SEC;
        int r;

        issued -= issued < ASSERTION_BACKDATE_SEC ? issued : ASSERTION_BACKDATE_SEC;
        r = bytes_append_text(claims, "{\"iss\":");
        if (r < 0)
                return r;
        r = bytes_append_json_string(claims, c->client_email, strlen(c->client_email));
        if (r < 0)
                return r;

        return bytes_append_format(claims,
                ",\"scope\":\"" CREDENTIALS_SCOPE "\",\"aud\":\"" CREDENTIALS_TOKEN_ENDPOINT "\",\"iat\":%" PRIu64
                ",\"exp\":%" PRIu64 "}",
                issued, issued + lifetime);
}

static int append_header(const Credentials *c, Bytes *header) {
        int r;

        r = bytes_append_text(header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
        if (r < 0)
                return r;

        if (c->private_key_id[0] != '\0') {
                r = bytes_append_text(header, ",\"kid\":");
                if (r < 0)
                        return r;
                r = bytes_append_json_string(header, c->private_key_id, strlen(c->private_key_id));
                if (r < 0)
                        return r;
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
        r = jws_sign(c->key, header.data, claims.data, &assertion);
        if (r < 0)
                return r;
        r = secrets_note_passing(c->secrets, assertion);
        if (r < 0)
                return r;

        r = bytes_reserve(body, strlen(assertion) + 128); /* a buffer that grows leaves copies behind */
        if (r < 0)
                return r;

        return bytes_append_format(
                body, "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer&assertion=%s", assertion);
}

static int append_refresh(const Credentials *c, Bytes *body) {
        int r;

        r = bytes_reserve(body, 128 + 3 * (strlen(c->client_id) + strlen(c->client_secret) + strlen(c->refresh_token)));
        if (r == 0)
                r = text_append_field(body, "grant_type", "refresh_token");
        if (r == 0)
                r = text_append_field(body, "client_id", c->client_id);
        if (r == 0)
                r = text_append_field(body, "client_secret", c->client_secret);
        if (r == 0)
                r = text_append_field(body, "refresh_token", c->refresh_token);
        return r;
}

int credentials_token_request(const Credentials *credentials, usec_t wall, Bytes *ret_body) {
        _cleanup_bytes_ Bytes body = {};
        int r = 0;

        switch (credentials->kind) {
        case CREDENTIALS_SERVICE_ACCOUNT:
                r = append_assertion(credentials, wall, &body);
                break;
        case CREDENTIALS_AUTHORIZED_USER:
                r = append_refresh(credentials, &body);
                break;
        case CREDENTIALS_METADATA:
                break;
        }
        if (r < 0)
                return r;

        *ret_body = bytes_steal(&body);
        return 0;
}
