/* SPDX-License-Identifier: Apache-2.0 */
/* `sensorqd status`: prints the status file that the running daemon wrote last. Needs no privilege. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/text.h"
#include "verbs/session.h"
#include "verbs/verbs.h"

#define STATUS_FILE_MAX JSON_TREE_MAX
#define WATCH_SECONDS 2
#define STALE_USEC (3 * USEC_PER_MINUTE) /* the daemon writes every minute at least */

/* The runtime directory of the unit that the configuration belongs to: sensorqd.yaml -> /run/sensorqd, NAME.yaml ->
 * /run/sensorqd-NAME. */
static int runtime_directory(const char *config_path, char **ret) {
        const char *slash = strrchr(config_path, '/'), *name = slash ? slash + 1 : config_path;

        if (strcmp(name, "sensorqd.yaml") == 0)
                return text_format(ret, "/run/sensorqd");
        return text_format(ret, "/run/sensorqd-%.*s", (int) config_name_size(name), name);
}

/* Reads DIRECTORY/status.json. -ENOENT also when it was written by a daemon with another configuration. */
static int read_status(const char *directory, const char *config_path, char **ret_path, Json **ret) {
        _cleanup_free_ char *real = realpath(config_path, NULL), *path = NULL;
        _cleanup_(json_freep) Json *json = NULL;
        _cleanup_bytes_ Bytes text = {};
        const char *of;
        int r;

        if (text_format(&path, "%s/status.json", directory) < 0)
                return -ENOMEM;
        r = file_load_own(path, STATUS_FILE_MAX, &text);
        if (r < 0)
                return r;
        r = json_parse(text.data, text.size, &json);
        if (r < 0)
                return r;
        of = json_get_string(json, "config");
        if (!of || strcmp(of, real ? real : config_path) != 0)
                return -ENOENT;
        *ret_path = cleanup_steal(path);
        *ret = cleanup_steal(json);
        return 0;
}

bool verb_status_is_in(const char *directory, const char *config_path) {
        _cleanup_free_ char *path = NULL;
        _cleanup_(json_freep) Json *json = NULL;

        return read_status(directory, config_path, &path, &json) == 0;
}

static int find_status(const char *config_path, const char *state_dir, char **ret_path, Json **ret) {
        _cleanup_free_ char *runtime = NULL;
        const char *directories[3] = { NULL, getenv("RUNTIME_DIRECTORY"), state_dir };
        int r, found = -ENOENT;

        r = runtime_directory(config_path, &runtime);
        if (r < 0)
                return r;
        directories[0] = runtime;
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                if (!directories[i])
                        continue;
                r = read_status(directories[i], config_path, ret_path, ret);
                if (r != -ENOENT)
                        found = r;
                if (r == 0)
                        break;
        }
        return found;
}

static const char *text_of(Json *json, const char *key) {
        const char *text = json_get_string(json, key);

        return text && *text ? text : "never";
}

/* Converts a time of the file from UTC to local time: the line of STATUS= has local times as well. */
static const char *time_of(Json *json, const char *key, char buffer[static CLOCK_LOCAL_SIZE]) {
        const char *text = text_of(json, key);
        int64_t msec;

        if (!clock_parse_rfc3339(text, strlen(text), &msec))
                return text;
        return clock_format_local((usec_t) msec * USEC_PER_MSEC, buffer);
}

static int64_t number_of(Json *json, const char *key) {
        int64_t value = 0;

        (void) json_get_int(json, key, &value);
        return value;
}

/* Prints a line. The file is of the service's user: nothing in it may steer the terminal of who reads it. */
static _printf_(1, 2) void say(const char *format, ...) {
        _cleanup_free_ char *line = NULL;
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&line, format, arguments) < 0)
                line = NULL;
        va_end(arguments);
        if (line)
                session_print(slice_of(line));
        (void) putchar('\n');
}

static void print_trouble(Json *json, const char *word) {
        const char *detail = json_get_string(json, "detail");
        char time[CLOCK_LOCAL_SIZE];

        if (json_get_flag(json, "failing"))
                say("              %s since %s: %s", word, time_of(json, "failing_since", time),
                        detail && *detail ? detail : "see the journal");
}

static void print_unreadable(Json *source) {
        int64_t dropped = number_of(source, "dropped"), left_out = number_of(source, "left_out");
        int64_t unreadable = number_of(source, "unreadable");
        bool nothing = number_of(source, "readings") + number_of(source, "repeats") == 0;

        if (unreadable > 0)
                say("              %s%" PRIi64 " could not become readings, see `sensorqd rejected list`",
                        nothing ? "all that came: " : "", unreadable);
        if (left_out > 0 && nothing)
                say("              all that came, %" PRIi64
                    ", was left out by `where` or `fields` of its `reading`, has no value, or is not where "
                    "`items` points",
                        left_out);
        if (dropped > 0)
                say("              %" PRIi64 " that could not become readings are gone, see `sensorqd rejected list`",
                        dropped);
}

static void print_source(Json *source) {
        bool speaks = json_get_flag(source, "speaks"), due = json_get(source, "next_poll");
        char last[CLOCK_LOCAL_SIZE], next[CLOCK_LOCAL_SIZE];

        if (speaks)
                say("source        %s: last reading %s, readings: %" PRIi64 "", text_of(source, "name"),
                        time_of(source, "last_reading", last), number_of(source, "readings"));
        else
                say("source        %s: last good poll %s%s%s%s, polls: %" PRIi64 ", readings: %" PRIi64 "",
                        text_of(source, "name"), time_of(source, "last_poll", last), due ? ", next " : "",
                        due ? time_of(source, "next_poll", next) : "",
                        json_get_flag(source, "limited") ? " (rate limit)" : "", number_of(source, "polls"),
                        number_of(source, "readings"));
        if (!speaks && json_get_flag(source, "clock_wrong"))
                say("              this machine's clock is wrong: look at timedatectl; readings get the source's "
                    "time");
        print_unreadable(source);
        print_trouble(source, "failing");
}

static void print_outbox(Json *json) {
        Json *outbox = json_get(json, "outbox"), *publisher = json_get(json, "publisher");
        char last[CLOCK_LOCAL_SIZE];

        if (!outbox)
                return;
        say("outbox        %" PRIi64 " reading%s (%" PRIi64 " bytes), %" PRIi64 " rejected%s%s",
                number_of(outbox, "rows"), text_s(number_of(outbox, "rows")), number_of(outbox, "bytes"),
                number_of(outbox, "rejected_rows"), json_get_flag(outbox, "full") ? ", FULL" : "",
                json_get_flag(outbox, "failing") ? ", the disk refuses" : "");
        if (json_get_string(outbox, "failing_since"))
                say("              since %s: %s", time_of(outbox, "failing_since", last), text_of(outbox, "detail"));
        say("publisher     %" PRIi64 " published, last %s%s", number_of(publisher, "published"),
                time_of(publisher, "last_publish", last), json_get_flag(publisher, "paused") ? ", paused" : "");
        print_trouble(publisher, "failing");
}

static const char *sink_state(Json *sink) {
        if (json_get_flag(sink, "ready"))
                return "up";
        if (json_get(sink, "down_since"))
                return "DOWN";
        return json_get_flag(sink, "untried") ? "answers, no message stored yet" : "not reached yet";
}

/* Targets of alerts that cannot be told. */
static void print_targets(Json *targets) {
        char time[CLOCK_LOCAL_SIZE];
        Json *target;

        for (size_t i = 0; (target = json_at(targets, i)); i++)
                if (json_get_string(target, "failing_since"))
                        say("              target %s (%s) down since %s, %" PRIi64 " waiting: %s",
                                text_of(target, "name"), text_of(target, "service"),
                                time_of(target, "failing_since", time), number_of(target, "waiting"),
                                text_of(target, "detail"));
}

static void print_sink(Json *sink) {
        char time[CLOCK_LOCAL_SIZE];

        say("              %s: %s, %" PRIi64 " stored, %" PRIi64 " duplicates, %" PRIi64 " rejected, last stored %s",
                text_of(sink, "what"), sink_state(sink), number_of(sink, "stored"), number_of(sink, "duplicates"),
                number_of(sink, "rejected"), time_of(sink, "last_stored", time));
        if (!json_get_flag(sink, "ready") && json_get(sink, "down_since"))
                say("              down since %s: %s", time_of(sink, "down_since", time), text_of(sink, "detail"));
        print_targets(json_get(json_get(sink, "alerts"), "targets"));
}

static void print_subscription(Json *subscription) {
        char time[CLOCK_LOCAL_SIZE];

        say("subscription  %s: %" PRIi64 " received, %" PRIi64 " acknowledged, %" PRIi64 " held, last pull %s%s",
                text_of(subscription, "subscription"), number_of(subscription, "received"),
                number_of(subscription, "acknowledged"), number_of(subscription, "held"),
                time_of(subscription, "last_pull", time),
                json_get_flag(subscription, "paused") ? ", pulls paused" : "");
        if (number_of(subscription, "unkept") > 0)
                say("              %" PRIi64
                    " can neither be stored nor set apart, the oldest published %s: see the journal",
                        number_of(subscription, "unkept"), time_of(subscription, "unkept_since", time));
        print_trouble(subscription, "failing");
        print_sink(json_get(subscription, "sink"));
}

static void print_status(Json *json) {
        Json *reload = json_get(json, "reload_refused"), *page = json_get(json, "page_failing"), *item;
        char time[CLOCK_LOCAL_SIZE], started[CLOCK_LOCAL_SIZE];

        say("sensorqd      %s, started %s, as of %s", text_of(json, "version"), time_of(json, "started", started),
                time_of(json, "time", time));
        say("status        %s", text_of(json, "status"));
        if (reload)
                say("reload        refused %s: %s", time_of(reload, "time", time), text_of(reload, "error"));
        for (size_t i = 0; (item = json_at(json_get(json, "sources"), i)); i++)
                print_source(item);
        print_outbox(json);
        print_trouble(json_get(json, "token"), "no access token");
        for (size_t i = 0; (item = json_at(json_get(json, "subscriptions"), i)); i++)
                print_subscription(item);
        if (page)
                say("page          not served since %s: %s", time_of(page, "since", time), text_of(page, "detail"));
}

/* Returns true, after a message, when the file is too old: a killed daemon without a unit leaves its file behind. A
 * time ahead of the clock counts as well: a running daemon writes the file again soon after the clock was set back. */
static bool tell_stale(Json *json, const char *path, const char *unit) {
        const char *text = json_get_string(json, "time");
        usec_t now = clock_wall(), written, apart;
        int64_t msec;
        char span[CLOCK_SPAN_SIZE];

        if (!text || !clock_parse_rfc3339(text, strlen(text), &msec))
                return false;
        written = (usec_t) msec * USEC_PER_MSEC;
        apart = written > now ? written - now : now - written;
        if (apart < STALE_USEC)
                return false;
        (void) fflush(stdout);
        fprintf(stderr,
                "sensorqd: this is %s %s (%s): sensorqd does not run any more, or hangs. See: systemctl status %s, "
                "journalctl -u %s\n",
                clock_format_span(apart, span, sizeof(span)),
                written > now ? "ahead of the clock, which was set back" : "old", path, unit, unit);
        return true;
}

static void print_file(const char *path) {
        _cleanup_bytes_ Bytes text = {};

        if (file_load_own(path, STATUS_FILE_MAX, &text) == 0)
                session_print_data(bytes_slice(&text));
}

/* Prints the line of STATUS= and returns false, unless all is well. */
static bool check_well(Json *json) {
        bool well = json_get_flag(json, "well");

        if (!well)
                say("%s", text_of(json, "status"));
        return well;
}

static int tell_once(const char *config_path, const Config *config, VerbStatus how) {
        _cleanup_free_ char *path = NULL;
        _cleanup_(json_freep) Json *tree = NULL;
        char unit[CONFIG_UNIT_SIZE];
        bool well = true;
        int r;

        (void) config_unit(config_path, unit); /* "sensorqd" where none reads it */
        r = find_status(config_path, config ? config->state_dir : NULL, &path, &tree);
        if (r < 0) {
                fprintf(stderr, "sensorqd: no status of a daemon for %s%s%s. Is it running? See: systemctl status %s\n",
                        config_path, r == -ENOENT ? "" : ": ", r == -ENOENT ? "" : strerror(-r), unit);
                if (!config)
                        fprintf(stderr,
                                "sensorqd: that file cannot be used, so its state_dir was not searched: see sensorqd "
                                "-c %s check --offline\n",
                                config_path);
                return config ? EX_UNAVAILABLE : EX_CONFIG;
        }
        if (how == VERB_STATUS_JSON)
                print_file(path);
        else if (how == VERB_STATUS_CHECK)
                well = check_well(tree);
        else
                print_status(tree);
        return tell_stale(tree, path, unit) || !well ? EX_UNAVAILABLE : EX_OK;
}

int verb_status(const char *config_path, const Config *config, VerbStatus how) {
        const char *clear = isatty(STDOUT_FILENO) ? "\033[H\033[2J" : "";

        while (how == VERB_STATUS_WATCH) {
                fputs(clear, stdout);
                (void) tell_once(config_path, config, how);
                if (*clear == '\0')
                        puts("");
                if (fflush(stdout) != 0)
                        return EX_IOERR;
                (void) sleep(WATCH_SECONDS);
        }
        return tell_once(config_path, config, how);
}
