/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that POST readings, each over a connection of its own, one request after the other:
 * push-client --port N [--clients 16] [--count REQUESTS] [--lines READINGS_A_REQUEST]. Prints what it took as JSON. */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 256

static unsigned port, n_clients = 16, n_requests = 1000, n_lines = 1;
static atomic_uint next_request;

static void die(const char *what) {
        fprintf(stderr, "push-client: %s\n", what);
        exit(1);
}

/* Head and body of one request; the readings of two requests are alike, which nothing here looks at. */
static char *make_request(size_t *ret_size) {
        size_t room = 300 + n_lines * 80, size = 0;
        char *text = malloc(room), *body = malloc(room);

        if (!text || !body)
                die("out of memory");
        for (unsigned i = 0; i < n_lines; i++)
                size += (size_t) sprintf(
                        body + size, "{\"sensor\":\"room %u\",\"temperature\":21.5,\"co2\":%u}\n", i, 400 + i);
        *ret_size = (size_t) sprintf(text,
                "POST /readings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nContent-Length: "
                "%zu\r\n\r\n%s",
                size, body);
        free(body);
        return text;
}

static int dial(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                die("cannot connect");
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
}

/* The whole answer: a head and `{"stored": n}`, whose brace is its last. */
static void read_answer(int fd) {
        char text[1024];
        size_t size = 0;

        do {
                ssize_t n = read(fd, text + size, sizeof(text) - 1 - size);

                if (n <= 0)
                        die("the connection ended");
                text[size += (size_t) n] = '\0';
                if (strncmp(text, "HTTP/1.1 200", size < 12 ? size : 12) != 0)
                        die(text);
        } while (!strstr(text, "\r\n\r\n") || !strchr(strstr(text, "\r\n\r\n"), '}'));
}

static void *client(void *unused) {
        size_t size, sent;
        char *request = make_request(&size);
        int fd = dial();

        while (atomic_fetch_add(&next_request, 1) < n_requests) {
                for (sent = 0; sent < size;) {
                        ssize_t n = write(fd, request + sent, size - sent);

                        if (n <= 0)
                                die("cannot send");
                        sent += (size_t) n;
                }
                read_answer(fd);
        }
        (void) close(fd);
        free(request);
        return unused;
}

static void parse(int argc, char **argv) {
        static const struct option options[] = { { "port", required_argument, NULL, 'p' },
                { "clients", required_argument, NULL, 'c' }, { "count", required_argument, NULL, 'n' },
                { "lines", required_argument, NULL, 'l' }, {} };
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                unsigned value = (unsigned) strtoul(optarg ? optarg : "0", NULL, 10);

                if (option == '?')
                        exit(64);
                *(option == 'p' ? &port : option == 'c' ? &n_clients : option == 'n' ? &n_requests : &n_lines) = value;
        }
        if (port == 0 || n_clients == 0 || n_clients > CLIENTS_MAX || n_lines == 0)
                die("usage: push-client --port N [--clients N] [--count N] [--lines N]");
}

int main(int argc, char **argv) {
        struct timespec begin, end;
        pthread_t threads[CLIENTS_MAX];

        parse(argc, argv);
        (void) clock_gettime(CLOCK_MONOTONIC, &begin);
        for (unsigned i = 0; i < n_clients; i++)
                if (pthread_create(&threads[i], NULL, client, NULL) != 0)
                        die("no thread");
        for (unsigned i = 0; i < n_clients; i++)
                (void) pthread_join(threads[i], NULL);
        (void) clock_gettime(CLOCK_MONOTONIC, &end);
        printf("{\"seconds\": %.6f, \"requests\": %u, \"readings\": %u}\n",
                (double) (end.tv_sec - begin.tv_sec) + (double) (end.tv_nsec - begin.tv_nsec) / 1e9, n_requests,
                n_requests * n_lines);
        return 0;
}
