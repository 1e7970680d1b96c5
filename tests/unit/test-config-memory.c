/* SPDX-License-Identifier: Apache-2.0 */
/* P9: a lack of memory is no fault of the file. What ends with one is started again by its unit, what ends with the
 * other is not. */
#include "config-fixture.h"

/* The call for memory that fails, counted from now; 0: none. */
static unsigned fails;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__real_strdup(const char *string);
char *__wrap_strdup(const char *string);
char *__real_strndup(const char *string, size_t size);
char *__wrap_strndup(const char *string, size_t size);
int __real_vasprintf(char **ret, const char *format, va_list list) __attribute__((format(printf, 2, 0)));
int __wrap_vasprintf(char **ret, const char *format, va_list list) __attribute__((format(printf, 2, 0)));

static bool is_to_fail(void) {
        return fails > 0 && --fails == 0;
}

void *__wrap_realloc(void *memory, size_t size) {
        return is_to_fail() ? NULL : __real_realloc(memory, size);
}

void *__wrap_malloc(size_t size) {
        return is_to_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return is_to_fail() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *string) {
        return is_to_fail() ? NULL : __real_strdup(string);
}

char *__wrap_strndup(const char *string, size_t size) {
        return is_to_fail() ? NULL : __real_strndup(string, size);
}

int __wrap_vasprintf(char **ret, const char *format, va_list list) {
        static char anything[1]; /* what the C library leaves there where it fails */

        if (!is_to_fail())
                return __real_vasprintf(ret, format, list);
        *ret = anything;
        return -1;
}

static const char text[] = PUBSUB
        "publish:\n"
        "  topic: top\n"
        "  sources:\n"
        "    - { name: web, type: http_json, url: 'http://127.0.0.1/{now}' }\n"
        "    - { name: home, type: nature_remo, token_file: t }\n"
        "subscribe:\n"
        "  - { subscription: sub, mongodb: { uri: 'mongodb://u:p@127.0.0.1/', database: home, collection: readings } }\n"
        "  - subscription: alerts\n"
        "    alert:\n"
        "      targets: [{ name: hook, type: webhook, url: 'http://127.0.0.1/', body: '{\"a\": {id}}' }]\n"
        "      rules: [{ name: hot, field: t, above: 28 }]\n";

static void test_without_memory(void **state) {
        unsigned n = 0, left;

        do {
                _cleanup_(config_errors_done) ConfigErrors errors = {};
                Config *config = NULL;
                int r;

                fails = ++n;
                r = config_parse(&(ConfigInput){ "/etc/sensorqd/c.yaml", &types_of_config }, text, sizeof(text) - 1,
                        &config, &errors);
                left = fails;
                fails = 0;
                if (r != 0 && r != -ENOMEM)
                        fail_msg("call %u: %d, %s", n, r, errors.n > 0 ? errors.texts[0] : "");
                config_unref(config);
        } while (left == 0);
        assert_true(n > 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
