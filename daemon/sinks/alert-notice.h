/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Notices: one thing to tell one target; and the texts for them. */

#include "config-type.h"
#include "lib/bytes.h"
#include "lib/clock.h"

typedef enum AlertKind {
        ALERT_FIRING,   /* began, and nobody was told yet */
        ALERT_REPEAT,   /* goes on, and was told before */
        ALERT_RESOLVED, /* is over, and its beginning was told */
        ALERT_ENDED,    /* began and ended before it could be told: "was firing from ... to ..." */
        ALERT_REMOVED,  /* ended for another reason than a value, see AlertEnd, and its beginning was told */
        ALERT_TEST,     /* a test message: `alerts test` */
} AlertKind;
#define ALERT_KINDS (ALERT_TEST + 1)

/* Why a firing is over. The numbers are stored. */
typedef enum AlertEnd {
        ALERT_END_OVER,
        ALERT_END_RULE,   /* its rule is gone or was changed */
        ALERT_END_DEVICE, /* its device was silent for so long that it is forgotten */
        ALERT_END_NAME,   /* its device got another name, to which the rule does not apply */
} AlertEnd;
#define ALERT_ENDS (ALERT_END_NAME + 1)

typedef enum AlertTest {
        ALERT_ABOVE,
        ALERT_BELOW,
        ALERT_IS,
        ALERT_STALE,
} AlertTest;
#define ALERT_TESTS (ALERT_STALE + 1)

#define ALERT_KEY_SIZE 37 /* a UUID and its NUL */

/* Texts are UTF-8 as they came, neither escaped nor cut; NULL: none. They are borrowed. Times are wall time; 0: none.
 */
typedef struct AlertNotice {
        AlertKind kind;
        AlertTest test;
        const char *rule;
        const char *source, *device, *name, *site; /* each NULL if the messages do not say it */
        bool nobody;                               /* the rule has found no device */
        const char *field, *value;
        const char *limit; /* the threshold as text; for ALERT_STALE see *span* */
        usec_t span;       /* for ALERT_STALE; 0: the device said that it is offline */
        usec_t since;
        usec_t until;     /* when it ended; while it goes on: when that is told */
        AlertEnd end;     /* of ALERT_REMOVED */
        const char *text; /* the rule's template; NULL: the default */
} AlertNotice;

/* ---- alert-text.c ---- */

/* The texts of notices: templates with `{word}`s and the default texts, in two languages. Pure but for the machine's
 * time zone. */
typedef enum AlertLanguage { ALERT_ENGLISH, ALERT_JAPANESE } AlertLanguage;
extern const ConfigType alert_text_language; /* for a row that stores an AlertLanguage in an int */

/* The type of a rule's own text. `{word}` is a placeholder; an unknown word is an error; other braces are text. */
extern const ConfigType alert_text_template;
/* The type of a webhook's JSON body. Its words are those of a text, and {state} and {message}. Between quotes, a word
 * is replaced by escaped text; elsewhere by a JSON value: {value} by the number 28.4, {name} by a string, or null if
 * there is none. */
extern const ConfigType alert_text_body;

#define ALERT_TEXT_WORD_MAX 300

/* Appends the notice as UTF-8 text. Each text from a device is put on one line and cut to ALERT_TEXT_WORD_MAX bytes.
 * -ENOMEM. */
int alert_text_write(const AlertNotice *notice, AlertLanguage language, Bytes *ret);

/* Appends the body by the template; NULL: the default, an object with every word. -ENOMEM. */
int alert_text_write_body(const char *template, const AlertNotice *notice, AlertLanguage language, Bytes *ret);

/* Returns the title of a message ("Alert"). Static. */
const char *alert_text_title(AlertKind kind, AlertLanguage language);
