/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `where` selects objects by conditions: the value at a place (a member's name, or a JSON pointer when it begins with
 * `/`) must be one of some texts. Pure; used by sources and alerts. */

#include "config-type.h"
#include "lib/bytes.h"

/* Types of rows: a place, which is a text; and `where`, a ConfigMap with CONFIG_MANY. */
extern const ConfigType match_place_type;
extern const ConfigType match_where_type;

/* Warns if a value under that key, a text or a map of conditions, is a word that older YAML reads as true or false:
 * here it is a text. Warns also as match_warn_place() of the places of conditions. 0 or -ENOMEM. */
int match_warn(const ConfigPlace *place, const char *key);

/* Warns if the place under that key has a dot in it as other programs have it. 0 or -ENOMEM. */
int match_warn_place(const ConfigPlace *place, const char *key);

/* True if all conditions are true for *object*, one JSON value; also if there are none. Numbers are compared as numbers
 * (25 equals 25.0), everything else as text: a string by its content, true, false and null by their names. A missing
 * value, an object or a list is never equal. */
bool match_test(const ConfigMap *where, Slice object);

/* True if *value* equals one of *values*, by the rule of match_test(). */
bool match_value(char *const *values, Slice value);
/* True if *text* satisfies the condition under that name; false if there is no such condition. */
bool match_has(const ConfigMap *where, const char *name, const char *text);

/* Finds the value at *place* in *object*: a member's name or a pointer. */
bool match_find(Slice object, const char *place, Slice *ret);

/* Writes a JSON value as a reader expects it: a string without escapes, anything else as written. *text* is emptied
 * first. 1: done; 0: an object, a list, or a string that has no UTF-8 form; -ENOMEM. */
int match_text(Slice value, Bytes *text);
