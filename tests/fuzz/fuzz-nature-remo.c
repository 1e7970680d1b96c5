/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the reply to GET /1/devices and GET /1/appliances: readings that are strict JSON with a device and a
 * key, or an error in words; never both lost and silent. */
#include <errno.h>

#include "fuzz.h"
#include "sources/nature-remo.h"

static uint64_t fixed_random(void) {
        return 1;
}

/* What is published can be read at the other end: one object, nested no deeper than can be stored, plain UTF-8. */
static void still(void *userdata, const char *id, const char *name, const char *keys, usec_t span) {
        require(id[0] != '\0' && bytes_is_utf8(keys, strlen(keys)) && span > 0);
}

static void require_parse(const char *body, size_t size, bool meters) {
        NatureRemoMemory memory = {};
        NatureRemoReply reply = { .source = "home",
                .request_at = UINT64_C(1700000000000000),
                .random = fixed_random,
                .memory = &memory,
                .still = still };
        const ReadingList *list = &reply.readings;
        int r = meters ? nature_remo_parse_meters(&reply, (Slice){ body, size })
                       : nature_remo_parse(&reply, (Slice){ body, size });

        require(r == 0 || r == -EBADMSG);
        require((r == 0 && reply.n_bad == 0) == (reply.error[0] == '\0'));
        require(r == 0 || list->n == 0);
        require(list->n <= NATURE_REMO_DEVICES_MAX);
        for (size_t i = 0; i < list->n; i++)
                require_message(&list->items[i]);
        reading_list_done(&reply.readings);
        nature_remo_memory_done(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        require_parse((const char *) data, size, false);
        require_parse((const char *) data, size, true);
        return 0;
}
