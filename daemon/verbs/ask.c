/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/text.h"

#define LINE_MAX_SIZE 4096

/* Reads byte by byte: what follows the line is left for the next question, and no other buffer holds a secret. */
static int read_line(char line[static LINE_MAX_SIZE]) {
        size_t size = 0;
        bool ended = false;
        ssize_t n;
        char c;

        while (!ended && (n = read(STDIN_FILENO, &c, 1)) != 0) {
                if (n < 0 && errno != EINTR)
                        return err_errno();
                ended = n > 0 && c == '\n';
                if (n > 0 && !ended && size < LINE_MAX_SIZE - 1)
                        line[size++] = c;
        }
        if (!ended && size == 0)
                return -ENODATA;
        line[text_clean(line, size)] = '\0';
        return 0;
}

/* Cuts the blanks at both ends. */
static char *tidy(char *line) {
        char *end;

        while (*line == ' ')
                line++;
        end = line + strlen(line);
        while (end > line && end[-1] == ' ')
                end--;
        *end = '\0';
        return line;
}

/* Asks, and reads the answer into *line*, in which *ret* points; "" for an empty line. */
static int ask_line(const char *prompt, const char *fallback, char line[static LINE_MAX_SIZE], const char **ret) {
        int r;

        if (fallback && *fallback)
                printf("  %s [%s]: ", prompt, fallback);
        else
                printf("  %s: ", prompt);
        (void) fflush(stdout);
        r = read_line(line);
        if (r < 0)
                puts("");
        else
                *ret = tidy(line);
        return r;
}

int ask_text(const char *prompt, const char *fallback, char **ret) {
        char line[LINE_MAX_SIZE], *copy;
        const char *answer;
        int r = ask_line(prompt, fallback, line, &answer);

        if (r < 0)
                return r;
        copy = strdup(*answer || !fallback ? answer : fallback);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int ask_yes(const char *prompt, bool fallback, bool *ret) {
        char line[LINE_MAX_SIZE];
        const char *answer = "";
        int r;

        do
                r = ask_line(prompt, fallback ? "Y/n" : "y/N", line, &answer);
        while (r == 0 && !strchr("yYnN", *answer)); /* also found: the end of the letters, which is an empty line */
        if (r == 0)
                *ret = *answer ? strchr("yY", *answer) != NULL : fallback;
        return r;
}

int ask_letter(const char *prompt, const char *words, char *ret) {
        char line[LINE_MAX_SIZE];
        const char *answer = "";
        int r;

        do
                r = ask_line(prompt, NULL, line, &answer);
        while (r == 0 && (!*answer || !strchr(words, *answer | 0x20)));
        if (r == 0)
                *ret = (char) (*answer | 0x20);
        return r;
}

int ask_number(const char *prompt, size_t max, size_t *ret) {
        char line[LINE_MAX_SIZE], *end = NULL;
        const char *answer = "";
        int r;

        do {
                r = ask_line(prompt, "1", line, &answer);
                if (r < 0)
                        return r;
                *ret = *answer ? strtoul(answer, &end, 10) : 1;
        } while (*answer && (*end != '\0' || *ret < 1 || *ret > max));
        return 0;
}

/* ---- secrets ---- */

/* The signals that a terminal uses to end or to stop a process. */
static void terminal_signals(sigset_t *set) {
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

        (void) sigemptyset(set);
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                (void) sigaddset(set, numbers[i]);
}

/* Waits for input or a signal; a signal stays pending. */
enum { WAITED_INPUT = 0, WAITED_SIGNAL = 1 };
static int wait_for_input(int signals) {
        struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { signals, POLLIN, 0 } };

        while (poll(fds, ELEMENTSOF(fds), -1) < 0)
                if (errno != EINTR)
                        return err_errno();
        return fds[1].revents ? WAITED_SIGNAL : WAITED_INPUT;
}

/* Reads a line with the terminal's echo off. The echo is switched off before the prompt is printed, and is on again
 * when this returns. A signal ends the wait; *line* is then unchanged. */
static int read_hidden(const char *prompt, char line[static LINE_MAX_SIZE]) {
        _cleanup_close_ int signals = -1;
        struct termios before, hidden;
        sigset_t set, old;
        int r;

        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return err_errno();
        terminal_signals(&set);
        signals = signalfd(-1, &set, SFD_CLOEXEC);
        if (signals < 0)
                return err_errno();
        hidden = before;
        hidden.c_lflag &= ~(tcflag_t) ECHO;
        (void) sigprocmask(SIG_BLOCK, &set, &old);
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &hidden);
        printf("  %s: ", prompt);
        (void) fflush(stdout);
        r = wait_for_input(signals);
        if (r == WAITED_INPUT)
                r = read_line(line);
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &before);
        puts("");
        (void) fflush(stdout);
        (void) sigprocmask(SIG_SETMASK, &old, NULL); /* a pending signal acts now; a stopped process goes on here */
        return r;
}

int ask_secret(const char *prompt, char **ret) {
        char line[LINE_MAX_SIZE] = "", *answer;
        int r;

        do {
                r = read_hidden(prompt, line);
        } while (r == WAITED_SIGNAL);
        answer = r < 0 ? NULL : strdup(tidy(line));
        explicit_bzero(line, sizeof(line));
        if (!answer)
                return r < 0 ? r : -ENOMEM;

        *ret = answer;
        return 0;
}
