/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is to be told: plain values between the states of the rules, which live on a thread with alerts.sqlite, and the
 * sender, which lives on the loop; and the texts that say it. */

#include "config-type.h"
#include "lib/bytes.h"
#include "lib/clock.h"

typedef enum AlertKind {
        ALERT_FIRING,   /* began, and nobody was told yet */
        ALERT_REPEAT,   /* goes on, and was told before */
        ALERT_RESOLVED, /* is over, and its beginning was told */
        ALERT_ENDED,    /* began and ended before it could be told: "was firing from ... to ..." */
        ALERT_REMOVED,  /* it ended as no value says, but as AlertEnd does, and its beginning was told */
        ALERT_TEST,     /* nothing is the matter: `alerts test` */
} AlertKind;
#define ALERT_KINDS (ALERT_TEST + 1)

/* Why a firing is over. Stored. */
typedef enum AlertEnd {
        ALERT_END_OVER,
        ALERT_END_RULE,   /* its rule is gone, or another one */
        ALERT_END_DEVICE, /* nothing was heard of its device for so long that it is forgotten */
        ALERT_END_NAME,   /* its device has another name now, which the rule is not about */
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

/* One thing to tell one target. Texts are UTF-8 as they came, neither escaped nor cut; NULL: there is none. Times are
 * wall time, 0: none. */
typedef struct AlertNotice {
        int64_t id; /* in alerts.sqlite, and in receipts */
        AlertKind kind;
        AlertTest test;
        const char *target, *rule;
        const char *source, *device, *name, *site; /* NULL all of them: the rule has found no device at all */
        const char *field, *value;
        const char *limit; /* as a reader would write it; of ALERT_STALE *span* says it */
        usec_t span;       /* of ALERT_STALE, 0: the device said that it is offline */
        usec_t since;
        usec_t until;             /* when it ended; of what goes on: when that is said */
        usec_t at;                /* when it became due */
        AlertEnd end;             /* of ALERT_REMOVED */
        const char *text;         /* the rule's template; NULL: the default */
        char key[ALERT_KEY_SIZE]; /* it was sealed under; "": it is not */
        char *block;              /* owned by the exchange: what the texts point into; may be NULL */
} AlertNotice;

typedef enum AlertVerdict {
        ALERT_SEALED,   /* is about to be sent under that key */
        ALERT_ACCEPTED, /* the target has it */
        ALERT_REFUSED,  /* it never will, while it takes others */
        ALERT_BACK,     /* it does not have it: due again, and no longer sealed */
} AlertVerdict;

typedef struct AlertReceipt {
        int64_t id;
        AlertVerdict verdict;
        usec_t at;                /* clock_now() */
        char key[ALERT_KEY_SIZE]; /* of ALERT_SEALED */
} AlertReceipt;

#define ALERT_EXCHANGE_MAX 1000 /* notices, beside those that are sealed */

/* A question to the store, and its answer. What was sealed may have been sent: it stays as it is until its receipt. */
typedef struct AlertExchange {
        AlertReceipt *receipts;
        size_t n_receipts;
        AlertNotice *notices; /* what is due now, the sealed ones as well, oldest first */
        size_t n_notices;
        uint64_t waiting; /* due in all */
        usec_t next;      /* wall time at which something more will be due; 0: nothing is foreseen */
} AlertExchange;
/* Frees everything in it, not itself: alert-book-exchange.c. */
void alert_exchange_done(AlertExchange *exchange);

/* ---- alert-text.c ---- */

/* What a notice says: templates with `{word}`s, the texts where none is given, in two languages. Pure but for the
 * machine's time zone. */
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
