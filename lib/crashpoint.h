/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Goes away: where the tests' daemon dies stands in tests/daemon/. */

#define CRASHPOINT(name) ((void) 0)
