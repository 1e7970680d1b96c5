/* SPDX-License-Identifier: Apache-2.0 */
/* Readings that others POST to us: an object, an array, NDJSON or a form. A GET has a form in its URL, for devices that
 * can only call one. The answer 200 is sent only when the whole body is on disk (P12); until then the client waits. A
 * body with an error in any part is refused as a whole, so that its sender can correct it. A body with an
 * Idempotency-Key is stored once, however often it is sent. */
#include <stdio.h>
#include <stdlib.h>

#include "config-place.h"
#include "lib/array.h"
#include "lib/backoff.h"
#include "lib/crypto.h"
#include "lib/gzip.h"
#include "lib/listen-address.h"
#include "lib/text.h"
#include "publish/shape.h"
#include "publish/source.h"
#include "sources/http-push-body.h"
#include "web-listen.h"

#define BODY_MAX_DEFAULT "1MiB"
#define KEY_MAX 255 /* bytes of an Idempotency-Key */
#define WORDS_MAX 160
#define TYPE_JSON "application/json"
#define TYPE_LINES "application/x-ndjson"
#define TYPE_FORM "application/x-www-form-urlencoded"
#define RETRY_AFTER_SEC "30"
#define LISTEN_RETRY_MAX_USEC USEC_PER_MINUTE
#define REFUSED_RETRY_USEC USEC_PER_SEC /* told; it is tried sooner, or when a connection ends */

typedef enum PushAnswer { PUSH_COUNT, PUSH_OWNTRACKS } PushAnswer;

typedef struct PushConfig {
        char *address, *path;
        ConfigSecrets tokens;
        char **hosts; /* NULL at the end; NULL: none */
        uint64_t max_body;
        int answer;    /* PushAnswer */
        ConfigTls tls; /* moves to the next two */
        char *certificate_file, *key_file;
        bool allow_plain;
        ShapeConfig reading;
} PushConfig;

/* A request whose readings are being stored. */
typedef struct PushRequest {
        ListenRequest *request;
        size_t n;
} PushRequest;

typedef struct Push {
        SourceContext context;
        const PushConfig *keys;
        ListenRoute *route;
        LoopWatch *retry; /* tries to listen again */
        Backoff backoff;
        bool held;
        PushRequest *waiting;
        size_t n_waiting, allocated;
} Push;

/* ---- answers ---- */

static void answer_busy(ListenRequest *request) {
        listen_answer_text(request, 503, (const char *const[]){ "Retry-After", RETRY_AFTER_SEC, NULL },
                "The disk or the outbox is full: nothing is accepted now. Try again later.\n");
}

static void answer_unknown(ListenRequest *request) {
        listen_answer_text(request, 401, (const char *const[]){ "WWW-Authenticate", "Basic realm=\"sensorqd\"", NULL },
                "No valid token. Send it as Authorization: Bearer TOKEN, or ?token=TOKEN in the URL, or, with POST, "
                "Basic with it as password.\n");
}

static void answer_method(const Push *push, ListenRequest *request) {
        bool known = push->keys->tokens.n > 0;

        listen_answer_text(request, 405, (const char *const[]){ "Allow", known ? "GET, POST" : "POST", NULL },
                known ? "Send readings with POST, or in the URL of a GET.\n"
                      : "Send readings with POST; GET is for a source with a token_file.\n");
}

static void answer_stored(const Push *push, ListenRequest *request, size_t n) {
        char text[64];

        (void) snprintf(text, sizeof(text), "{\"stored\": %zu}\n", n);
        if (push->keys->answer == PUSH_OWNTRACKS)
                (void) snprintf(text, sizeof(text), "[]\n");
        listen_answer(request, &(ListenAnswer){ .status = 200,
                                       .content_type = "application/json",
                                       .headers = (const char *const[]){ "Cache-Control", "no-store", NULL },
                                       .body = { text, strlen(text) } });
}

/* ---- who may send ---- */

static bool token_is_known(const Push *push, const char *token) {
        bool known = false;

        for (size_t i = 0; i < push->keys->tokens.n; i++)
                known |= crypto_equal_texts(push->keys->tokens.items[i].text, token);
        return known;
}

/* Only with a token: any page in a browser can make it GET any URL, and sends no Origin with that. */
static bool is_call(const Push *push, const ListenRequest *request) {
        return push->keys->tokens.n > 0 && strcmp(listen_method(request), "GET") == 0;
}

static bool request_is_known(const Push *push, const ListenRequest *request) {
        const char *token = listen_query(request, HTTP_PUSH_TOKEN) ?: listen_query(request, HTTP_PUSH_PASSWORD),
                   *authorization = listen_header(request, "Authorization");
        char password[WEB_LISTEN_PASSWORD_MAX];
        bool known;

        if (push->keys->tokens.n == 0)
                return true;
        if (!authorization) /* a device that sends no header of ours has a path to set */
                return token && token_is_known(push, token);
        if (strncasecmp(authorization, "Bearer ", strlen("Bearer ")) == 0)
                return token_is_known(push, authorization + strlen("Bearer "));
        /* a browser that knows the password sends it with what any page makes it GET */
        known = !is_call(push, request) && web_listen_password(authorization, password) &&
                token_is_known(push, password);
        explicit_bzero(password, sizeof(password));
        return known;
}

static bool content_type_is(const ListenRequest *request, const char *type) {
        const char *header = listen_header(request, "Content-Type");
        size_t size = strlen(type);

        return header && strncasecmp(header, type, size) == 0 &&
               (header[size] == '\0' || header[size] == ';' || header[size] == ' ');
}

static bool encoding_is(const ListenRequest *request, const char *name) {
        const char *header = listen_header(request, "Content-Encoding");

        return strcasecmp(header && header[0] != '\0' ? header : "identity", name) == 0;
}

static bool type_is_known(const ListenRequest *request) {
        return content_type_is(request, TYPE_JSON) || content_type_is(request, TYPE_LINES) ||
               content_type_is(request, TYPE_FORM);
}

/* A page in a browser can POST to this machine without permission, but always sends Origin. */
static void on_header(void *userdata, ListenRequest *request) {
        Push *push = userdata;
        bool call = is_call(push, request);

        if (listen_header(request, "Origin"))
                return listen_answer_text(request, 403, NULL, "A page in a browser may not send readings.\n");
        if (!request_is_known(push, request))
                return answer_unknown(request);
        if (!call && strcmp(listen_method(request), "POST") != 0)
                return answer_method(push, request);
        if (!call && !type_is_known(request))
                return listen_answer_text(
                        request, 415, NULL, "Content-Type is " TYPE_JSON ", " TYPE_LINES " or " TYPE_FORM ".\n");
        if (!call && !encoding_is(request, "identity") && !encoding_is(request, "gzip"))
                return listen_answer_text(request, 415,
                        (const char *const[]){ "Accept-Encoding", "gzip, identity", NULL },
                        "Of compressed bodies only gzip is read.\n");
        if (push->held)
                answer_busy(request);
}

/* ---- bodies ---- */

/* What a request brings. */
typedef struct PushBody {
        Slice text; /* points into the request, *plain* or *made* */
        bool lines; /* NDJSON */
        Bytes plain, made;
} PushBody;

static void body_done(PushBody *body) {
        bytes_done(&body->plain);
        bytes_done(&body->made);
}

/* These return 0, or the HTTP status that refuses the whole body, and *words* for the answer. */

static int body_refuse(int status, const char *text, char words[static WORDS_MAX]) {
        (void) snprintf(words, WORDS_MAX, "%s\n", text);
        return status;
}

static int body_undo_gzip(PushBody *body, size_t max, char words[static WORDS_MAX]) {
        int r = gzip_undo(body->text, max, &body->plain);

        if (r < 0)
                return body_refuse(500, "Out of memory.", words);
        if (r == GZIP_TOO_LARGE)
                return body_refuse(413, "The body is too large.", words);
        if (r == GZIP_DAMAGED)
                return body_refuse(400, "The body is not gzip, as its Content-Encoding says.", words);
        body->text = bytes_slice(&body->plain);
        return 0;
}

static int body_read_form(PushBody *body, char words[static WORDS_MAX]) {
        if (!http_push_body_form(body->text, &body->made, words, WORDS_MAX))
                return 400;
        if (bytes_result(&body->made) < 0)
                return body_refuse(500, "Out of memory.", words);
        if (body->made.size == 0) /* somebody looks whether we are there, or the fields are in the URL of a POST */
                return body_refuse(400, "No fields were sent: a POST has them in its body, a GET in its URL.", words);
        body->text = bytes_slice(&body->made);
        return 0;
}

static int body_read(const Push *push, const ListenRequest *request, PushBody *body, char words[static WORDS_MAX]) {
        bool call = is_call(push, request); /* content of a GET means nothing (RFC 9110, 9.3.1) */
        int status = 0;

        body->text = call ? slice_of(listen_query(request, NULL)) : listen_body(request);
        body->lines = !call && content_type_is(request, TYPE_LINES);
        if (!call && encoding_is(request, "gzip"))
                status = body_undo_gzip(body, push->keys->max_body, words);
        if (status == 0 && (call || content_type_is(request, TYPE_FORM)))
                status = body_read_form(body, words);
        return status ?: http_push_body_check(&push->keys->reading, body->text, body->lines, words, WORDS_MAX);
}

/* Returns the name by which a repeated body is recognised; NULL without a key. An empty key does not count: a template
 * makes it of a variable that is not set, so all bodies would have it. */
static char *body_name(const ListenRequest *request, char name[static SHA256_HEX_SIZE]) {
        const char *key = listen_header(request, "Idempotency-Key");

        return key && key[0] != '\0' && strlen(key) <= KEY_MAX ? crypto_sha256_hex(key, strlen(key), name) : NULL;
}

/* Takes each document of the body. *ret_n* gets the number of readings. */
static int body_take(Push *push, const ListenRequest *request, const PushBody *body, size_t *ret_n) {
        char name[SHA256_HEX_SIZE], seen[SHA256_HEX_SIZE + 24];
        const char *key = body_name(request, name);
        usec_t arrived = clock_wall();
        Slice rest = body->text, line;
        size_t number = 0;
        int r = 0;

        *ret_n = 0;
        while (r >= 0 && http_push_body_next(&rest, body->lines, &number, &line)) {
                const SourceDocument document = {
                        .text = line,
                        .arrived = arrived,
                        .seen = key ? seen : NULL,
                };

                (void) snprintf(seen, sizeof(seen), "%s:%zu", key ? key : "", number);
                r = source_take(push->context.source, &document);
                *ret_n += r > 0 ? (size_t) r : 0;
        }
        return r;
}

static void push_stored(void *self) {
        Push *push = self;

        for (size_t i = 0; i < push->n_waiting; i++)
                answer_stored(push, push->waiting[i].request, push->waiting[i].n);
        push->n_waiting = 0;
}

static void push_wait(Push *push, ListenRequest *request, size_t n) {
        if (array_reserve(&push->waiting, &push->allocated, push->n_waiting + 1, sizeof(PushRequest)) < 0)
                /* the body is stored anyway: with a key, the client may send it again */
                return listen_answer_text(request, 500, NULL, "Out of memory.\n");
        push->waiting[push->n_waiting++] = (PushRequest){ request, n };
}

static void on_request(void *userdata, ListenRequest *request) {
        _cleanup_(reading_list_done) ReadingList none = {};
        _cleanup_(body_done) PushBody body = {};
        Push *push = userdata;
        char words[WORDS_MAX];
        int status;
        size_t n;

        if (push->held)
                return answer_busy(request);
        status = body_read(push, request, &body, words);
        if (status == 0 && body_take(push, request, &body, &n) < 0)
                status = body_refuse(500, "Out of memory.", words);
        if (status != 0)
                return listen_answer_text(request, status, NULL, words);
        push_wait(push, request, n);
        (void) source_put(push->context.source, &none); /* for an empty body too; needs no memory */
}

static void push_hold(void *self, bool hold) {
        ((Push *) self)->held = hold;
}

/* ---- listening ---- */

static void push_failed(Push *push, int error, usec_t retry_in) {
        char words[200];

        text_print(words, sizeof(words), "cannot listen on %s: %s", push->keys->address, web_listen_words(error));
        source_tell(push->context.source,
                &(SourcePoll){ .outcome = SOURCE_UNREACHABLE, .cause = web_listen_cause(error), .detail = words },
                retry_in);
}

static void push_works(Push *push) {
        source_tell(push->context.source, &(SourcePoll){ .outcome = SOURCE_POLLED }, 0);
}

static void on_refused(void *userdata, int error) {
        if (error < 0)
                push_failed(userdata, error, REFUSED_RETRY_USEC);
        else
                push_works(userdata);
}

static int push_try(Push *push) {
        const PushConfig *keys = push->keys;

        return listen_route(push->context.means.listen,
                &(ListenSpec){
                        .certificate_file = keys->certificate_file,
                        .key_file = keys->key_file,
                        .address = keys->address,
                        .hosts = (const char *const *) keys->hosts,
                        .path = keys->path,
                        .max_body = keys->max_body,
                },
                &(ListenHandler){ on_header, on_request, on_refused, push }, &push->route);
}

/* Listens; tries again if the address is in use: it may become free. */
static void push_listen(void *userdata) {
        Push *push = userdata;
        usec_t delay;
        int r;

        r = push->route ? 0 : push_try(push);
        if (r == 0)
                return push_works(push);
        delay = backoff_next(&push->backoff, loop_random());
        loop_arm_in(push->retry, delay);
        push_failed(push, r, delay);
}

static int push_check(void *self) {
        Push *push = self;
        const WebListenTry wanted = { push->keys->address, push->keys->certificate_file, push->keys->key_file,
                push->context.means.state_dir };
        char words[256], ending[WEB_LISTEN_WORDS_MAX];
        bool odd = web_listen_is_ending(push->keys->certificate_file, ending);
        int r;

        r = web_listen_try(push->context.means.loop, &wanted);
        if (r < 0)
                text_print(words, sizeof(words), "cannot listen on %s: %s", push->keys->address, web_listen_words(r));
        else
                text_print(words, sizeof(words), "%s on %s%s%s",
                        r == WEB_LISTEN_FREE   ? "can listen"
                        : r == WEB_LISTEN_HELD ? "listens, or would,"
                                               : "would listen, which is not tried,",
                        push->keys->address, push->keys->path, ending);
        source_polled(push->context.source,
                &(SourcePoll){ .outcome = r < 0 ? SOURCE_UNREACHABLE : SOURCE_POLLED, .detail = words, .odd = odd });
        return 0;
}

/* ---- life ---- */

static void push_close(void *self) {
        Push *push = self;

        listen_drop(push->route); /* answers 503 to the requests that wait */
        loop_drop(push->retry);
        free(push->waiting);
}

/* A new source of the same path is opened right after the old one was closed. A sender that met the time between them
 * would get 404 from the others of that address, which many take as final. */
static void push_exclusive(const SourceConfig *config, char name[static SOURCE_EXCLUSIVE_MAX]) {
        const PushConfig *keys = config->keys;

        text_print(name, SOURCE_EXCLUSIVE_MAX, "the path %s of %s", keys->path, keys->address);
}

static int push_open(void *self) {
        Push *push = self;
        int r;

        push->keys = push->context.keys;
        push->backoff = (Backoff){ .initial = USEC_PER_SEC, .max = LISTEN_RETRY_MAX_USEC };
        r = loop_add_timer(push->context.means.loop, LOOP_EXACT, push_listen, push, &push->retry);
        if (r < 0)
                return r;
        if (!push->context.manual) {
                (void) push_try(push); /* at once: a client that waited until the daemon was ready must be heard; the
                                          timer does the rest */
                loop_arm_in(push->retry, 0);
        }
        return 0;
}

/* ---- configuration ---- */

static int path_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] == '/' && !strpbrk(text, "?#% "))
                return 0;
        return config_problem_set(ret_problem, "is not a path: it begins with / and has no ? # %% or space");
}

static int push_rule(const ConfigPlace *place, void *self, void *around) {
        PushConfig *keys = self;
        bool loopback;
        int r = config_place_unused(place, "interval", "others send when they have something");

        if (r < 0)
                return r;

        (void) listen_address_check(keys->address, &loopback);
        r = config_place_tls(place, &keys->tls, &keys->certificate_file, &keys->key_file);
        if (r < 0)
                return r;
        if (loopback)
                return 0;
        if (keys->tokens.n == 0)
                return config_place_fail(place, "listen", "others can reach that address, so token_file is needed");
        if (!keys->certificate_file && !keys->allow_plain)
                return config_place_fail(place, "listen",
                        "others can reach that address, and the token would travel unencrypted; needs tls, or "
                        "allow_plain: true");
        return 0;
}

#define FIELD(field) offsetof(PushConfig, field)
#define TEXT_MAX 1024

static const ConfigType type_path = { "path", "a path, as /readings", CONFIG_TEXT, .text = path_check };
static const ConfigType type_answer = { "count or owntracks", NULL, CONFIG_INT,
        .words = (const char *const[]){ "count", "owntracks", NULL } };

/* clang-format off */
static const ConfigRow rows[] = {
        { "listen", &config_type_address, FIELD(address), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "Address to listen on. Sources with the same address share it." },
        { "path", &type_path, FIELD(path), 1, 256, "/readings",
                .doc = "Path of this source, unique at its address." },
        { "token_file", &config_type_tokens, FIELD(tokens), 1, 2, .flags = CONFIG_ONE,
                .doc = "Token that senders present, or two of them while you change it." },
        { "hosts", &config_type_names, FIELD(hosts), 0, 20,
                .doc = "Additional names that senders may use for this machine." },
        { "max_body", &config_type_size, FIELD(max_body), 1024, 64 * 1024 * 1024, BODY_MAX_DEFAULT,
                .doc = "Maximum size of a request body." },
        { "answer", &type_answer, FIELD(answer), .fallback = "count",
                .doc = "Answer when everything is stored: the number of readings, or the empty list that OwnTracks expects." },
        { "tls", &config_type_section, FIELD(tls), .section = &config_tls_section,
                .doc = "Accept readings over HTTPS." },
        { "certificate_file", &config_type_path, FIELD(certificate_file), 1, TEXT_MAX,
                .doc = "Same as in tls." },
        { "key_file", &config_type_path, FIELD(key_file), 1, TEXT_MAX,
                .doc = "Same as in tls." },
        { "allow_plain", &config_type_bool, FIELD(allow_plain), .fallback = "false",
                .doc = "Accept the token from other machines without TLS." },
        { "reading", &config_type_section, FIELD(reading), .flags = CONFIG_IMPLIED, .section = &shape_section,
                .doc = "How an object becomes readings." },
        {},
};
/* clang-format on */

static const ConfigSection section = {
        .name = "http_push",
        .doc = "Readings that others POST to this machine.",
        .rows = rows,
        .size = sizeof(PushConfig),
        .rule = push_rule,
};

const SourceType source_type_http_push = {
        .keys = &section,
        .size = sizeof(Push),
        .open = push_open,
        .exclusive = push_exclusive,
        .check = push_check,
        .hold = push_hold,
        .stored = push_stored,
        .close = push_close,
};
