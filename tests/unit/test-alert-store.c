/* SPDX-License-Identifier: Apache-2.0 */
/* alerts.sqlite: what is in it after a restart, damage, and beside a second subscription (P3, P14). */
#include "alert-store-fixture.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char other_name[] = "projects/p/subscriptions/other";

static bool syncs_fail;
static useconds_t sync_takes;

int fdatasync(int fd) {
        (void) usleep(sync_takes);
        if (syncs_fail) {
                errno = EIO;
                return -1;
        }
        return (int) syscall(SYS_fdatasync, fd);
}

static const char *const kinds[] = { "FIRING", "REPEAT", "RESOLVED", "ENDED", "REMOVED", "TEST" };

enum { NOTHING = -1 };

/* What is due, one a line, "[KEY]" behind what is sealed. It is sealed, and gets *verdict*; SEALED: no answer; NOTHING:
 * nothing at all. Freed by the caller. */
static char *tell_to(const Place *p, AlertStore *store, int verdict) {
        AlertTurn turn = new_turn(p), next = new_turn(p);
        const AlertBook *book;
        Bytes text = {};

        assert_int_equal(run(store, &turn), 0);
        assert_int_equal(bytes_append_text(&text, ""), 0);
        book = alert_store_book(store);
        for (size_t i = 0; i < book->n_due; i++) {
                const AlertNotice n = alert_book_notice(book, &book->due[i]);
                AlertEntry *entry = book->due[i].entry;

                assert_int_equal(bytes_append_format(&text, "%s%s %s %s %s%s%s%s", text.size > 0 ? "\n" : "",
                                         entry->target, kinds[n.kind], n.rule, n.name, entry->seal[0] ? " [" : "",
                                         entry->seal, entry->seal[0] ? "]" : ""),
                        0);
                if (verdict != NOTHING && !alert_entry_is_sealed(entry))
                        alert_entry_seal(&book->due[i], "KEY", next.moment.wall);
                if (verdict != NOTHING && verdict != SEALED)
                        alert_entry_answer(entry, (AlertVerdict) verdict, next.moment.wall);
        }
        assert_int_equal(run(store, &next), 0);
        return text.data;
}

static void expect(Place *p, int verdict, const char *expected) {
        _cleanup_free_ char *found = tell_to(p, p->store, verdict);

        assert_string_equal(found, expected);
}

static void restart(Place *p) {
        p->store = alert_store_free(p->store);
        open_store(p);
}

static void test_restart(void **state) {
        Place *p = *state;

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        restart(p);
        expect(p, SEALED, "a FIRING hot Room x");
        restart(p);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x [KEY]");
        restart(p);
        expect(p, NOTHING, "");
        assert_int_equal(say(p, "x", "\"t\":30"), 0); /* the same message again */
        p->wall -= MINUTE;
        assert_int_equal(say(p, "x", "\"t\":20"), 0); /* and an older one */
        p->wall += 2 * MINUTE;
        expect(p, NOTHING, "");
        assert_int_equal(say(p, "x", "\"t\":20"), 0);
        restart(p);
        expect(p, ALERT_ACCEPTED, "a RESOLVED hot Room x");
        restart(p);
        expect(p, NOTHING, "");
        p->wall += MINUTE;
        assert_int_equal(say(p, "x", "\"t\":2"), 0);
        restart(p);
        expect(p, ALERT_ACCEPTED, "a FIRING cold Room x\nb FIRING cold Room x");
}

static void reload(Place *p, const char *rules) {
        p->store = alert_store_free(p->store);
        config_unref(p->config);
        p->config = alert_parse(rules);
        open_store(p);
}

/* While a rule is gone nobody judges by it: what it thought then is nothing to tell when it comes back. */
static void test_rule_that_comes_back(void **state) {
        static const char damp[] = "        - { name: damp, field: h, above: 70 }\n",
                          both[] = "        - { name: damp, field: h, above: 70 }\n"
                                   "        - { name: hot, field: t, above: 28, clear: 27, to: [a] }\n";
        Place *p = *state;

        reload(p, both);
        assert_int_equal(say(p, "x", "\"t\":30,\"h\":60"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        reload(p, damp);
        expect(p, ALERT_ACCEPTED, "a REMOVED hot Room x");
        p->wall += HOUR;
        assert_int_equal(say(p, "x", "\"t\":20"), 0);
        p->wall += HOUR;
        reload(p, both);
        expect(p, NOTHING, "");
        p->wall += MINUTE;
        expect(p, NOTHING, "");
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
}

static int64_t count(const Place *p, const char *table) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        _cleanup_free_ char *query = NULL;

        assert_true(asprintf(&query, "SELECT count(*) FROM %s", table) > 0);
        assert_int_equal(sql_open(p->path, &sql), 0);
        assert_int_equal(sql_prepare(sql, query, &s), 0);
        assert_int_equal(sql_step(s), SQL_ROW);
        return sql_column_int(s, 0);
}

/* A device that is gone for good: told once more, over restarts, and nothing of it stays in the file. */
static void test_forgotten(void **state) {
        Place *p = *state;

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        p->wall += 31 * 24 * HOUR;
        assert_int_equal(say(p, "y", "\"t\":20"), 0);
        restart(p);
        expect(p, SEALED, "a REMOVED hot Room x");
        restart(p);
        assert_int_equal(count(p, "device"), 2);
        expect(p, ALERT_ACCEPTED, "a REMOVED hot Room x [KEY]");
        assert_int_equal(count(p, "device"), 1);
        assert_int_equal(count(p, "notice"), 0);
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        restart(p);
        expect(p, NOTHING, "");
}

#define SILENT(n) "        - { name: none" #n ", where: { id: n" #n " }, stale: 480h }\n"

/* Rules that have found no device for 20 days, all in the turn in which the device of another one is forgotten: what is
 * logged of each is of that rule. */
static void test_said_of_nobody(void **state) {
        static const char rules[] = "        - { name: lost, where: { id: x }, stale: 30m }\n" SILENT(1) SILENT(2)
                SILENT(3) SILENT(4) SILENT(5) SILENT(6) SILENT(7) SILENT(8);
        Place *p = *state;
        Capture capture;
        const char *log;

        p->store = alert_store_free(p->store);
        config_unref(p->config);
        p->config = alert_parse(rules);
        open_store(p);
        assert_int_equal(say(p, "x", ""), 0);
        p->wall += 31 * 24 * HOUR;
        capture = capture_begin();
        assert_int_equal(say(p, "y", ""), 0);
        log = capture_end(&capture);
        for (int i = 1; i <= 8; i++) {
                char words[64];

                (void) snprintf(words, sizeof(words), "Alert none%d fires for no device at all", i);
                assert_int_equal(count_of(log, words), 1);
        }
}

static void test_what_is_no_message_of_ours(void **state) {
        static const char *const data[] = { "", "ON", "[1]", "\"x\"", "{", "{\"t\":30", "{\"t\":30}x",
                "\x1f\x8b\x08garbage" };
        Place *p = *state;

        for (size_t i = 0; i < ELEMENTSOF(data); i++) {
                AlertTurn turn = new_turn(p);
                Said said;

                said_init(&said, "x", p->wall, p->wall, "");
                said.message.data = text_slice(data[i]);
                turn.items = &said.item;
                turn.n_items = 1;
                assert_int_equal(run(p->store, &turn), 0);
        }
        expect(p, NOTHING, "");
}

static void spoil(const char *path) {
        FILE *file = fopen(path, "r+e");

        assert_non_null(file);
        for (int i = 0; i < 3000; i++)
                assert_true(fputs("damage!", file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static unsigned count_aside(const Place *p) {
        char command[160], text[16] = "";
        FILE *pipe;

        (void) snprintf(command, sizeof(command), "ls %s | grep -c 'damaged-[-0-9TZ]*$'", p->directory);
        pipe = popen(command, "re");
        assert_non_null(pipe);
        assert_non_null(fgets(text, sizeof(text), pipe));
        (void) pclose(pipe);
        return (unsigned) atoi(text);
}

static void change_file(const Place *p, const char *statements) {
        _cleanup_(sql_closep) Sql *sql = NULL;

        assert_int_equal(sql_open(p->path, &sql), 0);
        assert_int_equal(sql_exec(sql, statements), 0);
}

/* Rows that can be read, with values that cannot be right: what is shown of them is UTF-8, and what they said
 * is lost alone. */
static void test_odd_rows(void **state) {
        Place *p = *state;
        AlertTurn turn;

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, NOTHING, "a FIRING hot Room x");
        p->store = alert_store_free(p->store);
        change_file(p, "UPDATE device SET name = CAST(x'52ff' AS TEXT)");
        open_store(p);
        turn = new_turn(p);
        alert_work_run(p->store, &turn);
        assert_int_equal(turn.result, 0);
        assert_non_null(strstr(turn.figures.rules.data, "\"name\":\"R?\""));
        alert_figures_done(&turn.figures);

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        assert_int_equal(say(p, "y", "\"t\":30"), 0);
        assert_int_equal(say(p, "z", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room y\na FIRING hot Room z");

        /* what one row says is lost, and all others stand */
        p->store = alert_store_free(p->store);
        change_file(p, "UPDATE device SET states = '[[7]]' WHERE id = 'x'");
        change_file(p, "UPDATE notice SET id = 0 WHERE device = (SELECT device FROM device WHERE id = 'y')");
        open_store(p);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room y");
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, NOTHING, ""); /* the target was told */
        restart(p);
        expect(p, NOTHING, "");
        p->wall += MINUTE;
        assert_int_equal(say(p, "z", "\"t\":20"), 0);
        expect(p, ALERT_ACCEPTED, "a RESOLVED hot Room z");
        assert_int_equal(say(p, "x", "\"t\":20"), 0);
        expect(p, ALERT_ACCEPTED, "a RESOLVED hot Room x");
        assert_int_equal(count_aside(p), 0);
}

/* What is not ours is lost with the row alone, whatever it is. */
static void test_wrong_states(void **state) {
        static const char *const wrong[] = { "", "{}", "[", "[[]]", "[[\"0\",3,0,0,0,0,0,0,\"\"]]",
                "[[\"0\",0,0,0,0,0,0,0]]", "[[\"0\",0,-1,0,0,0,0,0,\"\"]]",
                "[[\"0\",0,99999999999999999999999,0,0,0,0,0,\"\"]]", "[]x",
                "[[\"012345678901234567890\",0,0,0,0,0,0,0,\"\"]]" };
        Place *p = *state;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_free_ char *change = NULL;
                Capture capture;
                const char *log;

                assert_int_equal(say(p, "x", "\"t\":20"), 0);
                p->store = alert_store_free(p->store);
                assert_true(asprintf(&change, "UPDATE device SET states = '%s'", wrong[i]) > 0);
                change_file(p, change);
                open_store(p);
                capture = capture_begin();
                p->wall += MINUTE;
                assert_int_equal(say(p, "y", "\"t\":20"), 0);
                log = capture_end(&capture);
                assert_int_equal(count_of(log, "impossible value"), 1);
                assert_int_equal(count_aside(p), 0);
        }
}

/* 0.2.0 noted no time of sending in what it sealed of a firing. */
static void test_sealed_by_0_2_0(void **state) {
        Place *p = *state;
        AlertTurn turn;

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, SEALED, "a FIRING hot Room x");
        p->store = alert_store_free(p->store);
        change_file(p, "UPDATE notice SET sealed_until = 0");
        p->wall += 10 * MINUTE;
        for (unsigned i = 0; i < 2; i++) { /* and what is said then stays */
                const AlertBook *book;
                AlertNotice notice;

                open_store(p);
                turn = new_turn(p);
                assert_int_equal(run(p->store, &turn), 0);
                book = alert_store_book(p->store);
                assert_int_equal(book->n_due, 1);
                notice = alert_book_notice(book, &book->due[0]);
                assert_in_range(notice.until - notice.since, 10 * MINUTE, 10 * MINUTE);
                p->store = alert_store_free(p->store);
                p->wall += MINUTE;
        }
        open_store(p);
}

/* Whether a firing was due is in the file, also in that of 0.2.0: the end of one that was not is told to nobody. */
static void test_changed_rule_of_what_was_due(void **state) {
        static const char other[] = "        - { name: hot, field: t, above: 35, to: a }\n",
                          hot[] = "        - { name: hot, field: t, above: 28, clear: 27, to: a }\n";
        Place *p = *state;

        for (unsigned due = 0; due < 2; due++) {
                reload(p, hot);
                p->wall += MINUTE;
                assert_int_equal(say(p, "x", "\"t\":30"), 0);
                expect(p, NOTHING, "a FIRING hot Room x");
                p->store = alert_store_free(p->store);
                if (!due)
                        change_file(p, "UPDATE notice SET released = 0");
                open_store(p);
                p->wall += MINUTE;
                reload(p, other);
                expect(p, ALERT_ACCEPTED, due ? "a ENDED hot Room x" : "");
        }
}

/* A device of which no rule has a state is known by name as long as it is to be told of. */
static void test_name_outlives_a_lost_file(void **state) {
        Place *p = *state;

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        reload(p, "        - { name: other, field: u, above: 28, to: a }\n");
        expect(p, NOTHING, "a REMOVED hot Room x");
        assert_int_equal(unlink(p->path), 0);
        expect(p, NOTHING, "a REMOVED hot Room x");
        restart(p);
        expect(p, ALERT_ACCEPTED, "a REMOVED hot Room x");
}

/* A rule is removed together with one of its targets: its end is logged all the same, and once. */
static void test_removed_with_its_target(void **state) {
        static const ConfigTypes types = { alert_source_at, alert_sink_at };
        static const char text[] = PUBSUB "subscribe:\n"
                                          "  - subscription: sub\n"
                                          "    alert:\n"
                                          "      targets: [{ name: TARGET, type: ntfy, topic: topic-of-b }]\n"
                                          "      rules:\n"
                                          "        - { name: other, field: t, below: 5 }\n";
        Place *p = *state;

        for (unsigned i = 0; i < 8; i++) {
                char *now = strdup(text), device[2] = { (char) ('a' + i), '\0' };
                Capture capture;
                const char *log;

                config_unref(p->config);
                p->store = alert_store_free(p->store);
                p->config = alert_parse("        - { name: hot, field: t, above: 28 }\n");
                open_store(p);
                assert_int_equal(say(p, device, "\"t\":30"), 0);
                free(tell_to(p, p->store, ALERT_ACCEPTED));

                memcpy(strstr(now, "TARGET"), i % 2 ? "a     " : "b     ", 6);
                config_unref(p->config);
                p->store = alert_store_free(p->store);
                p->config = parse_as("c.yaml", now, strlen(now), &types);
                open_store(p);
                capture = capture_begin();
                assert_int_equal(say(p, device, "\"t\":20"), 0);
                log = capture_end(&capture);
                if (count_of(log, "Alert hot is over for") != 1)
                        fail_msg("round %u: %s", i, log);
                free(tell_to(p, p->store, ALERT_ACCEPTED));
                free(now);
        }
}

static void test_damaged(void **state) {
        Place *p = *state;

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        p->store = alert_store_free(p->store);
        spoil(p->path);
        open_store(p);
        p->wall += MINUTE;
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        assert_int_equal(count_aside(p), 1);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x"); /* told again, rather than never */

        /* Somebody takes the file away while it is in use: what is in memory goes into a new one. */
        assert_int_equal(unlink(p->path), 0);
        p->wall += MINUTE;
        assert_int_equal(say(p, "y", "\"t\":30"), 0);
        restart(p);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room y");
        p->wall += MINUTE;
        assert_int_equal(say(p, "x", "\"t\":20"), 0);
        expect(p, ALERT_ACCEPTED, "a RESOLVED hot Room x");

        /* It is found while the file is in use: nothing is told twice. */
        change_file(p, "PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE more (a)");
        spoil(p->path);
        p->wall += MINUTE;
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        assert_int_equal(count_aside(p), 2);
        restart(p);
        expect(p, NOTHING, "a FIRING hot Room x");
}

static void test_newer(void **state) {
        Place *p = *state;
        Sql *sql;

        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        p->store = alert_store_free(p->store);
        assert_int_equal(sql_open(p->path, &sql), 0);
        assert_int_equal(sql_exec(sql, "PRAGMA user_version = 7"), 0);
        (void) sql_close(sql);
        open_store(p);
        assert_int_equal(say(p, "x", "\"t\":20"), -EOPNOTSUPP);
        assert_int_equal(count_aside(p), 0);
}

static void test_disk_that_refuses(void **state) {
        Place *p = *state;
        char elsewhere[80];

        assert_int_equal(say(p, "x", "\"t\":20"), 0);
        p->store = alert_store_free(p->store);
        (void) snprintf(elsewhere, sizeof(elsewhere), "%s-away", p->directory);
        open_store(p);
        assert_int_equal(rename(p->directory, elsewhere), 0);
        p->wall += MINUTE;
        assert_true(say(p, "x", "\"t\":30") < 0);
        assert_int_equal(rename(elsewhere, p->directory), 0);
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, NOTHING, "a FIRING hot Room x");
}

/* What begins and ends while nothing can be written: of no end is told without its beginning. */
static void test_over_while_the_disk_fails(void **state) {
        static const char *const values[] = { "\"t\":30", "\"t\":20", "\"t\":30", "\"t\":20" };
        Place *p = *state;

        for (size_t n = 2; n <= ELEMENTSOF(values); n++) {
                Capture capture = capture_begin();
                char *log;

                for (size_t i = 0; i < n; i++) {
                        p->wall += MINUTE;
                        syncs_fail = i + 1 < n;
                        assert_int_equal(say(p, "x", values[i]) < 0, syncs_fail);
                }
                log = capture_end(&capture);
                assert_int_equal(count_of(log, "Alert hot fires for"), n % 2);
                assert_int_equal(count_of(log, "Alert hot is over for"), 0);
                p->wall += MINUTE;
                assert_int_equal(say(p, "x", "\"t\":20"), 0);
                free(tell_to(p, p->store, ALERT_ACCEPTED));
        }
}

/* The clock is set while nothing can be written: when that is over, it is still known. */
static void test_clock_set_while_the_disk_fails(void **state) {
        AlertTurn turn;
        Place *p = *state;

        reload(p, "        - { name: hot, field: t, above: 28, repeat: 1h, to: a }\n"
                  "        - { name: silent, stale: 30m, to: a }\n");
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        p->wall += MINUTE;
        p->set = 5 * HOUR;
        turn = new_turn(p);
        syncs_fail = true;
        assert_true(run(p->store, &turn) < 0);
        syncs_fail = false;
        expect(p, NOTHING, "");
        p->wall += 10 * MINUTE;
        expect(p, NOTHING, "");
        p->wall += 50 * MINUTE;
        expect(p, ALERT_ACCEPTED, "a FIRING silent Room x\na REPEAT hot Room x");
}

static void test_two_subscriptions(void **state) {
        Place *p = *state;
        const SubscriptionConfig config = config_of(p, other_name);
        _cleanup_free_ char *told = NULL;
        AlertStore *other;

        assert_int_equal(alert_store_new(&config, &other), 0);
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        assert_int_equal(say_to(p, other, "y", "\"t\":30"), 0);
        /* the one finds damage, and begins a new file; the other one goes on in that */
        p->store = alert_store_free(p->store);
        assert_int_equal(unlink(p->path), 0);
        open_store(p);
        p->wall += MINUTE;
        assert_int_equal(say(p, "x", "\"t\":31"), 0);
        assert_int_equal(say_to(p, other, "y", "\"t\":31"), 0);
        other = alert_store_free(other);
        assert_int_equal(alert_store_new(&config, &other), 0);
        told = tell_to(p, other, ALERT_ACCEPTED);
        assert_string_equal(told, "a FIRING hot Room y");
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        other = alert_store_free(other);
}

typedef struct Neighbour {
        const Place *place;
        AlertStore *store;
        int result;
} Neighbour;

static void *neighbour_say(void *userdata) {
        Neighbour *n = userdata;

        n->result = say_to(n->place, n->store, "y", "\"t\":30");
        return NULL;
}

/* The commit of the one takes long: the other waits for it, and says nothing. */
static void test_two_on_a_slow_disk(void **state) {
        Place *p = *state;
        const SubscriptionConfig config = config_of(p, other_name);
        Neighbour neighbour = { p };
        pthread_t thread;

        assert_int_equal(alert_store_new(&config, &neighbour.store), 0);
        assert_int_equal(say(p, "x", "\"t\":20"), 0);
        assert_int_equal(say_to(p, neighbour.store, "y", "\"t\":20"), 0);
        p->wall += MINUTE;
        sync_takes = 600000;
        assert_int_equal(pthread_create(&thread, NULL, neighbour_say, &neighbour), 0);
        (void) usleep(100000);
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        sync_takes = 0;
        assert_int_equal(neighbour.result, 0);
        neighbour.store = alert_store_free(neighbour.store);
}

static void test_list(void **state) {
        Place *p = *state;
        const SubscriptionConfig config = config_of(p, sub_name);
        const AlertDevice *device;
        AlertStore *look;

        assert_int_equal(alert_store_look(&config, &look), -ENOENT);
        assert_int_equal(say(p, "x", "\"t\":30"), 0);
        expect(p, ALERT_ACCEPTED, "a FIRING hot Room x");
        assert_int_equal(alert_store_look(&config, &look), 0); /* beside the one that has it open */
        assert_int_equal(alert_store_book(look)->n_devices, 1);
        device = alert_store_book(look)->devices[0];
        assert_string_equal(device->name, "Room x");
        assert_int_equal(device->n_slots, 2);
        assert_int_equal(device->slots[0].state.phase, PHASE_FIRING);
        assert_int_equal(device->slots[1].state.phase, PHASE_OK);
        assert_true(device->entries->told_since > 0 && !device->entries->next);
        look = alert_store_free(look);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rule_that_comes_back, setup, teardown),
                cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
                cmocka_unit_test_setup_teardown(test_said_of_nobody, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_no_message_of_ours, setup, teardown),
                cmocka_unit_test_setup_teardown(test_odd_rows, setup, teardown),
                cmocka_unit_test_setup_teardown(test_wrong_states, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sealed_by_0_2_0, setup, teardown),
                cmocka_unit_test_setup_teardown(test_changed_rule_of_what_was_due, setup, teardown),
                cmocka_unit_test_setup_teardown(test_name_outlives_a_lost_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_removed_with_its_target, setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
                cmocka_unit_test_setup_teardown(test_newer, setup, teardown),
                cmocka_unit_test_setup_teardown(test_disk_that_refuses, setup, teardown),
                cmocka_unit_test_setup_teardown(test_over_while_the_disk_fails, setup, teardown),
                cmocka_unit_test_setup_teardown(test_clock_set_while_the_disk_fails, setup, teardown),
                cmocka_unit_test_setup_teardown(test_two_subscriptions, setup, teardown),
                cmocka_unit_test_setup_teardown(test_two_on_a_slow_disk, setup, teardown),
                cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
