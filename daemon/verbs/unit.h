/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The unit that runs a configuration, for verbs that start it, or do something as it would. */

#include "lib/service.h"

/* So much of a configuration's file name is that of its instance: what stands before ".yaml", which may have dots. */
size_t unit_name_size(const char *file);

/* The unit that runs the file *path*: /etc/sensorqd/sensorqd.yaml -> sensorqd, .../NAME.yaml there -> sensorqd@NAME;
 * false where no unit reads it. */
bool unit_of(const char *path, char unit[static 128]);

/* The same for a sentence: sensorqd where no unit reads it. Returns *unit*. */
const char *unit_in_words(const char *path, char unit[static 128]);

/* As whom its programs run when root asks: as that unit's; where there is none, as the user of the package, if there is
 * one. Zeros: as we are. */
void unit_user(const char *path, ServiceUser *ret);

/* Whether that user may read or write the file (R_OK, W_OK), as far as its mode and those of the directories above say;
 * asked by root, who may do everything. True where it cannot be told: nobody but root can find out for another user. */
bool unit_may(const ServiceUser *user, const char *path, int mode);
