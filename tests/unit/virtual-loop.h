/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The loop and the clock of a test program that decides about time itself: linked in place of lib/loop.c (which is then
 * not taken out of its library), with clock_now() and clock_wall() wrapped. Timers fire in order of their times, and
 * time stands still in between. No signals, no children; a descriptor is looked at once a turn. */

#include "lib/loop.h"

/* Does all that is due, then lets *span* pass, timer by timer. */
void virtual_pass(Loop *loop, usec_t span);

/* The machine sleeps: what is due by then is done after it. */
void virtual_sleep(usec_t span);
