/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The stages that one configuration asks for, and their wiring to each other. daemon.c makes one set at the start and
 * another at each reload; a set takes over from the one before it whatever the new configuration leaves as it was, so
 * that an unchanged subscription keeps its batch and its connections. */

#include "config.h"
#include "publish/outbox.h"
#include "publish/publisher.h"
#include "publish/source.h"
#include "remote.h"
#include "secret.h"
#include "subscribe/subscriber.h"

/* What every set shares, owned by daemon.c, and how a stage tells that something moved. */
typedef struct StagesHost {
        Loop *loop;
        Http *http;
        Listen *listen;
        const char *state_dir;
        Secrets *secrets; /* every secret in use: what a remote says passes it */
        Outbox *outbox;   /* NULL: the configuration publishes nothing */
        bool once;
        bool stopping;                     /* no source polls any more */
        bool outbox_changed;               /* the disk began to refuse it, or works again */
        void (*on_change)(void *userdata); /* anything in any status; never acts inside the stage that calls */
        void *userdata;
        SourceHost sources; /* the same as the sources see it; filled in by stages_new() */
} StagesHost;

typedef struct SourceSlot {
        Config *config; /* the source points into it */
        const SourceConfig *section;
        Source *source;
} SourceSlot;

typedef struct SubscriberSlot {
        Config *config; /* the subscriber points into it */
        const SubscriptionConfig *section;
        Remote *remote;
        Subscriber *subscriber;
} SubscriberSlot;

typedef struct PublisherSlot {
        Config *config; /* the topic's name is in it */
        Remote *remote;
        Publisher *publisher;
} PublisherSlot;

typedef struct Stages {
        StagesHost *host;
        Config *config;
        Remote *remote;
        PublisherSlot *publisher; /* NULL: the configuration publishes nothing */
        SourceSlot **sources;
        size_t n_sources;
        SubscriberSlot **subscribers;
        size_t n_subscribers;
        /* Replaced by a reload, still finishing: a poll, readings for the disk, a write in progress. */
        SourceSlot **retired_sources;
        size_t n_retired_sources;
        SubscriberSlot **retired_subscribers;
        size_t n_retired_subscribers;
} Stages;

#define STAGES_ERROR_MAX 1024

/* Makes every stage of *config*, except those that *old* (NULL at the start) has already in the same form. Nothing of
 * *old* changes, and on failure nothing of it is lost. STAGES_SECRET: a secret cannot be read or is malformed;
 * -EBADMSG: the configuration asks for what cannot be made; another errno. *error* has the words, without a secret. */
enum { STAGES_OK = 0, STAGES_SECRET = 1 };
int stages_new(StagesHost *host, Config *config, Stages *old, Stages **ret, char error[static STAGES_ERROR_MAX]);

/* The new set goes to work: takes over what it shares with *old* (may be NULL), retires the rest, frees *old*. */
void stages_take_over(Stages *stages, Stages *old);

/* The steps of `once`: each source polled now; true when none is busy any more; nothing left that can be published now;
 * the subscriptions drained after that. */
int stages_poll_once(Stages *stages);
bool stages_are_polled(const Stages *stages);
bool stages_are_published(const Stages *stages);
void stages_drain(Stages *stages);
/* True when no subscription can be drained any further; *ret_complete: and each was emptied. */
bool stages_are_drained(const Stages *stages, bool *ret_complete);

/* After any change: publishing pauses while a subscription is missing or was not looked at yet, and looks for new rows
 * otherwise; retired stages that have finished are freed. */
void stages_settle(Stages *stages);

/* From the source forwards: sources are dropped, the publisher starts nothing new, subscribers release their leases. */
void stages_stop(Stages *stages);
bool stages_are_stopped(const Stages *stages);

/* Drops everything at once. */
Stages *stages_free(Stages *stages);
CLEANUP_DEFINE(Stages, stages_free)
