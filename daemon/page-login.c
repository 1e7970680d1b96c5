/* SPDX-License-Identifier: Apache-2.0 */
#include "page-answer.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/sha256.h"
#include "lib/text.h"

#define BASIC "Basic "
#define LOGIN_MAX 1024 /* user, colon and password */
#define FULL_USEC ((usec_t) PAGE_LOGIN_BURST * PAGE_LOGIN_REFILL_USEC)

/* Writes the address under which a peer is counted. */
static void peer_name(const char *peer, char name[static INET6_ADDRSTRLEN]) {
        struct in6_addr six;

        text_copy(name, INET6_ADDRSTRLEN, peer);
        if (inet_pton(AF_INET6, peer, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six))
                return;
        memset(six.s6_addr + 8, 0, 8);
        (void) inet_ntop(AF_INET6, &six, name, INET6_ADDRSTRLEN);
}

/* Returns the peer's entry; if there is none, the entry that has been without a wrong password for the longest time. */
static PageLoginPeer *peer_find(PageLogin *login, const char *name) {
        PageLoginPeer *best = login->peers;

        for (size_t i = 0; i < PAGE_LOGIN_PEERS; i++) {
                if (strcmp(login->peers[i].address, name) == 0)
                        return &login->peers[i];
                if (login->peers[i].clear < best->clear)
                        best = &login->peers[i];
        }
        return best;
}

static bool password_is_right(const char *password, const char *encoded) {
        char login[LOGIN_MAX];
        const char *colon;
        bool right = false;
        size_t size;

        if (strlen(encoded) < sizeof(login) && bytes_decode_base64(encoded, strlen(encoded), login, &size) == 0) {
                login[size] = '\0';
                colon = memchr(login, ':', size);
                right = colon && strlen(colon) == size - (size_t) (colon - login) &&
                        sha256_equal_texts(colon + 1, password);
        }
        explicit_bzero(login, sizeof(login));
        return right;
}

int page_login_check(PageLogin *login, const char *password, const PageLoginTry *try, unsigned *ret_wait_sec) {
        char name[INET6_ADDRSTRLEN];
        PageLoginPeer *known;
        usec_t now = try->now, clear;

        if (!try->authorization)
                return PAGE_LOGIN_NONE;
        peer_name(try->peer, name);
        known = peer_find(login, name);
        clear = strcmp(known->address, name) == 0 && known->clear > now ? known->clear : now;
        if (clear + PAGE_LOGIN_REFILL_USEC > now + FULL_USEC) {
                *ret_wait_sec = (unsigned) ((clear + PAGE_LOGIN_REFILL_USEC - now - FULL_USEC) / USEC_PER_SEC) + 1;
                return PAGE_LOGIN_WAIT;
        }
        if (strncasecmp(try->authorization, BASIC, strlen(BASIC)) == 0 &&
                password_is_right(password, try->authorization + strlen(BASIC)))
                return PAGE_LOGIN_OK;
        memcpy(known->address, name, sizeof(name));
        known->clear = clear + PAGE_LOGIN_REFILL_USEC;
        return PAGE_LOGIN_WRONG;
}
