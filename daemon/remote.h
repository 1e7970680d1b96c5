/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The way to Pub/Sub: credentials, the token made from them, and the client that uses the token. References are
 * counted: after a reload, stages of the old configuration may still use the old one while the new stages use the new
 * one. */

#include "config.h"
#include "pubsub/client.h"
#include "pubsub/credentials.h"
#include "pubsub/token.h"
#include "secret.h"

typedef struct Remote {
        unsigned references;
        Config *config;           /* its pubsub section is used; a reference is held */
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

/* Reads the credentials (none with the emulator). Errors are those of credentials_load(), and *ret_error* is filled in;
 * for other errors its text is empty. Sends nothing yet. */
int remote_new(const RemoteMeans *means, Config *config, Remote **ret, CredentialsError *ret_error);
/* Adds a reference; returns *remote*. */
Remote *remote_ref(Remote *remote);
/* Drops a reference; frees it after the last one. NULL is allowed; returns NULL. */
Remote *remote_unref(Remote *remote);
CLEANUP_DEFINE(Remote, remote_unref)
