/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config-type.h"
#include "lib/bytes.h"
#include "lib/http.h"
#include "lib/listen-address.h"
#include "lib/log.h"
#include "lib/text.h"

#define RESOURCE_ID_MIN 3 /* google/pubsub/v1/pubsub.proto, Topic.name */
#define RESOURCE_ID_MAX 255
#define PROJECT_MAX 100
#define NAME_MAX_SIZE 63

int config_problem_set(ConfigProblem *problem, const char *format, ...) {
        va_list list;

        va_start(list, format);
        (void) vsnprintf(problem->text, sizeof(problem->text), format, list);
        va_end(list);
        return -EBADMSG;
}

/* ---- numbers ---- */

typedef struct Unit {
        const char *name;
        uint64_t factor;
} Unit;

/* Reads decimal digits without sign, and one of the units; *wrong* is said where it is another. A leading zero is an
 * error, because YAML 1.1 would read octal. Only durations need a unit. */
static int number_parse(
        const char *text, const Unit *unit, const char *wrong, uint64_t *ret, ConfigProblem *ret_problem) {
        uint64_t value = 0;
        const char *c = text;

        if (!bytes_is_digit(*c))
                return config_problem_set(ret_problem, "is not a number");
        if (c[0] == '0' && bytes_is_digit(c[1]))
                return config_problem_set(ret_problem, "begins with a zero");
        for (; bytes_is_digit(*c); c++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                        __builtin_add_overflow(value, (uint64_t) (*c - '0'), &value))
                        return config_problem_set(ret_problem, "is out of range");

        while (unit->name && strcmp(unit->name, c) != 0)
                unit++;
        if (!unit->name && *c == '\0')
                return config_problem_set(
                        ret_problem, "has no unit: write %.20ss, %.20sm, %.20sh or %.20sd", text, text, text, text);
        if (!unit->name)
                return config_problem_set(ret_problem, "%s", wrong);
        if (__builtin_mul_overflow(value, unit->factor, &value))
                return config_problem_set(ret_problem, "is out of range");
        *ret = value;
        return 0;
}

static int duration_parse(const char *text, uint64_t *ret, ConfigProblem *ret_problem) {
        static const Unit units[] = {
                { "s", USEC_PER_SEC },
                { "m", USEC_PER_MINUTE },
                { "h", USEC_PER_HOUR },
                { "d", 24 * USEC_PER_HOUR },
                {},
        };

        return number_parse(
                text, units, "is not a duration, which is a whole number and a unit (s, m, h or d)", ret, ret_problem);
}

static void duration_format(uint64_t value, char *buffer, size_t size) {
        uint64_t seconds = value / USEC_PER_SEC;

        if (seconds % 3600 == 0 && seconds > 0)
                (void) snprintf(buffer, size, "%" PRIu64 "h", seconds / 3600);
        else if (seconds % 60 == 0 && seconds > 60)
                (void) snprintf(buffer, size, "%" PRIu64 "m", seconds / 60);
        else
                (void) snprintf(buffer, size, "%" PRIu64 "s", seconds);
}

static int size_parse(const char *text, uint64_t *ret, ConfigProblem *ret_problem) {
        static const Unit units[] = { { "", 1 }, { "KiB", UINT64_C(1) << 10 }, { "MiB", UINT64_C(1) << 20 },
                { "GiB", UINT64_C(1) << 30 }, {} };

        return number_parse(text, units, "is not a size, which is a whole number of bytes, or one with KiB, MiB or GiB",
                ret, ret_problem);
}

static void size_format(uint64_t value, char *buffer, size_t size) {
        static const char *const units[] = { "", "KiB", "MiB", "GiB" };
        size_t unit = 0;

        while (unit + 1 < ELEMENTSOF(units) && value > 0 && value % 1024 == 0) {
                value /= 1024;
                unit++;
        }
        (void) snprintf(buffer, size, "%" PRIu64 "%s", value, units[unit]);
}

static int count_parse(const char *text, uint64_t *ret, ConfigProblem *ret_problem) {
        return number_parse(text, (const Unit[]){ { "", 1 }, {} }, "is not a whole number", ret, ret_problem);
}

static void count_format(uint64_t value, char *buffer, size_t size) {
        (void) snprintf(buffer, size, "%" PRIu64, value);
}

static int decimal_parse(const char *text, double *ret, ConfigProblem *ret_problem) {
        size_t digits = strspn(text + (*text == '-'), "0123456789");
        const char *end = text + (*text == '-') + digits;
        double value;

        if (digits == 0)
                return config_problem_set(ret_problem, "is not a number");
        if (*end == '.') {
                size_t decimals = strspn(end + 1, "0123456789");

                if (decimals == 0)
                        return config_problem_set(ret_problem, "ends in its decimal point");
                end += 1 + decimals;
        }
        if (*end == ',')
                return config_problem_set(ret_problem, "has a comma: write a decimal point");
        if (*end != '\0')
                return config_problem_set(ret_problem, "is not a number");

        value = strtod(text, NULL);
        if (!isfinite(value))
                return config_problem_set(ret_problem, "is out of range");
        *ret = value;
        return 0;
}

/* ---- texts ---- */

const char *config_map_get(const ConfigMap *map, const char *name) {
        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->items[i].name, name) == 0)
                        return map->items[i].values[0];

        return NULL;
}

static int directory_check(const char *text, ConfigProblem *ret_problem) {
        return text[0] == '/' ? 0 : config_problem_set(ret_problem, "is not absolute");
}

static int file_check(const char *text, ConfigProblem *ret_problem) {
        return text[strlen(text) - 1] == '/' ? config_problem_set(ret_problem, "is a directory") : 0;
}

/* Describes why http_url_check() finds the URL malformed, without quoting the value. */
static int url_malformed(const char *text, ConfigProblem *ret_problem) {
        const char *host = strncasecmp(text, "http", 4) == 0 ? strstr(text, "://") : NULL;

        host = host ? host + strlen("://") : "";
        if (memchr(host, '@', strcspn(host, "/?")))
                return config_problem_set(
                        ret_problem, "has a user in front of the host: leave it out, secrets are files");
        for (const char *c = host; *c != '\0'; c++)
                if (*c <= ' ' || *c > '~')
                        return config_problem_set(ret_problem,
                                "holds a space, or something other than ASCII: write it percent-encoded, as %%20");
                else if (strchr("\"#<>\\^`{|}", *c))
                        return config_problem_set(ret_problem,
                                "holds %c, which no URL has as it is: write it percent-encoded, as %%%02X", *c, *c);
        return config_problem_set(ret_problem, "is not a URL of a server");
}

/* Refuses what no request may be sent to. */
static int any_url_check(const char *text, ConfigProblem *ret_problem) {
        switch (http_url_check(text)) {
        case HTTP_URL_MALFORMED:
                return url_malformed(text, ret_problem);
        case HTTP_URL_METADATA:
                return config_problem_set(ret_problem, "is the metadata server, which is there for tokens only");
        default:
                return 0;
        }
}

static int url_check(const char *text, ConfigProblem *ret_problem) {
        int r = any_url_check(text, ret_problem);

        if (r < 0)
                return r;
        if (http_url_check(text) == HTTP_URL_PLAIN)
                return config_problem_set(ret_problem,
                        "is plain http to another machine, which would show the token to everyone on the way");
        if (strchr(text, '?'))
                return config_problem_set(ret_problem, "has a query, but sensorqd appends the path of each call");
        return 0;
}

const char *config_type_query_names(const char *url, const char *const *names) {
        const char *cursor = strchr(url, '?');

        while (cursor) {
                size_t size = strcspn(++cursor, "=&");

                for (size_t i = 0; names[i]; i++)
                        if (cursor[size] == '=' && strlen(names[i]) == size && strncasecmp(cursor, names[i], size) == 0)
                                return names[i];
                cursor = strchr(cursor, '&');
        }

        return NULL;
}

/* A secret in a URL would be sent and logged with every request. */
static int web_url_check(const char *text, ConfigProblem *ret_problem) {
        static const char *const names[] = { "appid", "key", "token", "apikey", "api_key", "access_token", NULL };
        const char *secret = config_type_query_names(text, names);
        int r = any_url_check(text, ret_problem);

        if (r == 0 && secret)
                r = config_problem_set(
                        ret_problem, "has a secret in it (%s=): put it into a file, and name that in auth", secret);
        return r;
}

static bool project_valid(const char *text, size_t size) {
        return size >= 1 && size <= PROJECT_MAX && isalnum((unsigned char) text[0]) &&
               strspn(text, CONFIG_LETTERS "-._:") >= size;
}

static int project_check(const char *text, ConfigProblem *ret_problem) {
        return project_valid(text, strlen(text)) ? 0 : config_problem_set(ret_problem, "is not a project id");
}

static int attribute_check(const char *text, ConfigProblem *ret_problem) {
        return strncmp(text, "goog", 4) == 0
                       ? config_problem_set(ret_problem, "begins with goog, which Google keeps for itself")
                       : 0;
}

static int resource_id_check(const char *text, ConfigProblem *ret_problem) {
        size_t size = strlen(text);

        if (size < RESOURCE_ID_MIN || size > RESOURCE_ID_MAX)
                return config_problem_set(ret_problem, "has %zu character%s", size, text_s(size));
        if (!isalpha((unsigned char) text[0]))
                return config_problem_set(ret_problem, "does not begin with a letter");
        if (attribute_check(text, ret_problem) < 0)
                return -EBADMSG;
        if (text[strspn(text, CONFIG_LETTERS "-_.~+%")] != '\0')
                return config_problem_set(ret_problem, "holds a character that Pub/Sub does not allow there");
        return 0;
}

bool config_type_is_full_name(const char *text, const char *collection) {
        size_t size = strlen(collection);
        const char *project, *slash;

        if (strncmp(text, "projects/", 9) != 0)
                return false;

        project = text + 9;
        slash = strchr(project, '/');
        return slash && project_valid(project, (size_t) (slash - project)) &&
               strncmp(slash + 1, collection, size) == 0 && slash[1 + size] == '/';
}

/* Checks an id, or a full name that ends in one. */
static int resource_check(const char *text, const char *collection, ConfigProblem *ret_problem) {
        if (config_type_is_full_name(text, collection))
                return resource_id_check(strchr(text + strlen("projects/"), '/') + strlen(collection) + 2, ret_problem);
        if (strchr(text, '/'))
                return config_problem_set(ret_problem, "is neither an id nor projects/PROJECT/%s/ID", collection);
        return resource_id_check(text, ret_problem);
}

static int topic_check(const char *text, ConfigProblem *ret_problem) {
        return resource_check(text, "topics", ret_problem);
}

static int subscription_check(const char *text, ConfigProblem *ret_problem) {
        return resource_check(text, "subscriptions", ret_problem);
}

/* Members of a reading that the program sets itself, and the other members of a document. */
static const char *const own_names[] = { "name", "newest_events", "updated_at", "request_at", "id", "source", "online",
        "temperature_offset", "humidity_offset", "measured_at", "power_w", "energy_kwh", "energy_sold_kwh",
        "idempotency_key", "type", "device", "_id", "pubsub", "stored_at", NULL };

static int label_name_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] == '\0' || strlen(text) > NAME_MAX_SIZE ||
                text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
                return config_problem_set(ret_problem, "is not 1 to 63 of a-z, 0-9 and _");
        if (attribute_check(text, ret_problem) < 0)
                return -EBADMSG;
        if (text_is_among(text, own_names))
                return config_problem_set(ret_problem, "is a name that readings have already");
        return 0;
}

static bool ends_with(const char *text, const char *end) {
        size_t size = strlen(text), n = strlen(end);

        return size >= n && strcasecmp(text + size - n, end) == 0;
}

/* RFC 9110 section 5.1, field-name. */
static int header_name_check(const char *text, ConfigProblem *ret_problem) {
        bool own = strncasecmp(text, "X-", 2) == 0;

        if (text[0] == '\0' || text[strspn(text, CONFIG_LETTERS "!#$%&'*+-.^_`|~")] != '\0')
                return config_problem_set(ret_problem, "is not the name of a header");
        if (ends_with(text, "Authorization") || strcasecmp(text, "Cookie") == 0 || strcasecmp(text, "Api-Key") == 0 ||
                (own && (ends_with(text, "-Key") || ends_with(text, "-Token"))))
                return config_problem_set(
                        ret_problem, "is a header for a secret: put that into a file, and name it in auth");
        return 0;
}

/* Checks a header's value: RFC 9110 section 5.5, field-value. */
static int value_check(const char *text, ConfigProblem *ret_problem) {
        size_t n = 0;

        for (const char *c = text; *c != '\0'; c++) {
                n += ((unsigned char) *c & 0xc0) != 0x80;
                if ((unsigned char) *c < ' ' || (unsigned char) *c > '~')
                        return config_problem_set(
                                ret_problem, "has a character that is not ASCII (character %zu): copy it again", n);
        }
        return 0;
}

/* Like value_check(), but without blanks and quotes. */
static int token_check(const char *text, ConfigProblem *ret_problem) {
        if (strncasecmp(text, "Bearer ", strlen("Bearer ")) == 0)
                return config_problem_set(
                        ret_problem, "begins with \"Bearer \", which sensorqd puts before it: leave only the token");
        for (const char *c = text; (unsigned char) *c >= ' ' && *c <= '~'; c++) {
                size_t n = (size_t) (c - text) + 1;

                if (*c == '"' || *c == '\'')
                        return config_problem_set(ret_problem,
                                "holds a quote (character %zu), which is not part of a token: remove the quotes", n);
                if (*c == ' ')
                        return config_problem_set(
                                ret_problem, "holds a space (character %zu): leave only the token", n);
        }
        return value_check(text, ret_problem);
}

static int address_check(const char *text, ConfigProblem *ret_problem) {
        bool loopback;

        return listen_address_check(text, &loopback)
                       ? 0
                       : config_problem_set(ret_problem, "is not an address and a port, or systemd:NAME");
}

static void url_tidy(char *url) {
        size_t size = strlen(url);

        while (size > 0 && url[size - 1] == '/')
                url[--size] = '\0';
}

const ConfigType config_type_duration = { "duration", NULL, CONFIG_NUMBER, .number = duration_parse,
        .format = duration_format };
const ConfigType config_type_size = { "size", NULL, CONFIG_NUMBER, .number = size_parse, .format = size_format };
const ConfigType config_type_count = { "number", NULL, CONFIG_NUMBER, .number = count_parse, .format = count_format,
        .plain = true };
const ConfigType config_type_unsigned = { "number", NULL, CONFIG_UNSIGNED, .number = count_parse,
        .format = count_format, .plain = true };
const ConfigType config_type_log_level = { "log level", "debug, info, notice, warning, error", CONFIG_INT,
        .words = (const char *const[]){ "error", "warning", "notice", "info", "debug", NULL }, .first = LOG_ERR };
const ConfigType config_type_decimal = { "decimal", "a number: 28, 28.5, -3", CONFIG_DECIMAL, .decimal = decimal_parse,
        .plain = true };
const ConfigType config_type_bool = { "true or false", NULL, CONFIG_BOOL,
        .words = (const char *const[]){ "false", "true", NULL }, .plain = true };
const ConfigType config_type_directory = { "directory", "an absolute path", CONFIG_TEXT, .text = directory_check };
const ConfigType config_type_secret = { "secret file", "a file name", CONFIG_SECRET, .text = file_check,
        .private = true, .file = true };
const ConfigType config_type_token = { "secret file", "a file name", CONFIG_SECRET, .text = file_check,
        .inside = token_check, .private = true, .file = true };
const ConfigType config_type_tokens = { "secret file, or a list", "a secret file, or a list of them", CONFIG_SECRETS,
        .inside = token_check, .private = true, .file = true };
const ConfigType config_type_value = { "secret file", "a file name", CONFIG_SECRET, .text = file_check,
        .inside = value_check, .private = true, .file = true };
const ConfigType config_type_secret_name = { "secret file", "a file name", CONFIG_TEXT, .text = file_check,
        .private = true, .file = true };
const ConfigType config_type_path = { "file", "a file name", CONFIG_TEXT, .text = file_check, .beside = true,
        .file = true };
const ConfigType config_type_url = { "URL", "https://HOST, or http:// to this machine only", CONFIG_TEXT,
        .text = url_check, .tidy = url_tidy };
const ConfigType config_type_web_url = { "URL", "https://HOST/... or http://HOST/...", CONFIG_TEXT,
        .text = web_url_check };
const ConfigType config_type_project = { "project",
        "a project id, which is not its name: letters, digits, - . _ :, no spaces", CONFIG_TEXT,
        .text = project_check };
const ConfigType config_type_topic = { "topic",
        "an id of 3 to 255 letters, digits, - _ . ~ + %, or projects/PROJECT/topics/ID", CONFIG_TEXT,
        .text = topic_check };
const ConfigType config_type_subscription = { "subscription",
        "an id of 3 to 255 letters, digits, - _ . ~ + %, or projects/PROJECT/subscriptions/ID", CONFIG_TEXT,
        .text = subscription_check };
const ConfigType config_type_name = { "name", "1 to 63 of a-z, 0-9, -", CONFIG_TEXT,
        .letters = "abcdefghijklmnopqrstuvwxyz0123456789-", .wrong = "has characters other than a-z, 0-9 and -" };
const ConfigType config_type_attribute = { "attribute", "the name of a message attribute", CONFIG_TEXT,
        .text = attribute_check };
const ConfigType config_type_text = { "text", "a text on one line", CONFIG_TEXT };
const ConfigType config_type_state_directory = { "text", "a text on one line", CONFIG_TEXT, .file = true };
const ConfigType config_type_texts = { "list of texts", "a list of texts", CONFIG_TEXTS, .empty = true };
const ConfigType config_type_names = { "list of names", "a list of names, [] for none", CONFIG_TEXTS };
const ConfigType config_type_map = { "map of texts", "NAME: TEXT lines, indented", CONFIG_MAP };
const ConfigType config_type_headers = { "map of texts", "NAME: TEXT lines, indented", CONFIG_MAP,
        .inside = header_name_check, .private = true };
const ConfigType config_type_labels = { "map of texts", "NAME: TEXT lines, indented", CONFIG_MAP,
        .inside = label_name_check };
const ConfigType config_type_address = { "address", "127.0.0.1:8427, [::1]:8427 or systemd:NAME", CONFIG_TEXT,
        .text = address_check };
const ConfigType config_type_section = { "section", "a section: KEY: VALUE lines, indented", CONFIG_SECTION };
const ConfigType config_type_list = { "list of sections", "a list: each entry begins with a dash", CONFIG_LIST };
const ConfigType config_type_variant = { "type", NULL, CONFIG_VARIANT };
