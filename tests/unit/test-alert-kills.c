/* SPDX-License-Identifier: Apache-2.0 */
/* alerts.sqlite: what is in it after kills (P3, P14). */
#include "alert-store-fixture.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/loop.h"

static unsigned syncs, die_at_sync; /* of this process; 0: never */

int fdatasync(int fd) {
        if (++syncs == die_at_sync)
                _exit(0);
        return (int) syscall(SYS_fdatasync, fd);
}

enum { KILLS = 100, LOG_MAX = 20000 };

/* What outlives the process: the queue, which knows what was acknowledged, and the targets. */
typedef struct Outside {
        volatile uint64_t acknowledged; /* messages */
        volatile size_t n_log;
        struct {
                char key[ALERT_KEY_SIZE];
                AlertKind kind;
                usec_t since;
        } log[LOG_MAX];
        volatile bool in_doubt; /* between a target's answer and our record of it */
} Outside;

/* Message *i*: ten that are hot, ten that are not, in turns. */
static const char *temperature(uint64_t i) {
        return i / 10 % 2 == 0 ? "\"t\":30" : "\"t\":20";
}

/* Seals what is due, tells it, and notes the answer; as the sender does. */
static void send_due(const Place *p, AlertStore *store, Outside *outside) {
        AlertTurn look = new_turn(p), seal = new_turn(p), record = new_turn(p);
        const AlertBook *book = alert_store_book(store);
        char key[ALERT_KEY_SIZE];

        if (run(store, &look) != 0)
                return;
        for (size_t i = 0; i < book->n_due; i++) {
                (void) snprintf(key, sizeof(key), "%016" PRIx64, loop_random());
                if (!alert_entry_is_sealed(book->due[i].entry))
                        alert_entry_seal(&book->due[i], key, p->wall);
        }
        if (run(store, &seal) != 0)
                return;
        for (size_t i = 0; i < book->n_due; i++) {
                const AlertNotice notice = alert_book_notice(book, &book->due[i]);

                outside->in_doubt = true;
                memcpy(outside->log[outside->n_log].key, book->due[i].entry->seal, ALERT_KEY_SIZE);
                outside->log[outside->n_log].kind = notice.kind;
                outside->log[outside->n_log].since = notice.since;
                outside->n_log++;
                alert_entry_answer(book->due[i].entry, ALERT_ACCEPTED, p->wall);
        }
        outside->in_doubt = run(store, &record) != 0;
}

static void live(Place *p, Outside *outside, uint64_t until) {
        open_store(p);
        while (outside->acknowledged < until) {
                p->wall = START + (outside->acknowledged + 1) * USEC_PER_SEC;
                if (say(p, "x", temperature(outside->acknowledged)) == 0)
                        outside->acknowledged++;
                send_due(p, p->store, outside);
        }
        send_due(p, p->store, outside);
        _exit(0);
}

static void kill_once(Place *p, Outside *outside, unsigned *doubts) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0)
                live(p, outside, UINT64_MAX);
        (void) usleep((useconds_t) (loop_random() % 30000 + 2000));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        *doubts += outside->in_doubt;
        outside->in_doubt = false;
}

/* Each firing is told, then its end, in turns; a key twice is one message to those that know keys. */
static void check_log(const Outside *outside, unsigned doubts) {
        unsigned doubled = 0, told = 0;
        AlertKind last = ALERT_RESOLVED;
        usec_t since = 0;

        for (size_t i = 0; i < outside->n_log; i++) {
                if (i > 0 && strcmp(outside->log[i].key, outside->log[i - 1].key) == 0) {
                        doubled++;
                        continue;
                }
                told++;
                if (outside->log[i].kind == ALERT_FIRING) {
                        assert_int_equal(last, ALERT_RESOLVED);
                        /* none is left out: one begins every 20 messages */
                        assert_true(since == 0 || outside->log[i].since == since + 20 * USEC_PER_SEC);
                        since = outside->log[i].since;
                } else {
                        assert_int_equal(outside->log[i].kind, ALERT_RESOLVED);
                        assert_int_equal(last, ALERT_FIRING);
                        assert_true(outside->log[i].since == since);
                }
                last = outside->log[i].kind;
        }
        assert_true(told >= outside->acknowledged / 10);
        assert_true(doubled <= doubts);
        print_message("%d kills, %" PRIu64
                      " messages, %u told, %u doubled for a target without keys (of %u in doubt)\n",
                KILLS, outside->acknowledged, told, doubled, doubts);
}

static void test_kills(void **state) {
        Place *p = *state;
        Outside *outside = mmap(NULL, sizeof(Outside), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        unsigned doubts = 0;
        pid_t child;
        int status;

        assert_true(outside != MAP_FAILED);
        p->store = alert_store_free(p->store);
        for (int i = 0; i < KILLS; i++)
                kill_once(p, outside, &doubts);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
                live(p, outside, (outside->acknowledged / 20 + 1) * 20);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        check_log(outside, doubts);
        (void) munmap(outside, sizeof(Outside));
}

/* P3: a process was killed while its commit was on the way to the disk. The next one finds it, and may acknowledge what
 * changes nothing any more, only once it is there. */
static void test_killed_before_a_sync(void **state) {
        Place *p = *state;
        unsigned died = 0;

        for (unsigned at = 1; at <= 6; at++) {
                pid_t child;
                int status;

                p->store = alert_store_free(p->store);
                p->wall += USEC_PER_MINUTE;
                child = fork();
                assert_true(child >= 0);
                if (child == 0) {
                        syncs = 0;
                        die_at_sync = at;
                        open_store(p);
                        (void) say(p, "1", "\"t\":30");
                        _exit(1);
                }
                assert_int_equal(waitpid(child, &status, 0), child);
                died += WEXITSTATUS(status) == 0;
                open_store(p);
                syncs = 0;
                assert_int_equal(say(p, "1", "\"t\":30"), 0);
                assert_in_range(syncs, 1, UINT_MAX);
        }
        assert_in_range(died, 2, 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_kills, setup, teardown),
                cmocka_unit_test_setup_teardown(test_killed_before_a_sync, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
