/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Readings like Nature Remo's, about 350 bytes each and a thousand different ones, and the coding that carries them. */

#include "loop.h"

#define READINGS_DEVICE_SIZE 36

/* Writes the device's id and a NUL. */
void reading_device(unsigned i, char out[READINGS_DEVICE_SIZE + 1]);
/* The value of `newest_events`. */
void reading_append_events(Buffer *out, unsigned i);
/* The whole payload. */
void reading_append(Buffer *out, unsigned i);

void base64_append(Buffer *out, const char *data, size_t size);
/* Decodes NUL-terminated base64 with padding in place. Returns the size, or -1. */
ssize_t base64_decode(char *text);
