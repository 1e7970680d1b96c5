/* SPDX-License-Identifier: Apache-2.0 */
/* Polls more often than the configuration allows: $SENSORQD_TEST_INTERVAL_MSEC for every source. */

#include "config-file.h"
#include "crash.h"

DOOR(config_load);

int __wrap_config_load(const ConfigInput *input, Config **ret, ConfigErrors *errors) {
        usec_t interval = door_setting("SENSORQD_TEST_INTERVAL_MSEC");
        int r = __real_config_load(input, ret, errors);

        for (size_t i = 0; r == 0 && interval > 0 && i < (*ret)->n_sources; i++)
                (*ret)->sources[i].interval = interval;
        return r;
}
