/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What goes wrong, when and how often: drawn by the seed before the run begins, as a list of spells, each over some
 * targets. Within a spell each call is a draw of its own. */

#include "world.h"

typedef enum Target {
        TARGET_PULL,
        TARGET_PUBLISH,
        TARGET_ACK,  /* acknowledge and modifyAckDeadline */
        TARGET_LOOK, /* GET of topics and subscriptions */
        TARGET_TOKEN,
        TARGET_REMO,
        TARGET_HOOK,
        TARGET_LINE, /* targets of alerts: alerts.h */
        TARGET_SLACK,
        TARGET_PAGER,
        TARGET_NTFY,
        TARGET_DISCORD,
        TARGET_POINTS,
        TARGET_PUSH,    /* each request, and each try to listen */
        TARGET_PROGRAM, /* each run */
        TARGET_BROKER,  /* each piece on its connection */
        TARGET_MONGO,
        TARGET_DISK,
        _TARGET_MAX,
} Target;

/* What becomes of a request. */
typedef enum Fault {
        FAULT_NONE,
        FAULT_UNREACHABLE,  /* nothing was sent */
        FAULT_TLS,          /* nothing was sent */
        FAULT_LOST,         /* sent, never arrived, no answer */
        FAULT_CUT_EARLY,    /* connection lost before it was carried out */
        FAULT_UNANSWERED,   /* carried out, no answer */
        FAULT_CUT_LATE,     /* carried out, connection lost in the answer */
        FAULT_SLOW,         /* all is well, but late */
        FAULT_DENIED,       /* 403 of the service */
        FAULT_MISSING,      /* 404 of the service */
        FAULT_BUSY,         /* 429, 503, with or without the time to wait */
        FAULT_BROKEN,       /* 500, 502, 504, 408: a page of a front end, or JSON */
        FAULT_BROKEN_LATE,  /* 503 although it was carried out */
        FAULT_UNAUTHORIZED, /* 401 whatever the token */
        FAULT_PORTAL,       /* 200 and a page of somebody else */
        FAULT_PROXY,        /* 403 or 404 and a page of somebody else */
        FAULT_GARBLED,      /* carried out; the answer is cut in the middle, and looks whole */
        _FAULT_MAX,
} Fault;

typedef struct Spell {
        usec_t from, to;
        unsigned targets; /* a bit for each Target */
        unsigned density; /* per million calls */
        Fault only;       /* FAULT_NONE: a mixture */
} Spell;

#define SPELLS_MAX 512

typedef struct Weather {
        Spell spells[SPELLS_MAX];
        size_t n;
        unsigned base; /* per million calls, always */
        const char *kind;
} Weather;

void weather_new(void);
/* Of a call that begins now. Counts it. */
Fault weather_fault(Target target);
/* Whether one more thing may go wrong: --faults N ends them after N. Counts it, and says it in the trace. */
bool weather_may(const char *what);
const char *weather_fault_name(Fault fault);
const char *weather_target_name(Target target);
