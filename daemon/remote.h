/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The way to Pub/Sub as one thing: credentials, the token made from them, and the client that uses it. Counted, because
 * after a reload the stages of the old configuration may still be finishing over the old way while the new ones use the
 * new. */

#include "config.h"
#include "pubsub/client.h"
#include "pubsub/credentials.h"
#include "pubsub/token.h"
#include "secret.h"

typedef struct Remote {
        unsigned references;
        Config *config;           /* whose pubsub section it follows; holds a reference */
        Credentials *credentials; /* NULL with the emulator */
        Token *token;
        Client *client;
} Remote;

/* What it works with; borrowed. */
typedef struct RemoteMeans {
        Loop *loop;
        Http *http;
        Secrets *secrets;
} RemoteMeans;

/* Reads the credentials (none with the emulator). The errnos of credentials_load() with *ret_error filled in, which
 * then has text; others with an empty text. Nothing is sent yet. */
int remote_new(const RemoteMeans *means, Config *config, Remote **ret, CredentialsError *ret_error);
/* Counts one more owner; returns *remote*. */
Remote *remote_ref(Remote *remote);
/* Counts one less; the last one frees it. NULL is fine; returns NULL. */
Remote *remote_unref(Remote *remote);
CLEANUP_DEFINE(Remote, remote_unref)
