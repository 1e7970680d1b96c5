/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The systemd unit that runs a configuration, for verbs that start it or act as its user. */

#include "config.h"
#include "lib/service.h"

/* Fills in what config_unit() finds; "sensorqd" when no unit reads the file: for use in a sentence. Returns *unit*. */
const char *unit_in_words(const char *path, char unit[static CONFIG_UNIT_SIZE]);

/* Finds the user that programs of this configuration run as when root starts them: the unit's user; without a unit, the
 * package's user if it exists. All zeros: the present user. */
void unit_user(const char *path, ServiceUser *ret);

/* Whether that user may access the file (R_OK, W_OK, X_OK) by its mode and those of the directories above. Only root
 * can find that out for another user; returns true when it is unknown. */
bool unit_may(const ServiceUser *user, const char *path, int mode);

/* The setting of the unit that hides the file from the service ("ProtectHome="). NULL: none does, or it is unknown. */
const char *unit_hides(const ServiceUser *user, const char *path);
/* True if the state_dir is the StateDirectory= of sensorqd.service, or of sensorqd@NAME for NAME.yaml: the unit makes
 * it at its first start. */
bool unit_makes_state_dir(const Config *config);
/* True if the service may write there only when the unit's ReadWritePaths= names it. */
bool unit_write_protects(const ServiceUser *user, const char *path);
