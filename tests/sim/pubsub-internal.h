/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What pubsub.c (requests) and pubsub-subs.c (what becomes of messages) share. */

#include "pubsub.h"

#define DEADLINE_SEC 60
#define PARKED_MAX 64

typedef struct Message {
        uint64_t id;
        char *json; /* its members but id and time, without the braces */
        char published[CLOCK_RFC3339_SIZE];
        usec_t at;
        uint32_t serial;
} Message;

/* A message in one subscription. */
typedef struct Holding {
        Message *message;
        usec_t lease; /* until then it is a client's */
        uint64_t generation;
        unsigned deliveries;
        unsigned held;           /* by that life of the daemon, as far as the lease goes */
        usec_t given;            /* since then, whole and in time; 0: the last delivery did not come there so */
        usec_t failed;           /* an acknowledgement was to be tried again; 0: none is */
        bool acknowledged, gone; /* gone: dead letter, too old, or deleted with the subscription; also acknowledged */
} Holding;

typedef struct Sub {
        unsigned number;
        bool exactly_once, shared; /* shared: with a second daemon */
        unsigned max_attempts;     /* of its dead-letter policy; 0: none */
        usec_t retention;
        unsigned looked, near; /* by that life of the daemon its settings were read; a hint was said */
        usec_t looked_at;
        bool deleted;
        usec_t deleted_at, told_at; /* told_at: the daemon *told* has heard of it */
        unsigned told;
        usec_t troubled;   /* a request about its leases went wrong */
        Holding *holdings; /* by order of the messages' ids */
        size_t n, allocated;
        size_t first; /* before it all are acknowledged */
        size_t n_open;
        Exchange *parked[PARKED_MAX];
        unsigned max[PARKED_MAX];
        size_t n_parked;
} Sub;

typedef struct Pubsub {
        Sub subs[SUBSCRIPTIONS_MAX];
        unsigned n_subs;
        uint64_t messages;
        usec_t token_troubled;
} Pubsub;

/* The subscription that a URL names. */
Sub *pubsub_find(const Exchange *x);
/* Its pulls are answered: it was deleted. */
void pubsub_answer_deleted(Sub *sub);
/* Appends it to the answer of a pull, with its lease. */
void pubsub_append(Bytes *answer, const Sub *sub, Holding *h);
/* It is acknowledged. */
void pubsub_settle(Sub *sub, Holding *h);
/* Whoever waits gets what the leases that begin now leave free. */
void pubsub_wake_later(const Sub *sub);

/* Where there is a second daemon, it may be the first one to come. */
void peer_take(Sub *sub);

/* Draws its settings, and what will happen to it. */
void subs_draw(Sub *sub);
/* It is free, and no more delivery is due: it is a dead letter, or too old. True: it is gone. */
bool subs_ends(Sub *sub, Holding *h);
/* It is about to be delivered once more: whether there was a reason. */
void subs_again(const Sub *sub, const Holding *h);
/* Nothing of it is there any more. */
void subs_gone(Sub *sub, Holding *h, const char *why);
/* The daemon says that its messages are about to be dropped. */
void subs_near(Sub *sub);
void subs_calm(Sub *sub);
/* A client gives it back; a daemon that goes on must not. */
void subs_given_back(const Sub *sub, const Exchange *x);
/* Nothing may be published while a subscription is known to be missing. */
void subs_check_publish(void);
