/* SPDX-License-Identifier: Apache-2.0 */
/* Polls more often, and holds for a shorter time, than the configuration allows: $SENSORQD_TEST_INTERVAL_MSEC for every
 * source, $SENSORQD_TEST_MAX_HOLD_MSEC for every subscription. */

#include "config.h"
#include "crash.h"

DOOR(config_load);

int __wrap_config_load(const ConfigInput *input, Config **ret, ConfigErrors *errors) {
        usec_t interval = door_setting("SENSORQD_TEST_INTERVAL_MSEC"),
               max_hold = door_setting("SENSORQD_TEST_MAX_HOLD_MSEC");
        int r = __real_config_load(input, ret, errors);

        for (size_t i = 0; r == 0 && interval > 0 && i < (*ret)->n_sources; i++)
                (*ret)->sources[i].interval = interval;
        for (size_t i = 0; r == 0 && max_hold > 0 && i < (*ret)->n_subscriptions; i++)
                (*ret)->subscriptions[i].max_hold = max_hold;
        return r;
}
