/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The stages that one configuration asks for, and their wiring to each other. daemon.c makes one set at the start and
 * another at each reload; a set takes over from the one before it whatever the new configuration leaves as it was, so
 * that an unchanged subscription keeps its batch and its connections. The rest of the old set finishes beside the new
 * one: a poll, readings for the disk, a write in progress.
 *
 * What only one can have at a time (an address, a client id, a directory: the type says by what name) goes from the old
 * stage to the new one when the old one has ended; until then the new one waits unopened. */

#include "config.h"
#include "report.h"
#include "secret.h"

typedef enum StageKind { STAGE_SOURCE, STAGE_PUBLISHER, STAGE_SUBSCRIBER } StageKind;

typedef struct Stages Stages;

/* What every set shares, owned by daemon.c. */
typedef struct StagesHost {
        Loop *loop;
        Http *http;
        Listen *listen;
        const char *state_dir;
        Secrets *secrets; /* every secret in use: what a remote says passes it */
        Outbox *outbox;   /* NULL: there is none */
        bool once;
        bool stopping;                      /* no source polls any more */
        void (*on_figures)(void *userdata); /* something in stages_look() changed: may only take a note */
        void (*on_move)(void *userdata);    /* stages_settle() has something to do: may only take a note */
        void *userdata;
        SinkTap tap; /* of every sink */
        /* stages.c's own: */
        Stages *stages;     /* the set at work */
        SourceHost sources; /* the same as the sources see it */
        bool resume;        /* what waits for the outbox may go on */
        bool short_of_room; /* a source was told that there is none */
} StagesHost;

#define STAGES_ERROR_MAX 1024

/* Makes every stage of *config*, except those that *old* (NULL at the start) has already in the same form. Nothing of
 * *old* changes, and on failure nothing of it is lost. STAGES_SECRET: a secret cannot be read or is malformed;
 * -EBADMSG: the configuration asks for what cannot be made; another errno, also where the disk would not give a secret.
 * *error* has the words, without a secret. */
enum { STAGES_OK = 0, STAGES_SECRET = 1 };
int stages_new(StagesHost *host, Config *config, Stages *old, Stages **ret, char error[static STAGES_ERROR_MAX]);
/* Drops everything at once. */
Stages *stages_free(Stages *stages);
CLEANUP_DEFINE(Stages, stages_free)

/* The new set goes to work: takes over what it shares with *old*, retires the rest, frees *old*. */
void stages_take_over(Stages *stages, Stages *old);

/* Asked for by on_move: publishing pauses while a subscription is missing or was not looked at yet; retired stages that
 * have finished are freed, and what waited for them is opened. */
void stages_settle(Stages *stages);

/* The figures of all stages; the rest of *figures* stays as it is. The texts are borrowed until the next turn of the
 * loop. -ENOMEM. */
int stages_look(const Stages *stages, Figures *figures);

/* The outbox has other rows than it had: another process put them there. */
void stages_wake(Stages *stages);

/* For `once`: polls each source now; then drains each subscription. */
int stages_poll_once(Stages *stages);
void stages_drain(Stages *stages);
/* Whether all of that kind have done what they can do now: sources polled, the outbox published, subscriptions drained.
 * *ret_complete: and nothing is left. */
bool stages_are_idle(const Stages *stages, StageKind kind, bool *ret_complete);

/* From the source forwards: sources are dropped, the publisher starts nothing new, subscribers release their leases. */
void stages_stop(Stages *stages);
bool stages_are_stopped(const Stages *stages);

/* One run of `sensorqd once`, with the set at work: stages-once.c. Runs the loop until each source was polled, what
 * came was published and each subscription drained, or until host->stopping. *ret_complete: everything is stored; else
 * what is left, and why, was logged. A negative errno when a poll cannot be begun or the loop cannot go on. */
int stages_run_once(const StagesHost *host, bool *ret_complete);
/* When all of them are stopped after that: whether nothing of what follows from it, alerts, is left to the next run;
 * else that was logged. -ENOMEM. */
int stages_end_once(const StagesHost *host, bool *ret_complete);
