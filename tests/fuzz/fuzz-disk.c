/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what is on the disk: a file of the file sink, a credentials file, the tokens of OAuth 2, a row of what
 * was set apart. The first byte says which. What counts of a file ends with a line, and what is unpacked was packed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "auth.h"
#include "lib/err.h"
#include "lib/file.h"
#include "lib/gzip.h"
#include "lib/json.h"
#include "lib/sql.h"
#include "pubsub/credentials.h"
#include "sinks/file.h"
#include "subscribe/rejected.h"

#define UNPACKED_MAX (1u << 20)
#define ROWS                                                                                                           \
        "CREATE TABLE rejected (row INTEGER PRIMARY KEY, id DEFAULT 'i', subscription DEFAULT 's', reason DEFAULT ''," \
        " detail DEFAULT '', rejected_at DEFAULT 1, message_id DEFAULT 'm', publish_time DEFAULT '',"                  \
        " ordering_key DEFAULT '', attributes, data_bad DEFAULT 0, data DEFAULT 'd')"

static int file_of(Slice text) {
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        require(fd >= 0 && file_write_all(fd, text.data, text.size) == 0 && lseek(fd, 0, SEEK_SET) == 0);
        return fd;
}

/* Lines that are whole stay whole when the file is cut behind them, as after a power cut. */
static void fuzz_lines(Slice text) {
        FileLines lines = {}, again = {};
        FileKeys *keys;

        require(file_lines_read(file_of(text), &lines) == 0);
        require(lines.good <= lines.end && lines.holes <= lines.wrong && lines.tail_holes <= lines.tail);
        require((lines.n > 0) == (lines.good > 0) && file_keys_new(4, &keys) == 0);
        for (size_t i = 0; i < lines.n; i++)
                file_keys_add(keys, &lines.keys[i]);
        for (size_t i = lines.n > 4 ? lines.n - 4 : 0; i < lines.n; i++)
                require(file_keys_find(keys, lines.keys[i].id));
        if (text.size < 2 || memcmp(text.data, "\x1f\x8b", 2) != 0) {
                require(lines.end == text.size && (lines.good == 0 || text.data[lines.good - 1] == '\n'));
                require(file_lines_read(file_of((Slice){ text.data, lines.good }), &again) == 0);
                require(again.n == lines.n && again.good == lines.good && again.tail == 0 &&
                        again.wrong == lines.wrong);
        }
        file_keys_undo(keys, SIZE_MAX);
        require(lines.n == 0 || !file_keys_find(keys, lines.keys[0].id));
        file_keys_free(keys);
        free(again.keys);
        free(lines.keys);
}

static void fuzz_gzip(Slice text) {
        _cleanup_bytes_ Bytes open = {}, packed = {}, again = {};

        if (gzip_undo(text, 65536, &open) == GZIP_DONE)
                require(open.size <= 65536);
        require(gzip_make(text, &packed) == 0 && gzip_is((Slice){ packed.data, packed.size }));
        require(gzip_undo((Slice){ packed.data, packed.size }, UNPACKED_MAX, &again) == GZIP_DONE);
        require(again.size == text.size && (text.size == 0 || memcmp(again.data, text.data, text.size) == 0));
}

static void fuzz_credentials(Slice text) {
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        _cleanup_close_ int fd = file_of(text);
        CredentialsError error = {};
        char path[64];
        int r;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = credentials_load(&(Config){ .pubsub.credentials_file = path }, NULL, &credentials, &error);
        require(r == 0 || r == -EBADMSG || r == -ENOTSUP);
        require((r == 0) == (error.text[0] == '\0') && bytes_is_utf8(error.text, strlen(error.text)));
        for (CredentialsStep step = r == 0 ? credentials_first_step(credentials) : CREDENTIALS_DONE;
                step != CREDENTIALS_DONE; step = credentials_next_step(credentials, step)) {
                HttpSpec spec = {};

                if (step == CREDENTIALS_EXCHANGE && credentials->subject_file)
                        continue; /* any path of this machine */
                require(credentials_request(credentials, step, "held", 1, &spec) == 0 &&
                        http_url_check(spec.url) != HTTP_URL_MALFORMED);
                bytes_done(&spec.body);
        }
}

static char directory[] = "/dev/shm/fuzz-disk-XXXXXX";

static void remove_directory(void) {
        static const char *const names[] = { "oauth2-n.json", "rows", "rows-shm", "rows-wal" };
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void) unlinkat(fd, names[i], 0);
        (void) rmdir(directory);
        (void) close(fd);
}

static void make_directory(void) {
        static bool made;

        made = made || (mkdtemp(directory) && atexit(remove_directory) == 0);
        require(made);
}

static void fuzz_tokens(Slice text) {
        static char seed[] = "seed", url[] = "https://h/", id[] = "c";
        const AuthSpec spec = {
                .keys = { .type = AUTH_OAUTH2, .refresh_token.text = seed, .token_url = url, .client_id = id },
                .state_dir = directory,
                .state_name = "n"
        };
        AuthProof proof = {};
        Auth *auth;

        make_directory();
        require(file_replace(directory, "oauth2-n.json", text.data, text.size) == 0);
        require(auth_new(&spec, &auth) == 0);
        if (auth_prove(auth, "https://h/x", 1, &proof) == AUTH_READY) {
                require(strncmp(proof.headers[0], "Authorization: Bearer ", strlen("Authorization: Bearer ")) == 0);
                auth_proof_done(&proof);
        }
        auth_free(auth);
}

static bool on_rejected(void *userdata, const SinkRejected *rejected) {
        const char *json = rejected->attributes;

        require(json_is_whole((Slice){ json, strlen(json) }, 2, NULL) && bytes_is_utf8(json, strlen(json)));
        return true;
}

/* The attributes of a row, after damage. */
static void fuzz_rejected(Slice text) {
        _cleanup_(sql_finalizep) SqlStatement *insert = NULL;
        static char path[sizeof(directory) + 8];
        RejectedMessage message = {};
        static Sql *sql;

        make_directory();
        (void) snprintf(path, sizeof(path), "%s/rows", directory);
        if (!sql)
                require(sql_open(path, &sql) == 0 && sql_exec(sql, ROWS) == 0);
        require(sql_prepare(sql, "INSERT OR REPLACE INTO rejected (row, attributes) VALUES (1, ?)", &insert) == 0);
        sql_bind_value(insert, 1, &(const SqlValue) SQL_BLOB(text));
        require(sql_run(insert) == 0);
        require(rejected_guest_each(sql, &(SinkRejectedQuery){ .each = on_rejected }) == 0);
        if (rejected_guest_message(sql, "i", &message) == 0)
                for (size_t i = 0; i < message.wire.n_attributes; i++) {
                        const WireAttribute *a = &message.attributes[i];

                        require(a->key.data >= message.text.data && a->key.data + a->key.size == a->value.data);
                        require(a->value.data + a->value.size <= message.text.data + message.text.size);
                }
        rejected_message_done(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const parts[])(
                Slice text) = { fuzz_lines, fuzz_gzip, fuzz_credentials, fuzz_tokens, fuzz_rejected };

        if (size > 0)
                parts[data[0] % ELEMENTSOF(parts)]((Slice){ (const char *) data + 1, size - 1 });
        return 0;
}
