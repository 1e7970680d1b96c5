/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The sources beside Nature Remo that a seed has: their part of the configuration, and whether their remotes are
 * content. */

#include <stdio.h>

#include "world.h"

typedef enum SimSource {
        SOURCE_MQTT,
        SOURCE_PUSH,
        SOURCE_RUN,
        SOURCE_STREAM,
        SOURCE_POINTS,
        SOURCE_LATEST,
        _SOURCE_MAX
} SimSource;

/* Draws which there are, and makes their remotes. */
void sources_new(void);
bool sources_have(SimSource source);
/* Its number by its name in the configuration, of one that is held while there is no room; -1: none of these. */
int sources_find(const char *name);
/* The broker is asked for that topic. */
bool sources_want(unsigned topic);
/* Other settings of them: at the start, and at a reload. */
void sources_draw(Draw *d);
void sources_write(FILE *file);
void sources_calm(void);
/* No remote waits for the daemon. */
bool sources_settled(void);
/* Names what waits: a failure. */
void sources_check(void);
