/* SPDX-License-Identifier: Apache-2.0 */
/* page-viewers PORT VIEWERS PATH...: viewers that ask for all paths again and again, each on a connection that is kept,
 * until the standard input ends. Then a line of JSON: how many requests were answered. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Viewers {
        unsigned short port;
        char **paths; /* NULL at the end */
        atomic_bool end;
        atomic_ulong answered, failed;
} Viewers;

static int dial(unsigned short port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
        };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0)
                return fd;
        close(fd);
        return -1;
}

/* One answer with a Content-Length; false: the connection is of no more use. */
static bool ask(int fd, const char *path) {
        char buffer[65536];
        size_t have = 0, whole = 0;
        int n = snprintf(
                buffer, sizeof(buffer), "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n", path);

        if (send(fd, buffer, (size_t) n, MSG_NOSIGNAL) != n)
                return false;
        while (whole == 0 || have < whole) {
                size_t room = whole == 0 ? sizeof(buffer) - 1 - have : sizeof(buffer) - 1;
                ssize_t got = recv(fd, whole == 0 ? buffer + have : buffer, room, 0);
                char *end, *length;

                if (got <= 0)
                        return false;
                have += (size_t) got;
                if (whole > 0)
                        continue;
                buffer[have] = '\0';
                end = strstr(buffer, "\r\n\r\n");
                length = strstr(buffer, "Content-Length: ");
                if (end && length)
                        whole = (size_t) (end + 4 - buffer) + strtoul(length + strlen("Content-Length: "), NULL, 10);
        }
        return strncmp(buffer, "HTTP", 4) != 0 || strstr(buffer, " 200 ") != NULL;
}

static void *view(void *argument) {
        Viewers *viewers = argument;
        int fd = -1;

        while (!atomic_load(&viewers->end))
                for (char **path = viewers->paths; *path && !atomic_load(&viewers->end); path++) {
                        if (fd < 0)
                                fd = dial(viewers->port);
                        if (fd >= 0 && ask(fd, *path)) {
                                atomic_fetch_add(&viewers->answered, 1);
                                continue;
                        }
                        atomic_fetch_add(&viewers->failed, 1);
                        if (fd >= 0)
                                close(fd);
                        fd = -1;
                        usleep(10000);
                }
        if (fd >= 0)
                close(fd);
        return NULL;
}

int main(int argc, char **argv) {
        Viewers viewers = { .port = argc > 3 ? (unsigned short) atoi(argv[1]) : 0, .paths = argv + 3 };
        int n = argc > 3 ? atoi(argv[2]) : 0;
        pthread_t threads[64];
        char byte;

        if (n < 1 || n > 64)
                return EXIT_FAILURE;
        for (int i = 0; i < n; i++)
                if (pthread_create(&threads[i], NULL, view, &viewers) != 0)
                        return EXIT_FAILURE;
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        atomic_store(&viewers.end, true);
        for (int i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
        printf("{\"answered\": %lu, \"failed\": %lu}\n", atomic_load(&viewers.answered), atomic_load(&viewers.failed));
        return EXIT_SUCCESS;
}
