/* SPDX-License-Identifier: Apache-2.0 */
/* Dies before or after what the outbox makes durable: a commit that puts readings or forgets them, and the renames that
 * end a salvage. Each commit takes $SENSORQD_TEST_COMMIT_MSEC longer. */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "crash.h"

DOOR(sqlite3_step);
DOOR(sqlite3_exec);
DOOR(rename);
DOOR(renameat);

static bool disk_begins(const char *text, const char *word) {
        return strncasecmp(text, word, strlen(word)) == 0;
}

/* Notes what the transaction does, by its statements. */
static const char *disk_learn(const char *doing, const char *statement) {
        if (disk_begins(statement, "BEGIN"))
                return NULL;
        if (disk_begins(statement, "INSERT INTO rejected"))
                return "reject";
        if (!doing && disk_begins(statement, "INSERT INTO readings"))
                return "put";
        if (!doing && disk_begins(statement, "DELETE FROM readings"))
                return "forget";
        return doing;
}

static void disk_pass_commit(const char *doing, bool committed) {
        if (!doing)
                return;
        if (strcmp(doing, "put") == 0)
                crash_pass(committed ? "outbox-put-committed" : "outbox-put-before-commit");
        if (strcmp(doing, "forget") == 0)
                crash_pass(committed ? "outbox-forget-committed" : "outbox-forget-before-commit");
}

static bool disk_is_outbox(sqlite3 *db) {
        const char *file = sqlite3_db_filename(db, "main"), *name = file ? strrchr(file, '/') : NULL;

        return name && strcmp(name, "/outbox.sqlite") == 0;
}

static _Thread_local const char *disk_doing;

int __wrap_sqlite3_step(sqlite3_stmt *statement) {
        if (disk_is_outbox(sqlite3_db_handle(statement)))
                disk_doing = disk_learn(disk_doing, sqlite3_sql(statement));
        return __real_sqlite3_step(statement);
}

int __wrap_sqlite3_exec(
        sqlite3 *db, const char *text, int (*each)(void *, int, char **, char **), void *userdata, char **error) {
        bool commits = disk_is_outbox(db) && disk_begins(text, "COMMIT");
        int code;

        if (disk_is_outbox(db))
                disk_doing = disk_learn(disk_doing, text);
        if (commits) {
                disk_pass_commit(disk_doing, false);
                (void) usleep((useconds_t) door_setting("SENSORQD_TEST_COMMIT_MSEC"));
        }
        code = __real_sqlite3_exec(db, text, each, userdata, error);
        if (commits && code == SQLITE_OK)
                disk_pass_commit(disk_doing, true);
        return code;
}

int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to) {
        bool completes = strstr(to, "outbox.sqlite.salvaged") != NULL;
        int r;

        if (completes)
                crash_pass("outbox-salvage-copied");
        r = __real_renameat(from_directory, from, to_directory, to);
        if (completes)
                crash_pass("outbox-salvage-complete");
        return r;
}

int __wrap_rename(const char *from, const char *to) {
        int r = __real_rename(from, to);

        if (strstr(to, "outbox.sqlite.damaged-"))
                crash_pass("outbox-salvage-aside");
        return r;
}
