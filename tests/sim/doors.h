/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the simulated doors are told from outside. */

#include "world.h"

/* The daemon gets that signal, now. */
void door_signal(int signal);
