/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a notice says: templates with `{word}`s, the texts where none is given, in two languages. Pure but for the
 * machine's time zone. */

#include "config-type.h"
#include "sinks/alert-notice.h"

typedef enum AlertLanguage { ALERT_ENGLISH, ALERT_JAPANESE } AlertLanguage;
extern const ConfigType alert_text_language; /* of a row that stores an AlertLanguage in an int */

/* A rule's own text. `{word}` is a placeholder, an unknown word is wrong; every other brace stands for itself. */
extern const ConfigType alert_text_template;
/* The JSON body of a webhook. Its words are those of a text, and {state} and {message}. Between quotes a word is what
 * it stands for, escaped; elsewhere a JSON value: {value} the number 28.4, {name} a string, null where there is none.
 */
extern const ConfigType alert_text_body;

#define ALERT_TEXT_WORD_MAX 300

/* Appends the notice as a text of UTF-8, in which what came from a device is on one line and at most
 * ALERT_TEXT_WORD_MAX bytes long each. -ENOMEM. */
int alert_text_write(const AlertNotice *notice, AlertLanguage language, Bytes *ret);

/* Appends the body that the template gives; NULL: the default, an object with every word. -ENOMEM. */
int alert_text_write_body(const char *template, const AlertNotice *notice, AlertLanguage language, Bytes *ret);

/* In one word: for {state} ("firing"). Static. */
const char *alert_text_state(AlertKind kind);
/* ... and for the title of a message ("Alert"). */
const char *alert_text_title(AlertKind kind, AlertLanguage language);
