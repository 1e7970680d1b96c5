/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Why something fails, in a form that programs can read: a kind of failure, and what a person can do about it. Both are
 * fixed words for status.json, so that a page can show them in any language; the sentence is Trouble.detail. The code
 * that decides what happens next also decides the cause. */

struct HttpReply; /* lib/http.h */

/* What to look at where memory, descriptors or threads are short: CAUSE_MEMORY. "look " CAUSE_MEMORY_PLACES. */
#define CAUSE_MEMORY_PLACES "at this machine's memory, and at the unit's MemoryMax=, LimitNOFILE= and TasksMax="

typedef enum Cause {
        CAUSE_NONE = 0,
        CAUSE_OTHER,        /* no remedy that a program could name */
        CAUSE_NETWORK,      /* no connection to a remote */
        CAUSE_SERVICE,      /* no connection to a service that the reader runs: MongoDB, a broker */
        CAUSE_UNANSWERED,   /* connected, but no complete answer */
        CAUSE_TLS,          /* no secure connection */
        CAUSE_UNAVAILABLE,  /* the remote says that it cannot answer now: 5xx, no primary */
        CAUSE_REPLICAS,     /* no majority of a replica set */
        CAUSE_LIMITED,      /* the remote limits the rate */
        CAUSE_QUOTA,        /* the plan's limit for a day or month is used up */
        CAUSE_KEY,          /* Google refuses the credentials */
        CAUSE_CLOCK,        /* ... because this machine's clock is wrong */
        CAUSE_ROLE,         /* the service account lacks a role */
        CAUSE_PROJECT,      /* something about the project: API, billing, perimeter */
        CAUSE_TOKEN,        /* a token or secret of ours is refused */
        CAUSE_LOGIN,        /* a user or password is refused */
        CAUSE_RIGHTS,       /* the user may not do what is needed */
        CAUSE_BETWEEN,      /* a proxy, a firewall or a login page answers instead of the remote */
        CAUSE_SETUP,        /* a topic or subscription does not exist */
        CAUSE_ADDRESS,      /* the URL does not exist, or redirects */
        CAUSE_DIRECTORY,    /* a directory does not exist */
        CAUSE_NONSENSE,     /* the answers do not match the request */
        CAUSE_SETTINGS,     /* settings on this side or the other do not allow it */
        CAUSE_COLLECTION,   /* a collection that cannot keep _id unique */
        CAUSE_INVALID,      /* the remote refuses everything that it is sent */
        CAUSE_SPACE,        /* this machine's disk is full */
        CAUSE_SERVER_SPACE, /* the remote's disk is full */
        CAUSE_PLAN,         /* the remote's plan has no space left */
        CAUSE_APART_FULL,   /* the messages that were set apart have reached their limit */
        CAUSE_DISK,         /* this machine's disk fails */
        CAUSE_OWNER,        /* sensorqd may not write there */
        CAUSE_OCCUPIED,     /* another program uses it: a file, an address */
        CAUSE_NEWER,        /* a later version of sensorqd made it */
        CAUSE_MEMORY,       /* sensorqd is out of memory, descriptors or threads */
        CAUSE_PROGRAM,      /* a program that was run has failed */
        _CAUSE_MAX,
} Cause;

/* Returns "unreachable", "refused", ...: sensorqd(8) lists them. NULL for CAUSE_NONE. */
const char *cause_kind(Cause cause);
/* Returns "network", "token", ...: sensorqd(8) lists them too. NULL: no remedy is known. */
const char *cause_remedy(Cause cause);

/* The cause for an errno of open(2), write(2) or SQLite on this machine's disk. */
Cause cause_of_disk(int error);
/* The cause for a reply that is not a success, or for a missing reply. */
Cause cause_of_http(const struct HttpReply *reply);
