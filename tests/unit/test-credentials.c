/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/json.h"
#include "pubsub/credentials.h"

#define WALL (UINT64_C(1795501658) * USEC_PER_SEC)

typedef struct Fixture {
        char directory[64], path[128];
        Config config;
        EVP_PKEY *key;
        char *pem; /* as JSON text, with its quotes */
        Credentials *credentials;
        CredentialsError error;
} Fixture;

static const char *const variables[] = {
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CREDENTIALS_DIRECTORY",
        "CLOUDSDK_CONFIG",
        "HOME",
        "GCE_METADATA_HOST",
        "GCE_METADATA_ROOT",
};

static char *pem_as_json(EVP_PKEY *key, bool traditional) {
        BIO *bio = BIO_new(BIO_s_mem());
        Bytes json = {};
        char *text;
        long n;

        assert_int_equal(traditional ? PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL)
                                     : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL),
                1);
        n = BIO_get_mem_data(bio, &text);
        assert_int_equal(bytes_append_json_string(&json, text, (size_t) n), 0);
        BIO_free(bio);
        return json.data;
}

static int set_up_key(void **state) {
        static Fixture f;

        f.key = EVP_RSA_gen(2048);
        assert_non_null(f.key);
        f.pem = pem_as_json(f.key, false);
        *state = &f;
        return 0;
}

static int tear_down_key(void **state) {
        Fixture *f = *state;

        EVP_PKEY_free(f->key);
        free(f->pem);
        return 0;
}

static int set_up(void **state) {
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(variables); i++)
                assert_int_equal(unsetenv(variables[i]), 0);
        assert_int_equal(setenv("NO_GCE_CHECK", "true", 1), 0);
        (void) snprintf(f->directory, sizeof(f->directory), "/tmp/test-credentials.XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        f->config = (Config){ .directory = f->directory };
        f->credentials = NULL;
        f->error.text[0] = '\0';
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;
        char command[128];

        f->credentials = credentials_free(f->credentials);
        (void) snprintf(command, sizeof(command), "rm -r %s", f->directory);
        assert_int_equal(system(command), 0);
        return 0;
}

/* Writes DIRECTORY/NAME; directories on the way are made. Returns the path. */
static const char *write_file(Fixture *f, const char *name, const char *text) {
        FILE *file;

        (void) snprintf(f->path, sizeof(f->path), "%s/%s", f->directory, name);
        for (char *slash = f->path + strlen(f->directory) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                (void) mkdir(f->path, 0700);
                *slash = '/';
        }
        file = fopen(f->path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        return f->path;
}

/* A service account's file with more members, each with a comma before it. */
static const char *write_service_account(Fixture *f, const char *name, const char *more) {
        char text[8192];

        (void) snprintf(text, sizeof(text),
                "{\"type\":\"service_account\",\"client_email\":\"a@p.iam.gserviceaccount.com\",\"private_key_id\":\"kid1\",\"private_"
                "key\":%s%s}",
                f->pem, more);
        return write_file(f, name, text);
}

/* The body of the request for an access token. */
static int token_request(const Credentials *c, usec_t wall, Bytes *ret_body) {
        HttpSpec spec = {};
        int r = credentials_request(c, CREDENTIALS_EXCHANGE, NULL, wall, &spec);

        *ret_body = spec.body;
        return r;
}

static void load(Fixture *f) {
        f->credentials = credentials_free(f->credentials);
        f->error.text[0] = '\0';
        if (credentials_load(&f->config, NULL, &f->credentials, &f->error) < 0)
                fail_msg("%s", f->error.text);
}

static void check_load_fails(Fixture *f, int error, const char *words) {
        Credentials *c = NULL;

        f->error.text[0] = '\0';
        assert_int_equal(credentials_load(&f->config, NULL, &c, &f->error), error);
        assert_null(c);
        if (!strstr(f->error.text, words))
                fail_msg("\"%s\" does not say \"%s\"", f->error.text, words);
}

static void check_text_fails(Fixture *f, const char *text, int error, const char *words) {
        f->config.pubsub.credentials_file = (char *) "x.json";
        (void) write_file(f, "x.json", text);
        check_load_fails(f, error, words);
        assert_non_null(strstr(f->error.text, "x.json: "));
        assert_null(strstr(f->error.text, "secret"));
}

/* ---- files ---- */

static void test_service_account(void **state) {
        Fixture *f = *state;

        f->config.pubsub.credentials_file = (char *) "key.json";
        (void) write_service_account(f, "key.json", "");
        load(f);
        assert_int_equal(f->credentials->kind, CREDENTIALS_SERVICE_ACCOUNT);
        assert_string_equal(f->credentials->client_email, "a@p.iam.gserviceaccount.com");
        assert_string_equal(f->credentials->private_key_id, "kid1");
        assert_string_equal(f->credentials->token_uri, "https://oauth2.googleapis.com/token");
        assert_string_equal(f->credentials->origin, f->path);
        assert_null(f->credentials->quota_project);
        assert_non_null(f->credentials->key);

        (void) write_service_account(f, "key.json",
                ",\"token_uri\":\"http://127.0.0.1:9/"
                "token\",\"quota_project_id\":\"q\",\"universe_domain\":\"googleapis.com\",\"new\":[1]");
        load(f);
        assert_string_equal(f->credentials->token_uri, "http://127.0.0.1:9/token");
        assert_string_equal(f->credentials->quota_project, "q");
}

static void test_traditional_key(void **state) {
        Fixture *f = *state;
        char *pkcs8 = f->pem;

        f->pem = pem_as_json(f->key, true);
        f->config.pubsub.credentials_file = (char *) "key.json";
        (void) write_service_account(f, "key.json", "");
        load(f);
        assert_non_null(f->credentials->key);
        free(f->pem);
        f->pem = pkcs8;
}

static void test_authorized_user(void **state) {
        Fixture *f = *state;

        f->config.pubsub.credentials_file = (char *) "user.json";
        (void) write_file(f, "user.json",
                "\xef\xbb\xbf{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"s\",\"refresh_token\":\"r\",\"quota_project_id\":"
                "\"mine\",\"account\":\"\"}");
        load(f);
        assert_int_equal(f->credentials->kind, CREDENTIALS_AUTHORIZED_USER);
        assert_string_equal(f->credentials->token_uri, "https://oauth2.googleapis.com/token");
        assert_string_equal(f->credentials->quota_project, "mine");
        assert_string_equal(f->credentials->refresh_token, "r");
}

#define EXTERNAL(source, more)                                                                                                                       \
        "{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/pool\",\"subject_token_type\":\"urn:ietf:params:oauth:token-type:jwt\"," \
        "\"credential_source\":" source more "}"

/* The identity in a file is read for each exchange, since it rotates. */
static void test_external_account_file(void **state) {
        Fixture *f = *state;
        char text[1000], subject[200];
        Bytes body = {};

        (void) snprintf(subject, sizeof(subject), "%s", write_file(f, "identity", "eyJ.first\n"));
        (void) snprintf(text, sizeof(text), "\xef\xbb\xbf" EXTERNAL("{\"file\":\"%s\"}", ""), subject);
        f->config.pubsub.credentials_file = (char *) "external.json";
        (void) write_file(f, "external.json", text);
        load(f);
        assert_int_equal(f->credentials->kind, CREDENTIALS_EXTERNAL_ACCOUNT);
        assert_string_equal(f->credentials->token_uri, "https://sts.googleapis.com/v1/token");
        assert_int_equal(credentials_first_step(f->credentials), CREDENTIALS_EXCHANGE);
        assert_int_equal(credentials_next_step(f->credentials, CREDENTIALS_EXCHANGE), CREDENTIALS_DONE);
        assert_int_equal(token_request(f->credentials, WALL, &body), 0);
        assert_string_equal(body.data,
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3A"
                "token-type%3Aaccess_token&audience=%2F%2Fiam.googleapis.com%2Fpool&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fpubsub"
                "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=eyJ.first");
        bytes_done(&body);
        (void) write_file(f, "identity", "{\"access_token\":\"eyJ.second\"}");
        f->credentials->subject_field = strdup("access_token");
        assert_int_equal(token_request(f->credentials, WALL, &body), 0);
        assert_non_null(strstr(body.data, "&subject_token=eyJ.second"));
        bytes_done(&body);
        (void) write_file(f, "identity", " \n");
        assert_int_equal(token_request(f->credentials, WALL, &body), -EBADMSG);
        assert_int_equal(unlink(subject), 0);
        assert_int_equal(token_request(f->credentials, WALL, &body), -ENOENT);
}

static void test_external_account_url(void **state) {
        Fixture *f = *state;
        HttpSpec spec = {};

        f->config.pubsub.credentials_file = (char *) "external.json";
        (void) write_file(f, "external.json",
                EXTERNAL(
                        "{\"url\":\"http://169.254.169.254/identity\",\"headers\":{\"Metadata\":\"True\",\"X-Other\":\"2\"},"
                        "\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"access_token\"}}",
                        ",\"service_account_impersonation_url\":\"https://iamcredentials.googleapis.com/v1/x:generateAccessToken\""));
        load(f);
        assert_int_equal(credentials_first_step(f->credentials), CREDENTIALS_SUBJECT);
        assert_int_equal(credentials_request(f->credentials, CREDENTIALS_SUBJECT, NULL, WALL, &spec), 0);
        assert_string_equal(spec.method, "GET");
        assert_string_equal(spec.url, "http://169.254.169.254/identity");
        assert_string_equal(spec.headers[0], "Metadata: True");
        assert_string_equal(spec.headers[1], "X-Other: 2");
        assert_null(spec.headers[2]);
        spec = (HttpSpec){};
        assert_int_equal(credentials_next_step(f->credentials, CREDENTIALS_SUBJECT), CREDENTIALS_EXCHANGE);
        assert_int_equal(credentials_request(f->credentials, CREDENTIALS_EXCHANGE, "eyJ", WALL, &spec), 0);
        assert_non_null(strstr(spec.body.data, "cloud-platform"));
        assert_non_null(strstr(spec.body.data, "&subject_token=eyJ"));
        bytes_done(&spec.body);
        spec = (HttpSpec){};
        assert_int_equal(credentials_next_step(f->credentials, CREDENTIALS_EXCHANGE), CREDENTIALS_IMPERSONATE);
        assert_int_equal(credentials_request(f->credentials, CREDENTIALS_IMPERSONATE, "ya29.x", WALL, &spec), 0);
        assert_string_equal(spec.url, "https://iamcredentials.googleapis.com/v1/x:generateAccessToken");
        assert_string_equal(spec.bearer, "ya29.x");
        assert_string_equal(spec.body.data,
                "{\"delegates\":[],\"scope\":[\"https://www.googleapis.com/auth/pubsub\"],\"lifetime\":\"3600s\"}");
        bytes_done(&spec.body);
        assert_int_equal(credentials_next_step(f->credentials, CREDENTIALS_IMPERSONATE), CREDENTIALS_DONE);
}

static void test_impersonated(void **state) {
        Fixture *f = *state;
        HttpSpec spec = {};

        f->config.pubsub.credentials_file = (char *) "impersonated.json";
        (void) write_file(f, "impersonated.json",
                "{\"type\":\"impersonated_service_account\",\"delegates\":[\"projects/-/serviceAccounts/b\"],\"quota_project_id\":\"payer\","
                "\"service_account_impersonation_url\":\"https://iamcredentials.googleapis.com/v1/y:generateAccessToken\","
                "\"source_credentials\":{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s\",\"refresh_token\":\"r\"}}");
        load(f);
        assert_int_equal(f->credentials->kind, CREDENTIALS_AUTHORIZED_USER);
        assert_string_equal(f->credentials->quota_project, "payer");
        assert_int_equal(credentials_next_step(f->credentials, CREDENTIALS_EXCHANGE), CREDENTIALS_IMPERSONATE);
        assert_int_equal(credentials_request(f->credentials, CREDENTIALS_IMPERSONATE, "ya29.x", WALL, &spec), 0);
        assert_ptr_equal(strstr(spec.body.data, "{\"delegates\":[\"projects/-/serviceAccounts/b\"],"), spec.body.data);
        bytes_done(&spec.body);
}

static void test_bad_files(void **state) {
        Fixture *f = *state;

        check_text_fails(f, "", -EBADMSG, "not JSON");
        check_text_fails(f, "{", -EBADMSG, "not JSON");
        check_text_fails(f, "[]", -EBADMSG, "`type` is missing");
        check_text_fails(f, "{\"type\":7}", -EBADMSG, "`type` is missing");
        check_text_fails(f, "{\"installed\":{\"client_secret\":\"secret\"}}", -EBADMSG, "this is an OAuth client");
        check_text_fails(
                f, "{\"type\":\"gdch_service_account\"}", -ENOTSUP, "type gdch_service_account are not supported");
        check_text_fails(f, "{\"type\":\"impersonated_service_account\"}", -EBADMSG, "`type` is missing");
        check_text_fails(f, "{\"type\":\"external_account\"}", -EBADMSG, "`audience` is missing");
        check_text_fails(f, EXTERNAL("{\"executable\":{\"command\":\"/bin/x\"}}", ""), -ENOTSUP,
                "programs, certificates and AWS are not supported");
        check_text_fails(
                f, EXTERNAL("{\"environment_id\":\"aws1\",\"url\":\"http://169.254.169.254/x\"}", ""), -ENOTSUP, "AWS");
        check_text_fails(
                f, EXTERNAL("{\"url\":\"http://idp.example/token\"}", ""), -EBADMSG, "`url` must be an https URL");
        check_text_fails(f, EXTERNAL("{\"file\":\"/t\"}", ",\"token_url\":\"http://evil.example/\""), -EBADMSG,
                "`token_url` must be an https URL");
        check_text_fails(f, EXTERNAL("{\"file\":\"/t\"}", ",\"client_secret\":\"hush\""), -ENOTSUP, "workforce pool");
        check_text_fails(f, "\xff\xfe{", -EBADMSG, "UTF-16");
        check_text_fails(f,
                "{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"s\",\"refresh_token\":\"r\",\"quota_project_id\":\"a\\nB: c\"}",
                -EBADMSG, "`quota_project_id` is not the id of a project");
        check_text_fails(f, "\xff\xfe{", -EBADMSG, "the file is UTF-16; save it as UTF-8");
        check_text_fails(
                f, "{\"type\":\"service_account\",\"private_key\":\"secret\"}", -EBADMSG, "`client_email` is missing");
        check_text_fails(
                f, "{\"type\":\"service_account\",\"client_email\":\"e\"}", -EBADMSG, "`private_key` is missing");
        check_text_fails(f, "{\"type\":\"service_account\",\"client_email\":\"e\",\"private_key\":\"secret\"}",
                -EBADMSG, "is damaged");
        check_text_fails(f,
                "{\"type\":\"service_account\",\"client_email\":\"e\",\"private_key\":\"-----BEGIN PRIVATE KEY-----\\\\nsecret\\\\n\"}",
                -EBADMSG, "has \\n in place of line breaks");
        check_text_fails(f, "{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"secret\"}", -EBADMSG,
                "`refresh_token` is missing");
        check_text_fails(f, "{\"type\":\"service_account\",\"universe_domain\":\"other.example\"}", -ENOTSUP,
                "universe_domain other.example");
}

/* P10: what is signed or secret goes to token_uri. */
static void test_token_uri(void **state) {
        static const char *const uris[] = { "http://example.com/token", "ftp://x", "https://u:p@x/" };
        Fixture *f = *state;
        char more[128];

        f->config.pubsub.credentials_file = (char *) "key.json";
        for (size_t i = 0; i < ELEMENTSOF(uris); i++) {
                (void) snprintf(more, sizeof(more), ",\"token_uri\":\"%s\"", uris[i]);
                (void) write_service_account(f, "key.json", more);
                check_load_fails(f, -EBADMSG, "`token_uri` must be an https URL");
        }
}

/* ---- the search ---- */

static void test_configured_wins(void **state) {
        Fixture *f = *state;

        f->config.pubsub.credentials_file = (char *) "mine.json";
        assert_int_equal(setenv("GOOGLE_APPLICATION_CREDENTIALS", write_service_account(f, "other.json", ""), 1), 0);
        (void) write_service_account(f, "credentials/mine.json", "");
        load(f);
        assert_string_equal(f->credentials->origin, f->path);
}

/* systemd's copy of a file of the directory credential: messages name the file to mend. */
static void test_origin_of_a_copy(void **state) {
        char copies[128], original[160];
        Fixture *f = *state;

        (void) snprintf(copies, sizeof(copies), "%s/run", f->directory);
        (void) snprintf(original, sizeof(original), "%s/credentials/mine.json", f->directory);
        f->config.pubsub.credentials_file = (char *) "mine.json";
        (void) write_service_account(f, "run/sensorqd_mine.json", "");
        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", copies, 1), 0);
        load(f);
        assert_string_equal(f->credentials->origin, original);
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

/* What was named is not sought elsewhere. */
static void test_named_is_missing(void **state) {
        Fixture *f = *state;

        (void) write_service_account(f, "pubsub-credential.json", "");
        assert_int_equal(setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json", 1), 0);
        check_load_fails(f, -ENOENT, "/nonexistent/key.json: ");
        f->config.pubsub.credentials_file = (char *) "typo.json";
        check_load_fails(f, -ENOENT, "pubsub.credentials_file: typo.json is neither in");
        check_load_fails(f, -ENOENT, "If a drop-in hands it to the unit, verbs do not see it");
        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->directory, 1), 0);
        check_load_fails(
                f, -ENOENT, "pubsub.credentials_file: typo.json is neither among the unit's credentials nor in");
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        f->config.pubsub.credentials_file = (char *) "/nonexistent.json";
        check_load_fails(f, -ENOENT, "pubsub.credentials_file: /nonexistent.json does not exist");
        f->config.pubsub.credentials_file = f->directory;
        check_load_fails(f, -EBADMSG, "not a regular file");
}

static void test_search_order(void **state) {
        Fixture *f = *state;
        char home[128], cloud[128];

        (void) snprintf(home, sizeof(home), "%s/home", f->directory);
        (void) snprintf(cloud, sizeof(cloud), "%s/cloud", f->directory);
        check_load_fails(f, -ENOENT, "no Google credentials: put the service account's key file into ");

        assert_int_equal(setenv("HOME", home, 1), 0);
        check_load_fails(f, -ENOENT, "no Google credentials");
        (void) write_service_account(f, "home/.config/gcloud/application_default_credentials.json", "");
        load(f);
        assert_string_equal(f->credentials->origin, f->path);

        assert_int_equal(setenv("CLOUDSDK_CONFIG", cloud, 1), 0);
        check_load_fails(f, -ENOENT, "no Google credentials");
        (void) write_service_account(f, "cloud/application_default_credentials.json", "");
        load(f);
        assert_string_equal(f->credentials->origin, f->path);

        (void) write_service_account(f, "pubsub-credential.json", "");
        load(f);
        assert_string_equal(f->credentials->origin, f->path);

        assert_int_equal(setenv("GOOGLE_APPLICATION_CREDENTIALS", write_service_account(f, "named.json", ""), 1), 0);
        load(f);
        assert_string_equal(f->credentials->origin, f->path);
}

static void test_metadata_server(void **state) {
        Fixture *f = *state;
        Bytes body = {};

        assert_int_equal(setenv("GCE_METADATA_ROOT", "localhost:1", 1), 0);
        assert_int_equal(setenv("GCE_METADATA_HOST", "localhost:8091", 1), 0);
        load(f);
        assert_int_equal(f->credentials->kind, CREDENTIALS_METADATA);
        assert_string_equal(f->credentials->token_uri,
                "http://localhost:8091/computeMetadata/v1/instance/service-accounts/default/"
                "token?scopes=https://www.googleapis.com/auth/pubsub");
        assert_string_equal(f->credentials->origin, "metadata server");
        assert_int_equal(token_request(f->credentials, WALL, &body), 0);
        assert_null(body.data);

        assert_int_equal(setenv("GCE_METADATA_HOST", "evil.example", 1), 0);
        check_load_fails(f, -EBADMSG, "evil.example is neither Google's metadata server nor on this machine");
}

/* ---- requests ---- */

/* Splits the assertion in *body*; *ret_claims* and *ret_header* are the caller's. */
static void check_assertion(Fixture *f, const Bytes *body, Json **ret_header, Json **ret_claims) {
        static const char grant[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        char *header, *claims, *signature;
        size_t signed_size, size;

        assert_memory_equal(body->data, grant, strlen(grant));
        header = strdup(body->data + strlen(grant));
        signed_size = (size_t) (strrchr(header, '.') - header);
        claims = strchr(header, '.') + 1;
        signature = header + signed_size + 1;

        assert_int_equal(bytes_decode_base64(signature, strlen(signature), signature, &size), 0);
        assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, f->key), 1);
        assert_int_equal(
                EVP_DigestVerify(ctx, (unsigned char *) signature, size, (unsigned char *) header, signed_size), 1);
        EVP_MD_CTX_free(ctx);

        assert_int_equal(bytes_decode_base64(claims, (size_t) (header + signed_size - claims), claims, &size), 0);
        assert_int_equal(json_parse(claims, size, ret_claims), 0);
        assert_int_equal(bytes_decode_base64(header, (size_t) (claims - 1 - header), header, &size), 0);
        assert_int_equal(json_parse(header, size, ret_header), 0);
        free(header);
}

static void test_assertion(void **state) {
        _cleanup_(json_freep) Json *header = NULL, *claims = NULL;
        Fixture *f = *state;
        int64_t issued, expires;
        Bytes body = {};

        f->config.pubsub.credentials_file = (char *) "key.json";
        (void) write_service_account(f, "key.json", ",\"token_uri\":\"https://oauth2.example.p.googleapis.com/token\"");
        load(f);
        assert_int_equal(token_request(f->credentials, WALL, &body), 0);
        check_assertion(f, &body, &header, &claims);
        bytes_done(&body);

        assert_string_equal(json_get_string(header, "alg"), "RS256");
        assert_string_equal(json_get_string(header, "typ"), "JWT");
        assert_string_equal(json_get_string(header, "kid"), "kid1");
        assert_string_equal(json_get_string(claims, "iss"), "a@p.iam.gserviceaccount.com");
        assert_string_equal(json_get_string(claims, "aud"), "https://oauth2.googleapis.com/token");
        assert_string_equal(json_get_string(claims, "scope"), "https://www.googleapis.com/auth/pubsub");
        assert_null(json_get(claims, "sub"));
        assert_true(json_get_int(claims, "iat", &issued));
        assert_true(json_get_int(claims, "exp", &expires));
        assert_true((usec_t) issued <= WALL / USEC_PER_SEC && (usec_t) issued + 60 >= WALL / USEC_PER_SEC);
        assert_true(expires - issued > 3000 && expires - issued <= 3600);
}

/* A machine whose clock is at the epoch, and names that want escaping. */
static void test_odd_assertion(void **state) {
        _cleanup_(json_freep) Json *header = NULL, *claims = NULL;
        Fixture *f = *state;
        char text[8192];
        int64_t issued;
        Bytes body = {};

        f->config.pubsub.credentials_file = (char *) "key.json";
        (void) snprintf(text, sizeof(text),
                "{\"type\":\"service_account\",\"client_email\":\"a\\\"b\\\\c\",\"private_key\":%s}", f->pem);
        (void) write_file(f, "key.json", text);
        load(f);
        assert_int_equal(token_request(f->credentials, 5 * USEC_PER_SEC, &body), 0);
        check_assertion(f, &body, &header, &claims);
        bytes_done(&body);
        assert_null(json_get(header, "kid"));
        assert_string_equal(json_get_string(claims, "iss"), "a\"b\\c");
        assert_true(json_get_int(claims, "iat", &issued));
        assert_int_equal(issued, 0);
}

static void test_refresh_request(void **state) {
        Fixture *f = *state;
        Bytes body = {};

        f->config.pubsub.credentials_file = (char *) "user.json";
        (void) write_file(f, "user.json",
                "{\"type\":\"authorized_user\",\"client_id\":\"1-a.apps\",\"client_secret\":\"s+&=\",\"refresh_token\":\"1//x y\\u00fc\"}");
        load(f);
        assert_int_equal(token_request(f->credentials, WALL, &body), 0);
        assert_string_equal(body.data,
                "grant_type=refresh_token&client_id=1-a.apps&client_secret=s%2B%26%3D&refresh_token=1%2F%2Fx%20y%C3%BC");
        bytes_done(&body);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_service_account, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_traditional_key, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_authorized_user, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_external_account_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_external_account_url, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_impersonated, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bad_files, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_token_uri, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_configured_wins, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_origin_of_a_copy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_named_is_missing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_search_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_metadata_server, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_assertion, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_odd_assertion, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refresh_request, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, set_up_key, tear_down_key);
}
