/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/unit.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

bool unit_of(const char *path, char unit[static 128]) {
        const size_t n = strlen(CONFIG_FILE_DEFAULT) - strlen("sensorqd.yaml");
        const char *name = path + n;
        size_t size = strcspn(name, ".");

        if (strncmp(path, CONFIG_FILE_DEFAULT, n) != 0 || strcmp(name + size, ".yaml") != 0)
                return false;
        if (strcmp(path, CONFIG_FILE_DEFAULT) == 0)
                (void) snprintf(unit, 128, "sensorqd");
        else
                (void) snprintf(unit, 128, "sensorqd@%.*s", (int) size, name);
        return strlen(unit) < 127;
}

void unit_user(const char *path, ServiceUser *ret) {
        char unit[128], service[140];

        *ret = (ServiceUser){};
        if (geteuid() != 0)
                return;
        if (unit_of(path, unit)) {
                (void) snprintf(service, sizeof(service), "%s.service", unit);
                if (service_unit_user(service, ret) == 0)
                        return;
        }
        if (getpwnam("sensorqd"))
                ret->name = strdup("sensorqd");
}
