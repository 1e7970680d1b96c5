/* SPDX-License-Identifier: Apache-2.0 */
#include "hook.h"

#include <json-c/json.h>
#include <string.h>

#include "ledger.h"
#include "plan.h"

/* One document of the array: kept unless it is there already. */
static void keep(unsigned subscription, struct json_object *document) {
        struct json_object *events, *sensor, *value, *id;
        uint32_t serial;

        if (!json_object_object_get_ex(document, "_id", &id) ||
                !json_object_object_get_ex(document, "newest_events", &events) ||
                !json_object_object_get_ex(events, "te", &sensor) || !json_object_object_get_ex(sensor, "val", &value))
                world_fail("the webhook is sent what nobody published: %s", json_object_to_json_string(document));
        serial = (uint32_t) json_object_get_int64(value);
        if (ledger_is_stored(subscription, serial))
                world_count("hook knows it already");
        else
                ledger_stored(subscription, serial, json_object_get_string(id));
}

void hook_serve(Exchange *x) {
        struct json_object *list = json_tokener_parse(x->body);

        if (!list || !json_object_is_type(list, json_type_array))
                world_fail("the webhook is sent something else than an array");
        for (size_t i = 0; i < json_object_array_length(list); i++)
                keep((unsigned) plan_subscription(SINK_HOOK), json_object_array_get_idx(list, i));
        json_object_put(list);
        x->progress = true;
        exchange_answer(x, 200, "{}", 2);
}
