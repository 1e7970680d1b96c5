/* SPDX-License-Identifier: Apache-2.0 */
#include "web-listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "lib/bytes.h"
#include "lib/crypto.h"
#include "lib/log.h"
#include "lib/service.h"

#define ENDING_USEC (14 * 24 * USEC_PER_HOUR) /* what renews certificates begins a month before */
#define WARN_AGAIN_USEC (24 * USEC_PER_HOUR)
#define BASIC "Basic "
#define WANT "memory or file descriptors have run out; look " CAUSE_MEMORY_PLACES

typedef struct Fault {
        int error;
        Cause cause;
        const char *words;
} Fault;

static const Fault faults[] = {
        { -EADDRINUSE, CAUSE_OCCUPIED,
                "another program has that address, or another part of this configuration under another name "
                "(localhost, 0.0.0.0); free it, or choose another to listen on" },
        { -EBUSY, CAUSE_OCCUPIED,
                "another program has that address, or this service, if state_dir was changed since it started; "
                "free it, choose another to listen on, or restart the service" },
        { -EADDRNOTAVAIL, CAUSE_SETTINGS, "this machine has no such address; correct `listen`" },
        { -EEXIST, CAUSE_SETTINGS,
                "another part of this configuration has that path there; choose another path or address" },
        { -EACCES, CAUSE_SETTINGS, "this user may not listen there: ports below 1024 need a systemd socket" },
        { -ENOKEY, CAUSE_SETTINGS,
                "this user may not read a file of tls; give it to the service's user, or to a group of theirs" },
        { -ENOENT, CAUSE_SETTINGS,
                "the service manager handed over no such socket (its unit starts before the service), or "
                "certificate_file or key_file is missing (beside the configuration, not among the secrets)" },
        { -EKEYREJECTED, CAUSE_SETTINGS, "certificate and key of tls do not fit, or are not PEM" },
        { -ENOTSUP, CAUSE_OTHER,
                "the library for it is missing; install libmicrohttpd12 (Debian 13: libmicrohttpd12t64)" },
        { -ENOMEM, CAUSE_MEMORY, WANT },
        { -EMFILE, CAUSE_MEMORY, WANT },
        { -ENFILE, CAUSE_MEMORY, WANT },
};

static Fault fault_of(int error) {
        for (size_t i = 0; i < ELEMENTSOF(faults); i++)
                if (faults[i].error == error)
                        return faults[i];
        return (Fault){ error, CAUSE_OTHER, strerror(-error) };
}

const char *web_listen_words(int error) {
        return fault_of(error).words;
}

Cause web_listen_cause(int error) {
        return fault_of(error).cause;
}

static int listen_once(Loop *loop, const WebListenTry *wanted, const char *address) {
        const ListenSpec spec = { .address = address,
                .certificate_file = wanted->certificate_file,
                .key_file = wanted->key_file,
                .path = "/" };
        _cleanup_(listen_freep) Listen *listen = NULL;
        ListenRoute *route;
        int r;

        r = listen_new(loop, &listen);
        if (r == 0)
                r = listen_route(listen, &spec, &(ListenHandler){}, &route);
        if (r == 0)
                listen_drop(route);
        return r;
}

/* True also if we may not read the lock. */
static bool daemon_may_run(const char *state_dir) {
        _cleanup_close_ int fd = -1;
        int r = service_lock(state_dir, &fd);

        return r != SERVICE_LOCKED && r != -ENOENT;
}

/* True if the service manager passes the socket, or if we are root and the service may not use the port. */
static bool is_untried(const char *address) {
        const char *colon = strrchr(address, ':');
        unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

        return strncmp(address, "systemd:", strlen("systemd:")) == 0 ||
               (geteuid() == 0 && port > 0 && port < IPPORT_RESERVED); /* 0: any that is free, also for the service */
}

int web_listen_try(Loop *loop, const WebListenTry *wanted) {
        bool untried = is_untried(wanted->address);
        int r = untried ? -EADDRINUSE : listen_once(loop, wanted, wanted->address);

        if (r != -EADDRINUSE)
                return r;
        if (!untried && !daemon_may_run(wanted->state_dir))
                return -EBUSY;
        r = listen_once(loop, wanted, "127.0.0.1:0"); /* checks only the files */
        return r < 0 ? r : untried ? WEB_LISTEN_UNTRIED : WEB_LISTEN_HELD;
}

/* Says when, and what to do, to stand behind a sentence; "" and false while there is time. Certificates for a few days
 * or hours are renewed when a third of their time is left. */
static bool is_ending(usec_t begin, usec_t end, char words[static WEB_LISTEN_WORDS_MAX]) {
        usec_t wall = clock_wall(), lead = usec_min(ENDING_USEC, end > begin ? (end - begin) / 4 : 0);
        char date[CLOCK_RFC3339_SIZE];

        words[0] = '\0';
        if (begin <= wall && end > wall + lead)
                return false;
        clock_format_rfc3339(begin > wall ? begin : end, date);
        (void) snprintf(words, WEB_LISTEN_WORDS_MAX, "; its certificate %s %.10s: %s",
                begin > wall  ? "is valid only from"
                : end <= wall ? "ended on"
                              : "ends on",
                date, begin > wall ? "is this machine's clock right?" : "renew it, then reload");
        return true;
}

bool web_listen_is_ending(const char *certificate_file, char words[static WEB_LISTEN_WORDS_MAX]) {
        usec_t begin, end;

        words[0] = '\0';
        return certificate_file && crypto_certificate_times(certificate_file, &begin, &end) == 0 &&
               is_ending(begin, end, words);
}

static void warn_of_end(void *userdata, const char *address, usec_t begin, usec_t end) {
        char words[WEB_LISTEN_WORDS_MAX];
        usec_t *warned = userdata;

        if (!is_ending(begin, end, words))
                return;
        *warned = clock_now();
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, NULL, "%s is served with TLS%s.", address, words);
}

void web_listen_warn(const Listen *listen, usec_t *warned) {
        if (*warned == 0 || clock_now() - *warned >= WARN_AGAIN_USEC)
                listen_certificates(listen, warn_of_end, warned);
}

static void on_failed(const char *address, int error) {
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_ERROR, web_listen_words(error) }),
                "The previous certificate of %s stays in use: %s.", address, web_listen_words(error));
}

void web_listen_renew(Listen *listen) {
        listen_renew(listen, on_failed);
}

bool web_listen_password(const char *authorization, char ret[static WEB_LISTEN_PASSWORD_MAX]) {
        const char *encoded, *colon;
        size_t size;

        if (strncasecmp(authorization, BASIC, strlen(BASIC)) != 0)
                return false;
        encoded = authorization + strlen(BASIC);
        if (strlen(encoded) >= WEB_LISTEN_PASSWORD_MAX || bytes_decode_base64(encoded, strlen(encoded), ret, &size) < 0)
                return false;
        ret[size] = '\0';
        colon = memchr(ret, ':', size);
        if (!colon || strlen(ret) != size)
                return false;
        memmove(ret, colon + 1, strlen(colon + 1) + 1);
        return true;
}
