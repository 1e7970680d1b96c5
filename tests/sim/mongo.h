/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model of a MongoDB replica set behind the functions of libmongoc that the daemon calls: defined here, they come
 * before those of the library; libbson, URIs and write concerns stay the library's. A document that was written without
 * an answer may be taken back by an election, and majority reads do not see it before. */

#include "world.h"

void mongo_new(void);
