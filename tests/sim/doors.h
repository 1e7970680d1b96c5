/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the simulated doors are told from outside. */

#include "world.h"

/* The daemon gets that signal, now. */
void door_signal(int signal);
/* What a program has left in its pipe is being read. */
bool door_program_has_ended(void);
/* A job has not come to its end: what it holds is left when the daemon ends. */
bool door_worker_is_busy(void);
