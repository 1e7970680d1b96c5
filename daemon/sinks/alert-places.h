/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Many places of one JSON object, found in one pass over its text: rules look at the same few members of every message.
 * Pure, and no allocation after it was made. */

#include "lib/bytes.h"

typedef struct AlertPlaces AlertPlaces;

/* Without a place yet. -ENOMEM. */
int alert_places_new(AlertPlaces **ret);
AlertPlaces *alert_places_free(AlertPlaces *places);
CLEANUP_DEFINE(AlertPlaces, alert_places_free)

/* Adds a member's name, or a JSON pointer without `*` when it begins with `/`; *ret* is its number, from 0 on, the same
 * for the same place. -ENOMEM. */
int alert_places_add(AlertPlaces *places, const char *place, size_t *ret);
size_t alert_places_count(const AlertPlaces *places);

/* Points values[number] at the text of what stands at each place of *object*, data NULL where nothing does. Of two
 * equal keys the first counts. False, with nothing useful in *values*, when the whole of it is no JSON object. */
bool alert_places_find(const AlertPlaces *places, Slice object, Slice *values);
