/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `where`: which objects are meant, by conditions: what stands at a place (a member's name, or a JSON pointer when it
 * begins with `/`) is one of some texts. Pure; shared by sources and alerts. */

#include "config-type.h"
#include "lib/bytes.h"

/* Rows: a place, as a text; `where`, a ConfigMap with CONFIG_MANY. */
extern const ConfigType match_place_type;
extern const ConfigType match_where_type;

/* Warns where a value under that key of the section, a text or a map of conditions, is a word that older YAML takes for
 * true or false, and which is a text here. 0 or -ENOMEM. */
int match_warn(const ConfigPlace *place, const char *key);

/* Whether all conditions hold for *object*, one JSON value; without any, they do. Numbers compare as numbers (25
 * is 25.0), all else as text: a string by what it says, true, false and null by their names. What is not there, an
 * object and a list are never equal to anything. */
bool match_test(const ConfigMap *where, Slice object);

/* Whether a value is one of those: the rule above for one condition. */
bool match_value(char *const *values, Slice value);
/* Whether *text* satisfies the condition under that name; false where there is none. */
bool match_has(const ConfigMap *where, const char *name, const char *text);

/* The value that stands at *place* of *object*, a member or a pointer. */
bool match_find(Slice object, const char *place, Slice *ret);

/* The text of a JSON value as a reader would say it: a string unescaped, anything else as it is written. *text* is
 * emptied first. 1; 0: an object, a list, or a string that has no UTF-8 form; -ENOMEM. */
int match_text(Slice value, Bytes *text);
