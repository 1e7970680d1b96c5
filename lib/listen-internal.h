/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of listen: listen-server.c has the addresses and the loop's side, listen-request.c handles a
 * request from its header to its answer, listen-pem.c the certificate. No other file includes this, or
 * <microhttpd.h>. */

#include <arpa/inet.h>
#include <microhttpd.h>
#include <sys/queue.h>

#include "crypto.h"
#include "listen.h"

#define LISTEN_SWEEP_USEC (5 * USEC_PER_SEC) /* how often, while a connection is open */
#define LISTEN_CONNECTIONS_MAX 128u
#define LISTEN_CONNECTIONS_OF_ADDRESS_MAX 64u
#define LISTEN_UNTAKEN_MAX ((size_t) 16 * 1024 * 1024) /* of all answers that clients have not taken yet, in bytes */

/* The functions of libmicrohttpd that are used. The library is loaded at the first use: a process that does not listen
 * does not pay for it. */
#define LISTEN_LIBRARY_FUNCTIONS(each)                                                                                 \
        each(MHD_start_daemon) each(MHD_stop_daemon) each(MHD_run) each(MHD_get_timeout) each(MHD_get_daemon_info)     \
                each(MHD_get_connection_info) each(MHD_lookup_connection_value) each(MHD_create_response_from_buffer)  \
                        each(MHD_add_response_header) each(MHD_queue_response) each(MHD_destroy_response)              \
                                each(MHD_suspend_connection) each(MHD_resume_connection) each(MHD_quiesce_daemon)

typedef struct ListenLibrary {
        void *handle; /* result of dlopen(3); NULL: not loaded */
#define DECLARE(name) __typeof__(name) *name;
        LISTEN_LIBRARY_FUNCTIONS(DECLARE)
#undef DECLARE
} ListenLibrary;

/* ---- listen-pem.c ---- */

/* The certificate of an address and its private key, in two files that somebody renews from time to time. */
typedef struct ListenPem {
        char *certificate_file, *key_file; /* NULL: plain http */
        char *certificate, *key;           /* the content of the files, only while it is needed */
        char digest[SHA256_HEX_SIZE];      /* hash of both contents, to notice a change; "": never read */
        usec_t begin, end;                 /* clock_wall() of the certificate; 0: not known */
} ListenPem;

/* Copies the names into *ret*, which must be empty. -ENOMEM. */
int listen_pem_name(ListenPem *ret, const char *certificate_file, const char *key_file);
bool listen_pem_is_of(const ListenPem *pem, const char *certificate_file, const char *key_file);
/* Reads both files. Errors of open(2) and read(2), -ENOMEM; the digest does not change then. */
int listen_pem_read(ListenPem *pem);
/* Wipes and frees the contents, keeps the names. */
void listen_pem_forget(ListenPem *pem);
/* Frees everything, the names too. */
void listen_pem_done(ListenPem *pem);

/* ---- servers and requests ---- */

typedef struct ListenServer ListenServer;

/* A connection of one client. */
typedef struct ListenConnection {
        ListenServer *server;
        int fd;
        usec_t since; /* clock_now() from which on we wait for the client */
        bool owed;    /* the client waits for our answer */
        bool idle;    /* it has an answer, and has not begun the next request */
        char peer[INET6_ADDRSTRLEN];
        char host[INET6_ADDRSTRLEN]; /* see listen_peer_host() */
        char *query;                 /* of the last request line; NULL: none came, or no memory */
        TAILQ_ENTRY(ListenConnection) link;
} ListenConnection;

typedef enum ListenRequestState {
        LISTEN_REQUEST_READING,  /* the body is being read */
        LISTEN_REQUEST_ASKING,   /* a callback of its owner runs */
        LISTEN_REQUEST_WAITING,  /* suspended until the owner answers */
        LISTEN_REQUEST_ANSWERED, /* libmicrohttpd will ask for the answer */
        LISTEN_REQUEST_QUEUED,   /* it has the answer */
} ListenRequestState;

struct ListenRequest {
        ListenRoute *route; /* NULL: no route matches */
        ListenConnection *connection;
        struct MHD_Connection *mhd;
        ListenRequestState state;
        char *method, *path;
        Bytes body;        /* its error: -EMSGSIZE, too large; -ENOMEM */
        uint64_t received; /* bytes of the body, also those that were thrown away */
        int status;
        struct MHD_Response *answer; /* set from ANSWERED on; NULL: no memory */
        size_t untaken;              /* bytes of the answer that are held for the client */
        TAILQ_ENTRY(ListenRequest) link;
};

struct ListenRoute {
        ListenServer *server;
        char *path, **hosts;
        bool below;
        size_t max_body;
        ListenHandler handler;
        LIST_ENTRY(ListenRoute) link;
};

/* A server for one address. */
struct ListenServer {
        Listen *listen;
        const ListenLibrary *library;
        char *address;
        ListenPem pem;
        struct MHD_Daemon *mhd;
        LoopWatch *io, *timer, *again, *sweep;
        bool running;
        usec_t rested; /* clock_now() until which it rests */
        bool moved;    /* a connection was taken or has ended */
        int refused;   /* error of the last accept(2); 0: it took a connection */
        bool told;     /* the owners of the routes were told of it */
        bool leaving;  /* it does not listen any more: another server has its address, and its open connections end */
        LIST_HEAD(, ListenRoute) routes;
        LIST_HEAD(, ListenRoute) gone; /* dropped after listen_stop(): what comes for one is not for another route */
        TAILQ_HEAD(, ListenConnection) connections;
        TAILQ_HEAD(, ListenRequest) requests;
        LIST_ENTRY(ListenServer) link;
};

struct Listen {
        Loop *loop;
        ListenLibrary library;
        bool stopping;
        size_t untaken; /* bytes of all answers that are held for their clients */
        LIST_HEAD(, ListenServer) servers;
};

/* Returns the server that listens on this address now, or NULL. */
ListenServer *listen_server_find(const Listen *listen, const char *address);

/* Callbacks of libmicrohttpd; *server* is a ListenServer. */
void *listen_request_on_line(void *server, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result listen_request_on_access(void *server, struct MHD_Connection *mhd, const char *path, const char *method,
        const char *version, const char *data, size_t *size, void **context);
void listen_request_on_completed(
        void *server, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code);
void listen_request_on_connection(
        void *server, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code);
/* Answers 503 if the request still waits for its owner. */
void listen_request_give_up(ListenRequest *request);
