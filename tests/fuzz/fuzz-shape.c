/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a document, through one of several configurations (the first byte says which): readings that are strict
 * JSON objects with a device and a key, or kept unread with a reason; the same again for the same bytes. */

#include "fuzz.h"
#include "publish/shape.h"

#define TEXT (char *)

static ConfigPair fields[] = { { TEXT "v", (char *[]){ TEXT "/v", NULL } },
        { TEXT "id", (char *[]){ TEXT "/list/*", NULL } }, { TEXT "w", (char *[]){ TEXT "/w/0", NULL } } };
static ConfigPair terms[] = { { TEXT "v", (char *[]){ TEXT "1", TEXT "on", NULL } } };
static const ShapeConfig configs[] = {
        {},
        { .items = (char *[]){ TEXT "/list/*", TEXT "/*/*", NULL }, .id = TEXT "*", .name = TEXT "/name" },
        { .items = (char *[]){ TEXT "/list", NULL },
                .id = TEXT "/id",
                .time = TEXT "/at",
                .once_per = SHAPE_MEASUREMENT },
        { .fields = { fields, 3 },
                .items = (char *[]){ TEXT "/list/*", NULL },
                .time = TEXT "/t/*",
                .time_format = SHAPE_UNIX },
        { .numbers = (char *[]){ TEXT "v", TEXT "value", NULL },
                .thousands = TEXT ",",
                .time = TEXT "/at",
                .time_format = SHAPE_LOCAL },
        { .where = { terms, 1 }, .missing = (char *[]){ TEXT "", NULL } },
};

static uint64_t fixed_random(void) {
        return 1;
}

static void note(void *userdata, const char *kind, const char *device, const char *text) {
        require(kind[0] != '\0' && text[0] != '\0' && bytes_is_utf8(text, strlen(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ReadingList list = {}, again = {};
        Bytes labels = {};
        ShapeOrigin origin = { .source = "src",
                .type = "exec",
                .arrived = UINT64_C(1700000000000000),
                .random = fixed_random,
                .note = note };
        const ShapeConfig *config;

        if (size == 0)
                return 0;
        require(reading_labels_add(&labels, "site", "here") >= 0);
        origin.labels = bytes_slice(&labels);
        config = &configs[data[0] % (sizeof(configs) / sizeof(configs[0]))];
        require(shape_read(config, &origin, (Slice){ (const char *) data + 1, size - 1 }, &list) == 0);
        require(list.n_dropped == 0 || list.n_unreadable > 0);
        for (size_t i = 0; i < list.n; i++)
                require_message(&list.items[i]);
        for (size_t i = 0; i < list.n_unreadable; i++)
                require(list.unreadable[i].reason[0] != '\0');

        require(shape_read(config, &origin, (Slice){ (const char *) data + 1, size - 1 }, &again) == 0);
        require(again.n == list.n);
        for (size_t i = 0; i < list.n; i++)
                require(strcmp(list.items[i].key, again.items[i].key) == 0 &&
                        strcmp(list.items[i].payload.data, again.items[i].payload.data) == 0);
        reading_list_done(&list);
        reading_list_done(&again);
        bytes_done(&labels);
        return 0;
}
