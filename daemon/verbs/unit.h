/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The systemd unit that runs a configuration, for verbs that start it or act as its user. */

#include "lib/service.h"

/* Returns the length of the instance's name in the name of a configuration file: all before ".yaml", dots included. */
size_t unit_name_size(const char *file);

/* Finds the unit that runs the file *path*: /etc/sensorqd/sensorqd.yaml -> sensorqd, /etc/sensorqd/NAME.yaml ->
 * sensorqd@NAME. Returns false when no unit reads it. */
bool unit_of(const char *path, char unit[static 128]);

/* The same for use in a sentence: "sensorqd" when no unit reads the file. Returns *unit*. */
const char *unit_in_words(const char *path, char unit[static 128]);

/* Finds the user that programs of this configuration run as when root starts them: the unit's user; without a unit, the
 * package's user if it exists. All zeros: the present user. */
void unit_user(const char *path, ServiceUser *ret);

/* Whether that user may access the file (R_OK, W_OK, X_OK) by its mode and those of the directories above. Only root
 * can find that out for another user; returns true when it is unknown. */
bool unit_may(const ServiceUser *user, const char *path, int mode);
