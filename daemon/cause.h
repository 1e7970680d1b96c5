/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Why something fails, in a form that programs can read: of what kind it is, and what a person can do. Both are fixed
 * words, for status.json: so that a page says them in any language. Sentences are Trouble.detail's. Who decides what
 * happens next decides the cause, too. */

struct HttpReply; /* lib/http.h */

typedef enum Cause {
        CAUSE_NONE = 0,
        CAUSE_OTHER,        /* nothing that a program could act on */
        CAUSE_NETWORK,      /* no connection to what is elsewhere */
        CAUSE_SERVICE,      /* no connection to what the reader runs: MongoDB, a broker */
        CAUSE_UNANSWERED,   /* a connection, and no whole answer */
        CAUSE_TLS,          /* no secure connection */
        CAUSE_UNAVAILABLE,  /* it says that it cannot now: 5xx, no primary */
        CAUSE_REPLICAS,     /* no majority of a replica set */
        CAUSE_LIMITED,      /* a rate limit */
        CAUSE_QUOTA,        /* what the plan allows in a day or month is used up */
        CAUSE_KEY,          /* Google refuses the credentials */
        CAUSE_CLOCK,        /* ... since this machine's clock is wrong */
        CAUSE_ROLE,         /* the service account lacks a role */
        CAUSE_PROJECT,      /* the project: API, billing, perimeter */
        CAUSE_TOKEN,        /* a token or secret of ours is refused */
        CAUSE_LOGIN,        /* a user or password */
        CAUSE_RIGHTS,       /* the user may not do what is needed */
        CAUSE_BETWEEN,      /* a proxy, a firewall or a login page answers in the remote's place */
        CAUSE_SETUP,        /* a topic or subscription is not there */
        CAUSE_ADDRESS,      /* nothing is at that URL, or it sends us elsewhere */
        CAUSE_DIRECTORY,    /* a directory is not there */
        CAUSE_NONSENSE,     /* its answers are not what was asked for */
        CAUSE_SETTINGS,     /* it cannot be used as it is set up, here or there */
        CAUSE_COLLECTION,   /* a collection that cannot keep _id unique */
        CAUSE_INVALID,      /* it refuses whatever it is sent */
        CAUSE_SPACE,        /* this machine's disk is full */
        CAUSE_SERVER_SPACE, /* the remote's disk is full */
        CAUSE_PLAN,         /* the remote's plan has no room */
        CAUSE_APART_FULL,   /* what was set apart has reached its cap */
        CAUSE_DISK,         /* this machine's disk refuses */
        CAUSE_OWNER,        /* sensorqd may not write there */
        CAUSE_OCCUPIED,     /* another program has it: a file, an address */
        CAUSE_NEWER,        /* a later sensorqd made it */
        CAUSE_MEMORY,       /* sensorqd is out of memory, or of descriptors */
        CAUSE_PROGRAM,      /* a program that was run has failed */
        _CAUSE_MAX,
} Cause;

/* "unreachable", "refused", ...: sensorqd(8) lists them. NULL of CAUSE_NONE. */
const char *cause_kind(Cause cause);
/* "network", "token", ...: listed there, too. NULL: nothing is known that would help. */
const char *cause_remedy(Cause cause);

/* Of what open(2) and write(2) say of this machine's disk, and SQLite below it. */
Cause cause_of_disk(int error);
/* Of a reply, or none, that is no success. */
Cause cause_of_http(const struct HttpReply *reply);
