/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Places where a test kills the process: CRASHPOINT("outbox-committed") raises SIGKILL on its n-th passing when
 * $SENSORQD_CRASHPOINT is "outbox-committed:n" (n from 1, default 1). Compiled to nothing unless built with
 * -Dcrashpoints=true, which no installed binary is. */

#ifdef SENSORQD_CRASHPOINTS
void crashpoint_pass(const char *name);
#define CRASHPOINT(name) crashpoint_pass(name)
#else
#define CRASHPOINT(name) ((void) 0)
#endif
