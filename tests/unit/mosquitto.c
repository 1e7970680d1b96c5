/* SPDX-License-Identifier: Apache-2.0 */
#include "mosquitto.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "free-port.h"

#define PROGRAM "/usr/sbin/mosquitto"
#define MUST(condition)                                                                                                \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        (void) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                         \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)

struct Mosquitto {
        pid_t pid;
        uint16_t port;
        char directory[64], config[96];
};

bool mosquitto_is_installed(void) {
        return access(PROGRAM, X_OK) == 0;
}

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in){
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)
        };
}

static bool answers(uint16_t port) {
        struct sockaddr_in address = loopback(port);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool connected = fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0;

        (void) close(fd);
        return connected;
}

/* The signals that a test blocks are its own affair. */
static pid_t spawn(const char *const *argv) {
        sigset_t none;
        pid_t pid = fork();

        MUST(pid >= 0);
        if (pid > 0)
                return pid;
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) execv(argv[0], (char **) argv);
        _exit(127);
}

void mosquitto_start(Mosquitto *broker) {
        broker->pid = spawn((const char *const[]){ PROGRAM, "-c", broker->config, NULL });
        for (int i = 0; i < 1000 && !answers(broker->port); i++)
                (void) usleep(10000);
        MUST(answers(broker->port) &&
                waitpid(broker->pid, NULL, WNOHANG) == 0); /* it answers, and not another on its port */
}

void mosquitto_kill(Mosquitto *broker) {
        MUST(kill(broker->pid, SIGKILL) == 0);
        MUST(waitpid(broker->pid, NULL, 0) == broker->pid);
}

Mosquitto *mosquitto_new(const char *lines) {
        Mosquitto *broker = calloc(1, sizeof(*broker));
        FILE *file;

        MUST(broker);
        broker->port = free_port();
        (void) snprintf(broker->directory, sizeof(broker->directory), "/tmp/mosquitto.XXXXXX");
        MUST(mkdtemp(broker->directory));
        (void) snprintf(broker->config, sizeof(broker->config), "%s/mosquitto.conf", broker->directory);
        file = fopen(broker->config, "we");
        MUST(file);
        MUST(fprintf(file,
                     "user root\npersistence true\npersistence_location %s/\nautosave_on_changes true\nautosave_interval 1\n"
                     "log_dest file %s/log\nlistener %u 127.0.0.1\n%s%s",
                     broker->directory, broker->directory, broker->port,
                     strstr(lines, "allow_anonymous") ? "" : "allow_anonymous true\n", lines) > 0);
        MUST(fclose(file) == 0);
        mosquitto_start(broker);
        return broker;
}

Mosquitto *mosquitto_free(Mosquitto *broker) {
        char command[128];

        if (!broker)
                return NULL;
        mosquitto_kill(broker);
        (void) snprintf(command, sizeof(command), "rm -r %s", broker->directory);
        MUST(system(command) == 0);
        free(broker);
        return NULL;
}

uint16_t mosquitto_port(const Mosquitto *broker) {
        return broker->port;
}

const char *mosquitto_directory(const Mosquitto *broker) {
        return broker->directory;
}

void mosquitto_publish(const Mosquitto *broker, const char *topic, const char *payload, bool retain) {
        char port[8];
        int status;
        pid_t pid;

        (void) snprintf(port, sizeof(port), "%u", broker->port);
        pid = spawn((const char *const[]){ "/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-q", "1", "-t",
                topic, "-m", payload, retain ? "-r" : NULL, NULL });
        MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
