/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The stages of one configuration, and how they are connected. daemon.c makes one set at the start and another at each
 * reload. The new set takes over every stage whose configuration did not change, so that an unchanged subscription
 * keeps its batch and its connections. The other stages of the old set finish their work beside the new set: a poll,
 * readings for the disk, a write in progress.
 *
 * Some things only one stage can have at a time: an address, a client id, a directory (the type returns its name). They
 * pass from the old stage to the new one when the old one has ended; until then the new one is not opened. */

#include "config.h"
#include "pubsub/client.h"
#include "report.h"
#include "secret.h"
#include "trouble.h"

typedef struct Stages Stages;

/* What every set shares, owned by daemon.c. */
typedef struct StagesHost {
        Loop *loop;
        Http *http;
        Listen *listen;
        const char *state_dir;
        Secrets *secrets; /* every secret in use, to conceal them in remote texts */
        Outbox *outbox;   /* NULL: there is none */
        bool once;
        bool stopping;     /* sources do not poll any more */
        LoopWatch *report; /* timer, armed when something in stages_figures() has changed: writes the report */
        LoopWatch *settle; /* defer: calls stages_settle() */
        SinkTap tap;       /* for every sink */
        Stages *stages;    /* the working set; NULL: there is none yet */
        /* used only by stages.c: */
        SourceHost sources; /* what the sources get */
        bool resume;        /* stages are to look at the outbox anew: it has room, or it fails */
        bool short_of_room; /* a source was told that there is no room */
        usec_t told;        /* see service_working() */
} StagesHost;

#define STAGES_ERROR_MAX 1024
#define STAGES_REPORT_USEC (1 * USEC_PER_SEC) /* STATUS= and status.json follow a change at most this often */

/* Makes every stage of *config*, except those that the working set already has with the same configuration. Reads their
 * secrets, and that of the page. Does not change the working set, also on an error. STAGES_SECRET: a secret cannot be
 * read or is malformed; -EBADMSG: the configuration asks for a stage that cannot be made; another errno, also when the
 * disk did not deliver a secret. *error* has the words, without a secret. */
enum { STAGES_OK = 0, STAGES_SECRET = 1 };
int stages_new(StagesHost *host, Config *config, Stages **ret, char error[static STAGES_ERROR_MAX]);
/* Drops everything at once; returns NULL. */
Stages *stages_free(Stages *stages);
CLEANUP_DEFINE(Stages, stages_free)

/* Makes the new set the working one: takes over the stages that it shares with the old one, retires the others, and
 * frees the old one. */
void stages_take_over(Stages *stages);

/* Pauses publishing while a subscription is missing or was not checked yet; frees retired stages
 * that have ended, and opens those that waited for them. */
void stages_settle(Stages *stages);

/* Fills in the figures of all stages; does not change the rest of *figures*. The texts are borrowed until the next turn
 * of the loop. -ENOMEM. */
int stages_figures(const Stages *stages, Figures *figures);

/* Call this when rows were put into the outbox. */
void stages_wake(Stages *stages);

/* Stops in the order of the flow: sources are dropped, the publisher starts no new request, subscribers release their
 * leases. */
void stages_stop(Stages *stages);
bool stages_are_stopped(const Stages *stages);

/* ---- stages-once.c ---- */

/* One run of `sensorqd once` with the working set. Runs the loop until each source was polled, the readings were
 * published and each subscription was drained, or until host->stopping. *ret_complete* is true if everything is stored;
 * else it was logged what is left and why. A negative errno when a poll cannot be started or the loop fails. */
int stages_run_once(const StagesHost *host, bool *ret_complete);
/* Call this when all stages have stopped after that run. *ret_complete* is false if alerts are left to the next run,
 * which is logged. -ENOMEM. */
int stages_end_once(const StagesHost *host, bool *ret_complete);

/* ---- only for stages*.c ---- */

typedef enum StageKind { STAGE_SOURCE, STAGE_PUBLISHER, STAGE_SUBSCRIBER } StageKind;

/* clang-format off */
/* A part of the work:
 *
 *      waiting --what only one can have is free--> working --reload--> retired --has ended--> freed */
/* clang-format on */
typedef struct Stage {
        StageKind kind;
        Stages *stages;      /* the set that owns it now */
        Config *config;      /* of the set that made it; contains *section* */
        const void *section; /* SourceConfig or SubscriptionConfig; for the publisher the Config */
        Client *client;
        char exclusive[SINK_EXCLUSIVE_MAX]; /* name of something that only one stage can have; "": nothing */
        void *self;                         /* Source, Publisher or Subscriber; NULL: waiting */
        bool retired;
        Trouble unopened; /* of a stage that waited and cannot be opened */
} Stage;

struct Stages {
        StagesHost *host;
        Config *config;
        Client *client;
        Stage **items; /* in the order of the configuration, then the retired ones. One that another set owns is
                          borrowed */
        size_t n, allocated;
        Publisher *publisher; /* that of the first stage; NULL: this configuration does not publish */
        size_t unsettled;     /* how many are waiting or retired */
        bool missed_topic;    /* the publisher got a 404 for its topic */
};

/* Returns the next working stage of that kind, from index *i on, or NULL. */
Stage *stages_next(const Stages *stages, StageKind kind, size_t *i);
