/* SPDX-License-Identifier: Apache-2.0 */
/* The section `page:`. */
#include <string.h>

#include "config-place.h"
#include "config.h"
#include "lib/listen-address.h"
#include "lib/pointer.h"

#define TEXT_MAX 1024
#define HOSTS_MAX 20
#define SERIES_MAX 200

#define FIELD(field) offsetof(PageConfig, field)

static int field_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] != '\0' && (text[0] != '/' || (pointer_is_valid(text) && pointer_count_stars(text) == 0)))
                return 0;
        return config_problem_set(ret_problem, "is neither a member nor a JSON pointer");
}

static const ConfigType type_series = { "map of texts", "FIELD: NAME lines, indented", CONFIG_MAP,
        .inside = field_check, .empty = true };

static int tls_rule(const ConfigPlace *place, void *self, void *around) {
        const PageConfig *page = self;

        if (!page->certificate_file == !page->key_file)
                return 0;
        return config_place_fail(place, page->key_file ? "certificate_file" : "key_file",
                "is missing; certificate_file and key_file belong together");
}

/* What others can reach needs a password, which does not travel in the clear (P10). */
static int page_rule(const ConfigPlace *place, void *self, void *around) {
        const PageConfig *page = self;
        bool loopback;

        (void) listen_address_check(page->listen, &loopback);
        if (loopback)
                return 0;
        if (!page->password.file)
                return config_place_fail(place, "listen", "others can reach that address, so password_file is needed");
        if (!page->certificate_file && !page->allow_plain)
                return config_place_fail(place, "listen",
                        "others can reach that address, and the password would travel unencrypted; needs tls, or "
                        "allow_plain: true");
        return 0;
}

/* clang-format off */
static const ConfigRow tls_rows[] = {
        { "certificate_file", &config_type_path, FIELD(certificate_file), 1, TEXT_MAX,
                .doc = "PEM file of our certificate, and those between it and its authority." },
        { "key_file", &config_type_path, FIELD(key_file), 1, TEXT_MAX,
                .doc = "PEM file of its private key, without a password." },
        {},
};

static const ConfigSection tls_section = { .rows = tls_rows, .rule = tls_rule };

static const ConfigRow page_rows[] = {
        { "listen", &config_type_address, FIELD(listen), 1, TEXT_MAX, "127.0.0.1:8480",
                .doc = "Where the page is served." },
        { "hosts", &config_type_names, FIELD(hosts), 0, HOSTS_MAX,
                .doc = "Further names that browsers may call this machine by." },
        { "password_file", &config_type_secret, FIELD(password), 1, TEXT_MAX,
                .doc = "Secret file with the password that the page asks for." },
        { "tls", &config_type_section, 0, .section = &tls_section,
                .doc = "Serve the page by https." },
        { "allow_plain", &config_type_bool, FIELD(allow_plain), .fallback = "false",
                .doc = "Take the password without TLS from other machines." },
        { "subscription", &config_type_subscription, FIELD(subscription), 1, TEXT_MAX,
                .derived = "the first with a file sink, else with MongoDB, else any",
                .doc = "The subscription whose stored readings are drawn." },
        { "series", &type_series, FIELD(series), 0, SERIES_MAX,
                .doc = "Names of fields, in the order that they are shown in; an empty name hides one." },
        {},
};
/* clang-format on */

const ConfigSection config_page_section = { .rows = page_rows, .size = sizeof(PageConfig), .rule = page_rule };
