/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the doors of the tests' daemon share. A door is a function of lib/ or of a foreign library: the linker sends the
 * calls of it to
 * __wrap_NAME, which does what a test asks for in the environment and calls __real_NAME. */

#include <stdbool.h>

#include "lib/clock.h"

/* Raises SIGKILL at the n-th passing of that place, where $SENSORQD_CRASHPOINT is "NAME:n" (n from 1, default 1). NULL:
 * no place. */
void crash_pass(const char *name);

/* Milliseconds of an environment variable as usec; 0: not set. */
usec_t door_setting(const char *name);

/* Declares the two ends of a door; a door whose function has changed does not compile. */
#define DOOR(name) __typeof__(name) __real_##name, __wrap_##name
