/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Finds many places of a JSON object in one pass over its text: rules look at the same few members of every message.
 * Pure; finding allocates nothing. */

#include "lib/bytes.h"

typedef struct AlertPlaces AlertPlaces;

/* Makes an empty set of places. -ENOMEM. */
int alert_places_new(AlertPlaces **ret);
AlertPlaces *alert_places_free(AlertPlaces *places);
CLEANUP_DEFINE(AlertPlaces, alert_places_free)

/* Adds a member's name, or, when it begins with `/`, a JSON pointer without `*`. *ret* is its number, from 0; the same
 * place always has the same number. -ENOMEM. */
int alert_places_add(AlertPlaces *places, const char *place, size_t *ret);
size_t alert_places_count(const AlertPlaces *places);

/* Points values[number] at the JSON text at each place of *object*; data is NULL when there is none. Of two equal keys
 * the first counts. Returns false, with nothing useful in *values*, when *object* is not a JSON object. */
bool alert_places_find(const AlertPlaces *places, Slice object, Slice *values);
