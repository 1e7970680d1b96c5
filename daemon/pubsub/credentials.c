/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/credentials.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "lib/http.h"
#include "lib/json.h"

#define METADATA_HOST "metadata.google.internal"
#define DEFAULT_NAME "pubsub-credential.json" /* what the scripts that sensorqd replaces used */
#define GCLOUD_NAME "application_default_credentials.json"
#define UNIVERSE "googleapis.com"

Credentials *credentials_free(Credentials *c) {
        if (!c)
                return NULL;

        (void) secret_free(c->refresh_token);
        (void) secret_free(c->client_secret);
        (void) jws_key_free(c->key);
        free(c->client_id);
        free(c->private_key_id);
        free(c->client_email);
        free(c->quota_project);
        free(c->origin);
        free(c->token_uri);
        free(c);
        return NULL;
}

/* ---- one file ---- */

static _printf_(3, 4) int fail(CredentialsError *error, int r, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
        return r;
}

/* Copies member *key*; *fallback* where it is missing, and an error where that is NULL as well. */
static int copy_member(
        Json *json, const char *key, const char *fallback, const char *path, char **ret, CredentialsError *error) {
        const char *value = json_get_string(json, key);

        if (!value || value[0] == '\0')
                value = fallback;
        if (!value)
                return fail(error, -EBADMSG, "%s: `%s` is missing: use the file as it was downloaded", path, key);

        *ret = strdup(value);
        return *ret ? 0 : fail(error, -ENOMEM, "%s: out of memory", path);
}

static int read_key(Credentials *c, Json *json, const char *path, CredentialsError *error) {
        const char *pem = json_get_string(json, "private_key");
        int r;

        if (!pem)
                return fail(error, -EBADMSG, "%s: `private_key` is missing: use the file as it was downloaded", path);

        r = jws_key_parse(pem, &c->key);
        if (r == -EBADMSG && strstr(pem, "\\n"))
                return fail(error, r,
                        "%s: `private_key` has \\n in place of line breaks (copied by hand?): use the file as it was "
                        "downloaded",
                        path);
        if (r < 0)
                return fail(error, r,
                        "%s: `private_key` is no RSA key in PEM, or is damaged: use the file as it was downloaded",
                        path);
        return 0;
}

static int read_service_account(Credentials *c, Json *json, const char *path, CredentialsError *error) {
        int r;

        c->kind = CREDENTIALS_SERVICE_ACCOUNT;
        r = copy_member(json, "client_email", NULL, path, &c->client_email, error);
        if (r < 0)
                return r;

        r = copy_member(json, "private_key_id", "", path, &c->private_key_id, error);
        if (r < 0)
                return r;

        return read_key(c, json, path, error);
}

static int read_authorized_user(Credentials *c, Json *json, const char *path, CredentialsError *error) {
        int r;

        c->kind = CREDENTIALS_AUTHORIZED_USER;
        r = copy_member(json, "client_id", NULL, path, &c->client_id, error);
        if (r < 0)
                return r;

        r = copy_member(json, "client_secret", NULL, path, &c->client_secret, error);
        if (r < 0)
                return r;

        return copy_member(json, "refresh_token", NULL, path, &c->refresh_token, error);
}

static int read_kind(Credentials *c, Json *json, const char *path, CredentialsError *error) {
        const char *type = json_get_string(json, "type"), *universe = json_get_string(json, "universe_domain");

        if (!type && (json_get(json, "installed") || json_get(json, "web")))
                return fail(error, -EBADMSG, "%s: this is an OAuth client, not a key: download a service account's key",
                        path);
        if (!type)
                return fail(error, -EBADMSG, "%s: `type` is missing: a service account's key file is expected", path);
        if (universe && universe[0] != '\0' && strcmp(universe, UNIVERSE) != 0)
                return fail(error, -ENOTSUP, "%s: universe_domain %s is not supported, only " UNIVERSE, path, universe);

        if (strcmp(type, "service_account") == 0)
                return read_service_account(c, json, path, error);
        if (strcmp(type, "authorized_user") == 0)
                return read_authorized_user(c, json, path, error);
        return fail(error, -ENOTSUP,
                "%s: credentials of type %s are not supported, only service_account and authorized_user", path, type);
}

/* Everything that is signed or secret goes there, so the file may not name just any place. */
static int check_token_uri(const Credentials *c, const char *path, CredentialsError *error) {
        if (http_url_check(c->token_uri) != HTTP_URL_OK)
                return fail(error, -EBADMSG, "%s: `token_uri` must be an https URL (plain http only to this machine)",
                        path);
        return 0;
}

static int parse_file(Credentials *c, const char *path, const char *text, size_t size, CredentialsError *error) {
        _cleanup_(json_freep) Json *json = NULL;
        int r;

        r = json_parse(text, size, &json);
        if (r < 0)
                return fail(error, r, "%s: %s", path,
                        r == -ENOMEM ? "out of memory" : "not JSON: a service account's key file is expected");

        r = read_kind(c, json, path, error);
        if (r < 0)
                return r;

        r = copy_member(json, "token_uri", CREDENTIALS_TOKEN_ENDPOINT, path, &c->token_uri, error);
        if (r < 0)
                return r;
        r = check_token_uri(c, path, error);
        if (r < 0)
                return r;

        if (!json_get_string(json, "quota_project_id"))
                return 0;
        r = copy_member(json, "quota_project_id", NULL, path, &c->quota_project, error);
        if (r < 0)
                return r;
        for (const char *letter = c->quota_project; *letter != '\0'; letter++)
                if (*letter <= ' ' || *letter > '~') /* it becomes a header */
                        return fail(error, -EBADMSG, "%s: `quota_project_id` is not the id of a project", path);
        return 0;
}

static int load_file(const char *path, Credentials **ret, CredentialsError *error) {
        _cleanup_(credentials_freep) Credentials *c = NULL;
        _cleanup_(secret_freep) char *text = NULL;
        size_t size;
        int r;

        r = secret_read_file(path, &text, &size);
        if (r == -EACCES)
                return fail(
                        error, r, "%s: may not be read by this user (a unit reads it through LoadCredential=)", path);
        if (r == -EBADMSG || r == -EISDIR)
                return fail(error, -EBADMSG, "%s: no regular file of at most %d KiB", path, SECRET_SIZE_MAX / 1024);
        if (r < 0)
                return fail(error, r, "%s: cannot be read: %s", path, strerror(-r));

        c = calloc(1, sizeof(*c));
        if (!c)
                return fail(error, -ENOMEM, "%s: out of memory", path);
        c->origin = strdup(path);
        if (!c->origin)
                return fail(error, -ENOMEM, "%s: out of memory", path);

        r = parse_file(c, path, text, size, error);
        if (r < 0)
                return r;

        *ret = cleanup_steal(c);
        return 0;
}

/* ---- the search: each step answers 1 when there is nothing at its place ---- */

enum { NOTHING_THERE = 1 };

static int try_configured(const Config *config, Credentials **ret, CredentialsError *error) {
        const char *name = config->pubsub.credentials_file;
        char words[SECRET_WORDS_MAX];
        _cleanup_free_ char *path = NULL;
        int r;

        if (!name)
                return NOTHING_THERE;

        r = secret_find(config, name, &path);
        if (r < 0)
                return fail(
                        error, r, "pubsub.credentials_file: %.100s %s", name, secret_explain(config, name, r, words));
        return load_file(path, ret, error);
}

static int try_environment(Credentials **ret, CredentialsError *error) {
        const char *path = getenv("GOOGLE_APPLICATION_CREDENTIALS");

        if (!path || path[0] == '\0')
                return NOTHING_THERE;

        return load_file(path, ret, error);
}

static int try_default_name(const Config *config, Credentials **ret, CredentialsError *error) {
        char words[SECRET_WORDS_MAX];
        _cleanup_free_ char *path = NULL;
        int r;

        r = secret_find(config, DEFAULT_NAME, &path);
        if (r == -ENOENT)
                return NOTHING_THERE;
        if (r < 0)
                return fail(error, r, DEFAULT_NAME " %s", secret_explain(config, DEFAULT_NAME, r, words));
        return load_file(path, ret, error);
}

static int try_gcloud(Credentials **ret, CredentialsError *error) {
        const char *directory = getenv("CLOUDSDK_CONFIG"), *home = getenv("HOME");
        _cleanup_free_ char *path = NULL;
        struct stat st;
        int n;

        if (directory && directory[0] != '\0')
                n = asprintf(&path, "%s/" GCLOUD_NAME, directory);
        else if (home && home[0] != '\0')
                n = asprintf(&path, "%s/.config/gcloud/" GCLOUD_NAME, home);
        else
                return NOTHING_THERE;
        if (n < 0)
                return fail(error, -ENOMEM, "out of memory");

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
                return NOTHING_THERE;
        return load_file(path, ret, error);
}

/* What google-auth falls back to when the metadata server does not answer at once, as happens in the first seconds of a
 * machine's life. Asking it here would block, and waiting for it for ever where there is none would only hide that no
 * key was installed. */
static bool machine_is_googles(void) {
        const char *no = getenv("NO_GCE_CHECK");
        char product[64] = "";
        FILE *file;

        if (no && strcasecmp(no, "true") == 0)
                return false;

        file = fopen("/sys/class/dmi/id/product_name", "re");
        if (!file)
                return false;
        (void) !fgets(product, sizeof(product), file);
        (void) fclose(file);
        return strncmp(product, "Google", strlen("Google")) == 0;
}

static int try_metadata(Credentials **ret, CredentialsError *error) {
        const char *host = getenv("GCE_METADATA_HOST");
        _cleanup_(credentials_freep) Credentials *c = NULL;
        int r;

        if (!host || host[0] == '\0')
                host = getenv("GCE_METADATA_ROOT");
        if (!host || host[0] == '\0')
                host = machine_is_googles() ? METADATA_HOST : NULL;
        if (!host)
                return NOTHING_THERE;

        c = calloc(1, sizeof(*c));
        if (!c)
                return fail(error, -ENOMEM, "out of memory");

        c->kind = CREDENTIALS_METADATA;
        c->origin = strdup("metadata server");
        if (asprintf(&c->token_uri, "http://%s/computeMetadata/v1/instance/service-accounts/default/token?scopes=%s",
                    host, CREDENTIALS_SCOPE) < 0)
                c->token_uri = NULL;
        if (!c->origin || !c->token_uri)
                return fail(error, -ENOMEM, "out of memory");
        r = http_url_check(c->token_uri);
        if (r != HTTP_URL_OK && r != HTTP_URL_METADATA)
                return fail(error, -EBADMSG,
                        "$GCE_METADATA_HOST: %s is neither Google's metadata server nor on this machine", host);

        *ret = cleanup_steal(c);
        return 0;
}

int credentials_load(const Config *config, Secrets *secrets, Credentials **ret, CredentialsError *ret_error) {
        _cleanup_(credentials_freep) Credentials *c = NULL;
        int r;

        r = try_configured(config, &c, ret_error);
        if (r == NOTHING_THERE)
                r = try_environment(&c, ret_error);
        if (r == NOTHING_THERE)
                r = try_default_name(config, &c, ret_error);
        if (r == NOTHING_THERE)
                r = try_gcloud(&c, ret_error);
        if (r == NOTHING_THERE)
                r = try_metadata(&c, ret_error);
        if (r == NOTHING_THERE)
                r = fail(ret_error, -ENOENT,
                        "no Google credentials: put the service account's key file into %s/credentials/" DEFAULT_NAME
                        ", or name it in `pubsub.credentials_file`",
                        config->directory);
        if (r < 0)
                return r;

        c->secrets = secrets;
        r = secrets_note(secrets, c->client_secret);
        if (r < 0)
                return fail(ret_error, r, "out of memory");
        r = secrets_note(secrets, c->refresh_token);
        if (r < 0)
                return fail(ret_error, r, "out of memory");
        *ret = cleanup_steal(c);
        return 0;
}
