/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* When a certificate is valid. */

#include "clock.h"

/* Reads the first certificate of a PEM file: wall times of its begin and its end. -EBADMSG: there is none in it; errors
 * of file_load(); -ENOMEM. */
int certificate_times(const char *file, usec_t *ret_begin, usec_t *ret_end);
