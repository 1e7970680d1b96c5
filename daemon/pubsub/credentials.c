/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/credentials.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/array.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/text.h"

#define METADATA_HOST "metadata.google.internal"
#define GCLOUD_NAME "application_default_credentials.json"
#define UNIVERSE "googleapis.com"

static void free_list(char **list) {
        for (char **text = list; text && *text; text++)
                (void) secret_free(*text);
        free(list);
}

Credentials *credentials_free(Credentials *c) {
        if (!c)
                return NULL;

        free(c->delegates);
        free(c->impersonation_url);
        free_list(c->subject_headers);
        free(c->subject_field);
        free(c->subject_url);
        free(c->subject_file);
        free(c->subject_token_type);
        free(c->audience);
        (void) secret_free(c->refresh_token);
        (void) secret_free(c->client_secret);
        (void) pem_key_free(c->key);
        free(c->client_id);
        free(c->private_key_id);
        free(c->client_email);
        free(c->quota_project);
        free(c->origin);
        free(c->token_uri);
        free(c);
        return NULL;
}

static _printf_(3, 4) int fail(CredentialsError *error, int r, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
        return r;
}

/* ---- one file ---- */

typedef struct KeyFile {
        Credentials *c;
        const char *path; /* its name in messages */
        CredentialsError *error;
        int result; /* the first error; those after it are ignored */
} KeyFile;

static _printf_(3, 4) void file_fail(KeyFile *f, int r, const char *format, ...) {
        TextRoom words = { .text = f->error->text, .size = sizeof(f->error->text) };
        char what[sizeof(f->error->text)];
        va_list arguments;

        if (f->result < 0)
                return;
        va_start(arguments, format);
        (void) vsnprintf(what, sizeof(what), format, arguments);
        va_end(arguments);
        text_add(&words, "%s: %s", f->path, what);
        f->result = r;
}

static void file_no_memory(KeyFile *f) {
        file_fail(f, -ENOMEM, "out of memory");
}

/* Copies member *key*, or *fallback* when the member is missing. It is an error when *fallback* is NULL as well. */
static void copy_member(KeyFile *f, Json *json, const char *key, const char *fallback, char **ret) {
        const char *value = text_or_null(json_get_string(json, key)) ?: fallback;

        if (!value)
                return file_fail(f, -EBADMSG, "`%s` is missing: use the file as it was downloaded", key);

        *ret = strdup(value);
        if (!*ret)
                file_no_memory(f);
}

/* The same for a URL that signed or secret data is sent to: only https, or http to this machine. */
static void copy_url(KeyFile *f, Json *json, const char *key, const char *fallback, char **ret) {
        copy_member(f, json, key, fallback, ret);
        if (*ret && http_url_check(*ret) != HTTP_URL_OK)
                file_fail(f, -EBADMSG, "`%s` must be an https URL (plain http only to this machine)", key);
}

static void read_key(KeyFile *f, Json *json) {
        const char *pem = json_get_string(json, "private_key");
        int r;

        if (!pem)
                return file_fail(f, -EBADMSG, "`private_key` is missing: use the file as it was downloaded");

        r = pem_key_parse(pem, &f->c->key);
        if (r == -ENOMEM)
                file_no_memory(f);
        else if (r == -EBADMSG && strstr(pem, "\\n"))
                file_fail(f, r,
                        "`private_key` has \\n in place of line breaks (copied by hand?): use the file as it was "
                        "downloaded");
        else if (r < 0)
                file_fail(f, r,
                        "`private_key` is not an RSA key in PEM, or is damaged: use the file as it was downloaded");
}

static void read_service_account(KeyFile *f, Json *json) {
        f->c->kind = CREDENTIALS_SERVICE_ACCOUNT;
        copy_member(f, json, "client_email", NULL, &f->c->client_email);
        copy_member(f, json, "private_key_id", "", &f->c->private_key_id);
        copy_url(f, json, "token_uri", CREDENTIALS_TOKEN_ENDPOINT, &f->c->token_uri);
        read_key(f, json);
}

static void read_authorized_user(KeyFile *f, Json *json) {
        f->c->kind = CREDENTIALS_AUTHORIZED_USER;
        copy_member(f, json, "client_id", NULL, &f->c->client_id);
        copy_member(f, json, "client_secret", NULL, &f->c->client_secret);
        copy_member(f, json, "refresh_token", NULL, &f->c->refresh_token);
        copy_url(f, json, "token_uri", CREDENTIALS_TOKEN_ENDPOINT, &f->c->token_uri);
}

/* ---- an identity of another provider ---- */

/* The members of `headers`, as lines. */
typedef struct Headers {
        char **lines;
        size_t n, allocated;
        int error;
} Headers;

static void add_header(void *userdata, const char *name, const char *value) {
        Headers *headers = userdata;

        if (headers->error == 0)
                headers->error =
                        array_reserve(&headers->lines, &headers->allocated, headers->n + 2, sizeof(*headers->lines));
        if (headers->error < 0)
                return;
        if (text_format(&headers->lines[headers->n], "%s: %s", name, value) < 0)
                headers->error = -ENOMEM;
        else
                headers->n++;
        headers->lines[headers->n] = NULL;
}

static void read_headers(KeyFile *f, Json *source) {
        Headers headers = {};

        json_each_string(json_get(source, "headers"), add_header, &headers);
        f->c->subject_headers = headers.lines;
        if (headers.error < 0)
                file_no_memory(f);
}

/* Whether a token may be fetched from *url*: by https, or by http from this machine or the metadata server. */
static bool url_gives_tokens(const char *url) {
        int check = http_url_check(url);

        return check == HTTP_URL_OK || check == HTTP_URL_METADATA;
}

/* Reads `credential_source`, which says where the other provider's token is. */
static void read_subject(KeyFile *f, Json *source) {
        Json *format = json_get(source, "format");

        if (json_get_string(source, "file"))
                copy_member(f, source, "file", NULL, &f->c->subject_file);
        else if (json_get_string(source, "url") && !json_get_string(source, "environment_id"))
                copy_member(f, source, "url", NULL, &f->c->subject_url);
        else
                file_fail(f, -ENOTSUP,
                        "`credential_source` must have `file` or `url`; programs, certificates and AWS are not "
                        "supported");
        if (f->c->subject_url && !url_gives_tokens(f->c->subject_url))
                file_fail(f, -EBADMSG, "`url` must be an https URL (plain http only to this machine)");
        if (text_equal(json_get_string(format, "type"), "json"))
                copy_member(f, format, "subject_token_field_name", NULL, &f->c->subject_field);
        read_headers(f, source);
}

static void read_external_account(KeyFile *f, Json *json) {
        f->c->kind = CREDENTIALS_EXTERNAL_ACCOUNT;
        if (json_get_string(json, "client_secret") || json_get_string(json, "workforce_pool_user_project"))
                file_fail(f, -ENOTSUP,
                        "an external_account of a workforce pool or with a client of its own is not supported");
        copy_member(f, json, "audience", NULL, &f->c->audience);
        copy_member(f, json, "subject_token_type", NULL, &f->c->subject_token_type);
        copy_url(f, json, "token_url", CREDENTIALS_STS_ENDPOINT, &f->c->token_uri);
        if (json_get_string(json, "service_account_impersonation_url"))
                copy_url(f, json, "service_account_impersonation_url", NULL, &f->c->impersonation_url);
        read_subject(f, json_get(json, "credential_source"));
}

/* ---- by type ---- */

static void read_kind(KeyFile *f, Json *json) {
        const char *type = json_get_string(json, "type"),
                   *universe = text_or_null(json_get_string(json, "universe_domain"));

        if (!type && (json_get(json, "installed") || json_get(json, "web")))
                file_fail(f, -EBADMSG, "this is an OAuth client, not a key: download a service account's key");
        else if (!type)
                file_fail(f, -EBADMSG, "`type` is missing: a service account's key file is expected");
        else if (universe && strcmp(universe, UNIVERSE) != 0)
                file_fail(f, -ENOTSUP, "universe_domain %s is not supported, only " UNIVERSE, universe);
        else if (strcmp(type, "service_account") == 0)
                read_service_account(f, json);
        else if (strcmp(type, "authorized_user") == 0)
                read_authorized_user(f, json);
        else if (strcmp(type, "external_account") == 0)
                read_external_account(f, json);
        else
                file_fail(f, -ENOTSUP,
                        "credentials of type %s are not supported, only service_account, authorized_user, "
                        "external_account and impersonated_service_account",
                        type);
}

/* `gcloud auth application-default login --impersonate-service-account`: `source_credentials` holds the credentials
 * that ask for the service account's token. */
static void read_impersonated(KeyFile *f, Json *json) {
        Json *delegates = json_get(json, "delegates");

        read_kind(f, json_get(json, "source_credentials"));
        free(cleanup_steal(f->c->impersonation_url));
        copy_url(f, json, "service_account_impersonation_url", NULL, &f->c->impersonation_url);
        if (!json_at(delegates, 0))
                return;
        f->c->delegates = json_text(delegates);
        if (!f->c->delegates)
                file_no_memory(f);
}

static void read_quota_project(KeyFile *f, Json *json) {
        copy_member(f, json, "quota_project_id", NULL, &f->c->quota_project);
        for (const char *letter = f->c->quota_project; letter && *letter != '\0'; letter++)
                if (*letter <= ' ' || *letter > '~') /* it becomes a header */
                        file_fail(f, -EBADMSG, "`quota_project_id` is not the id of a project");
}

static void parse_file(KeyFile *f, const char *text, size_t size) {
        _cleanup_(json_freep) Json *json = NULL;
        int r = json_parse(text, size, &json);

        if (r < 0)
                return file_fail(f, r, "%s",
                        r == -ENOMEM ? "out of memory" : "not JSON: a service account's key file is expected");
        if (text_equal(json_get_string(json, "type"), "impersonated_service_account"))
                read_impersonated(f, json);
        else
                read_kind(f, json);
        if (json_get_string(json, "quota_project_id"))
                read_quota_project(f, json);
}

/* *path* is the name of the file in messages. */
static int load_file(const char *file, const char *path, Credentials **ret, CredentialsError *error) {
        _cleanup_(credentials_freep) Credentials *c = calloc(1, sizeof(*c));
        _cleanup_(secret_freep) char *text = NULL;
        KeyFile f = { c, path, error, 0 };
        size_t size;
        int r;

        if (c)
                c->origin = strdup(path);
        r = secret_read_file(file, &text, &size);
        if (r == -EACCES)
                file_fail(&f, r, "may not be read by this user (a unit reads it through LoadCredential=)");
        else if (r == -EILSEQ)
                file_fail(&f, -EBADMSG, "the file is UTF-16; save it as UTF-8");
        else if (r == -EBADMSG || r == -EISDIR || r == -EFBIG)
                file_fail(&f, -EBADMSG, "not a regular file of at most %d KiB", SECRET_SIZE_MAX / 1024);
        else if (r < 0)
                file_fail(&f, r, "cannot be read: %s", strerror(-r));
        else if (!c || !c->origin)
                file_no_memory(&f);
        else
                parse_file(&f, text, size);
        if (f.result == 0)
                *ret = cleanup_steal(c);
        return f.result;
}

/* ---- the search: each step returns NOTHING_THERE when its place is empty ---- */

enum { NOTHING_THERE = 1 };

/* *key* is the row of the configuration that names it, NULL: none, so it may be missing. */
static int try_secret(
        const Config *config, const char *name, const char *key, Credentials **ret, CredentialsError *error) {
        _cleanup_free_ char *path = NULL, *origin = NULL;
        char words[SECRET_WORDS_MAX];
        int r;

        r = secret_find(config, name, &path);
        if (r == -ENOENT && !key)
                return NOTHING_THERE;
        if (r < 0)
                return fail(error, r, "%s%s%.100s %s", key ? key : "", key ? ": " : "", name,
                        secret_explain(config, name, r, words));
        origin = secret_origin(config, name, path);
        return load_file(path, origin ? origin : name, ret, error);
}

static int try_environment(Credentials **ret, CredentialsError *error) {
        const char *path = text_or_null(getenv("GOOGLE_APPLICATION_CREDENTIALS"));

        return path ? load_file(path, path, ret, error) : NOTHING_THERE;
}

static int try_gcloud(Credentials **ret, CredentialsError *error) {
        const char *directory = text_or_null(getenv("CLOUDSDK_CONFIG")), *home = text_or_null(getenv("HOME"));
        _cleanup_free_ char *path = NULL;
        struct stat st;
        int r;

        if (directory)
                r = text_format(&path, "%s/" GCLOUD_NAME, directory);
        else if (home)
                r = text_format(&path, "%s/.config/gcloud/" GCLOUD_NAME, home);
        else
                return NOTHING_THERE;
        if (r < 0)
                return fail(error, r, "out of memory");

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
                return NOTHING_THERE;
        return load_file(path, path, ret, error);
}

/* Whether the firmware says that this is a machine of Google's. google-auth asks it when the metadata server does not
 * answer at once, as in the first seconds of a machine's life. Asking the server here would block, and waiting for ever
 * for one that does not exist would hide that no key was installed. */
static bool machine_is_googles(void) {
        const char *no = getenv("NO_GCE_CHECK");
        _cleanup_bytes_ Bytes product = {};

        if (no && strcasecmp(no, "true") == 0)
                return false;
        return file_load("/sys/class/dmi/id/product_name", strlen("Google"), &product) == 0 &&
               slice_equal(bytes_slice(&product), "Google");
}

static int try_metadata(Credentials **ret, CredentialsError *error) {
        const char *host = text_or_null(getenv("GCE_METADATA_HOST")) ?: text_or_null(getenv("GCE_METADATA_ROOT"));
        _cleanup_(credentials_freep) Credentials *c = NULL;

        if (!host && machine_is_googles())
                host = METADATA_HOST;
        if (!host)
                return NOTHING_THERE;

        c = calloc(1, sizeof(*c));
        if (!c)
                return fail(error, -ENOMEM, "out of memory");

        c->kind = CREDENTIALS_METADATA;
        c->origin = strdup("metadata server");
        (void) text_format(&c->token_uri,
                "http://%s/computeMetadata/v1/instance/service-accounts/default/token?scopes=%s", host,
                CREDENTIALS_SCOPE);
        if (!c->origin || !c->token_uri)
                return fail(error, -ENOMEM, "out of memory");
        if (!url_gives_tokens(c->token_uri))
                return fail(error, -EBADMSG,
                        "$GCE_METADATA_HOST: %s is neither Google's metadata server nor on this machine", host);

        *ret = cleanup_steal(c);
        return 0;
}

static int note_secrets(const Credentials *c) {
        int r;

        r = secrets_note(c->secrets, c->client_secret);
        if (r < 0)
                return r;
        r = secrets_note(c->secrets, c->refresh_token);
        for (char **header = c->subject_headers; r == 0 && header && *header; header++)
                r = secrets_note(c->secrets, strchr(*header, ':') + strlen(": "));
        return r;
}

int credentials_load(const Config *config, Secrets *secrets, Credentials **ret, CredentialsError *ret_error) {
        _cleanup_(credentials_freep) Credentials *c = NULL;
        const char *name = config->pubsub.credentials_file;
        int r = NOTHING_THERE;

        if (name)
                r = try_secret(config, name, "pubsub.credentials_file", &c, ret_error);
        if (r == NOTHING_THERE)
                r = try_environment(&c, ret_error);
        if (r == NOTHING_THERE)
                r = try_secret(config, CREDENTIALS_FILE_DEFAULT, NULL, &c, ret_error);
        if (r == NOTHING_THERE)
                r = try_gcloud(&c, ret_error);
        if (r == NOTHING_THERE)
                r = try_metadata(&c, ret_error);
        if (r == NOTHING_THERE)
                r = fail(ret_error, -ENOENT,
                        "no Google credentials: put the service account's key file into "
                        "%s/credentials/" CREDENTIALS_FILE_DEFAULT ", or name it in `pubsub.credentials_file`",
                        config->directory);
        if (r < 0)
                return r;

        c->secrets = secrets;
        if (note_secrets(c) < 0)
                return fail(ret_error, -ENOMEM, "out of memory");
        *ret = cleanup_steal(c);
        return 0;
}
