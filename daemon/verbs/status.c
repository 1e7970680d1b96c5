/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd status`: reads what the running daemon wrote last. Needs no privilege. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "lib/bytes.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/json.h"
#include "verbs/verbs.h"

#define STATUS_FILE_MAX JSON_TREE_MAX
#define STALE_USEC (3 * USEC_PER_MINUTE) /* the daemon writes every minute at least */

static int read_file(const char *path, Bytes *ret) {
        _cleanup_close_ int fd = -1;
        int r;

        r = file_open(path, &fd);
        if (r == 0)
                r = bytes_reserve(ret, STATUS_FILE_MAX);
        if (r == 0)
                r = file_read(fd, ret->data, STATUS_FILE_MAX, &ret->size);
        return r;
}

/* The runtime directory of the unit that the configuration belongs to: sensorqd.yaml -> /run/sensorqd, NAME.yaml ->
 * /run/sensorqd-NAME. */
static int runtime_file(const Config *config, char **ret) {
        const char *base = config ? strrchr(config->path, '/') : NULL;
        const char *name = base ? base + 1 : config ? config->path : "sensorqd.yaml";
        int length = (int) strcspn(name, ".");
        int n;

        if (strcmp(name, "sensorqd.yaml") == 0)
                n = asprintf(ret, "/run/sensorqd/status.json");
        else
                n = asprintf(ret, "/run/sensorqd-%.*s/status.json", length, name);
        return n < 0 ? -ENOMEM : 0;
}

static int find_status(const Config *config, Bytes *ret, char **ret_path) {
        const char *directories[] = { getenv("RUNTIME_DIRECTORY"), config ? config->state_dir : NULL };
        int r;

        r = runtime_file(config, ret_path);
        if (r < 0)
                return r;
        r = read_file(*ret_path, ret);
        for (size_t i = 0; r < 0 && i < ELEMENTSOF(directories); i++) {
                if (!directories[i])
                        continue;
                free(*ret_path);
                if (asprintf(ret_path, "%s/status.json", directories[i]) < 0)
                        return *ret_path = NULL, -ENOMEM;
                r = read_file(*ret_path, ret);
        }
        return r;
}

static const char *text_of(Json *json, const char *key) {
        const char *text = json_get_string(json, key);

        return text && *text ? text : "never";
}

static int64_t number_of(Json *json, const char *key) {
        int64_t value = 0;

        (void) json_get_int(json, key, &value);
        return value;
}

static bool flag_of(Json *json, const char *key) {
        bool value = false;

        return json_get_bool(json, key, &value) && value;
}

static void print_trouble(Json *json, const char *flag, const char *word) {
        const char *detail = json_get_string(json, "detail");

        if (flag_of(json, flag))
                printf("              %s: %s\n", word, detail && *detail ? detail : "see the journal");
}

static void print_source(Json *source) {
        const char *next = json_get_string(source, "next_poll");

        printf("source        %s: last poll %s%s%s, polls: %" PRIi64 ", readings: %" PRIi64 "\n",
                text_of(source, "name"), text_of(source, "last_poll"), next ? ", next " : "", next ? next : "",
                number_of(source, "polls"), number_of(source, "readings"));
        print_trouble(source, "failing", "failing");
}

static void print_outbox(Json *json) {
        Json *outbox = json_get(json, "outbox"), *publisher = json_get(json, "publisher");

        if (!outbox)
                return;
        printf("outbox        %" PRIi64 " readings (%" PRIi64 " bytes), %" PRIi64 " rejected%s%s\n",
                number_of(outbox, "rows"), number_of(outbox, "bytes"), number_of(outbox, "rejected_rows"),
                flag_of(outbox, "full") ? ", FULL" : "", flag_of(outbox, "failing") ? ", the disk refuses" : "");
        printf("publisher     %" PRIi64 " published, last %s%s\n", number_of(publisher, "published"),
                text_of(publisher, "last_publish"), flag_of(publisher, "paused") ? ", paused" : "");
        print_trouble(publisher, "failing", "failing");
}

static void print_subscription(Json *subscription) {
        Json *sink = json_get(subscription, "sink");
        const char *down_since = json_get_string(sink, "down_since");
        bool ready = flag_of(sink, "ready");

        printf("subscription  %s: %" PRIi64 " received, %" PRIi64 " acknowledged, %" PRIi64 " held, last pull %s%s\n",
                text_of(subscription, "subscription"), number_of(subscription, "received"),
                number_of(subscription, "acknowledged"), number_of(subscription, "held"),
                text_of(subscription, "last_pull"), flag_of(subscription, "paused") ? ", pulls paused" : "");
        print_trouble(subscription, "failing", "failing");
        printf("              %s: %s, %" PRIi64 " stored, %" PRIi64 " duplicates, %" PRIi64
               " rejected, last stored %s\n",
                text_of(sink, "what"),
                ready        ? "up"
                : down_since ? "DOWN"
                             : "not reached yet",
                number_of(sink, "stored"), number_of(sink, "duplicates"), number_of(sink, "rejected"),
                text_of(sink, "last_stored"));
        if (!ready && down_since)
                printf("              down since %s: %s\n", down_since, text_of(sink, "detail"));
}

static void print_status(Json *json) {
        Json *item;

        printf("sensorqd      %s, started %s, as of %s\n", text_of(json, "version"), text_of(json, "started"),
                text_of(json, "time"));
        printf("status        %s\n", text_of(json, "status"));
        if (json_get(json, "reload_refused"))
                printf("reload        refused %s: %s\n", text_of(json_get(json, "reload_refused"), "time"),
                        text_of(json_get(json, "reload_refused"), "error"));
        for (size_t i = 0; (item = json_at(json_get(json, "sources"), i)); i++)
                print_source(item);
        print_outbox(json);
        print_trouble(json_get(json, "token"), "failing", "token");
        for (size_t i = 0; (item = json_at(json_get(json, "subscriptions"), i)); i++)
                print_subscription(item);
}

/* A daemon that was killed leaves its file behind where there is no unit to clear it away. */
static bool tell_stale(Json *json, const char *path) {
        const char *text = json_get_string(json, "time");
        usec_t now = clock_wall(), written;
        int64_t msec;
        char span[32];

        if (!text || !clock_parse_rfc3339(text, strlen(text), &msec))
                return false;
        written = (usec_t) msec * USEC_PER_MSEC;
        if (written > now || now - written < STALE_USEC)
                return false;
        (void) fflush(stdout);
        fprintf(stderr,
                "sensorqd: this is %s old (%s): sensorqd does not run any more, or hangs. See: systemctl status "
                "sensorqd, journalctl -u "
                "sensorqd\n",
                clock_format_span(now - written, span, sizeof(span)), path);
        return true;
}

int verb_status(const Config *config, bool json) {
        _cleanup_free_ char *path = NULL;
        _cleanup_(json_freep) Json *tree = NULL;
        _cleanup_bytes_ Bytes text = {};
        int r;

        r = find_status(config, &text, &path);
        if (r < 0) {
                fprintf(stderr, "sensorqd: no status to be read: %s. Is it running? See: systemctl status sensorqd\n",
                        strerror(-r));
                return EX_UNAVAILABLE;
        }
        if (json)
                (void) fwrite(text.data, 1, text.size, stdout);
        r = json_parse(text.data, text.size, &tree);
        if (r < 0) {
                fprintf(stderr, "sensorqd: %s cannot be understood: %s\n", path, strerror(-r));
                return EX_UNAVAILABLE;
        }
        if (!json)
                print_status(tree);
        return tell_stale(tree, path) ? EX_UNAVAILABLE : EX_OK;
}
