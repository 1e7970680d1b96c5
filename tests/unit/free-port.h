/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define FREE_PORT_FIRST 20000 /* below what the kernel gives to outgoing connections */
#define FREE_PORT_COUNT 12000
#define FREE_PORT_TRIES 500

static inline bool free_port_take(int drawn, uint16_t port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)
        };
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = port, .l_len = 1 };
        struct flock mine = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = port, .l_len = 1 };
        bool bound;
        int fd;

        if (fcntl(drawn, F_SETLK, &lock) < 0)
                return false;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bound = fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0;
        (void) close(fd);
        if (!bound)
                (void) fcntl(drawn, F_SETLK, &mine);
        return bound;
}

/* A port of 127.0.0.1 that nobody has, and that is given to no other process that draws here or by
 * tests/services/ports.py as long as this one lives: byte N of the file is locked by who drew port N. Ends the process
 * where there is none. */
static inline uint16_t free_port(void) {
        static int drawn = -1;
        static uint16_t taken[64];
        static size_t n_taken;
        char path[64];

        if (drawn < 0) {
                (void) snprintf(path, sizeof(path), "/tmp/sensorqd-test-ports-%u", getuid());
                drawn = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* never closed: that would end the locks */
        }
        for (int i = 0; drawn >= 0 && i < FREE_PORT_TRIES; i++) {
                uint16_t port;
                size_t k = 0;

                if (getrandom(&port, sizeof(port), 0) != sizeof(port))
                        break;
                port = FREE_PORT_FIRST + port % FREE_PORT_COUNT;
                while (k < n_taken && taken[k] != port)
                        k++;
                if (k < n_taken || n_taken == sizeof(taken) / sizeof(*taken) || !free_port_take(drawn, port))
                        continue;
                taken[n_taken++] = port;
                return port;
        }
        (void) fprintf(stderr, "free_port: none to be had\n");
        abort();
}
