/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The log: native journal entries with fields when standard error is the journal, else plain lines with the time. The
 * level, the result of log_open() and the number of lost lines are the only mutable file-scope state of the whole
 * program. Every thread may call this. */

#include <syslog.h>

#include "err.h"

typedef struct LogField {
        const char *name;  /* journal field name: [A-Z0-9_]+, not starting with _ */
        const char *value; /* NULL: the field is left out */
} LogField;

/* LOG_FIELDS({ LOG_SOURCE, name }, { LOG_ERROR, detail }) */
#define LOG_FIELDS(...) ((const LogField[]){ __VA_ARGS__, { NULL, NULL } })

/* Finds out where the log goes ($JOURNAL_STREAM against fstat of standard error, as systemd.exec(5) says). Call once,
 * before the first thread. With $SENSORQD_LOG_FIELDS=1 plain lines carry their fields as well, as ` [NAME=value ...]`,
 * message id included. */
void log_open(const char *identifier);

/* Messages of a less urgent level are dropped (LOG_DEBUG is the least urgent). The level is LOG_INFO at first. */
void log_set_level(int level);
int log_level(void);

/* Add this to a level when the process ends right after the entry. It is then written to standard error too: when the
 * sender is already gone, journald may not find out which unit it belonged to. */
#define LOG_LAST 0x10000

/* Writes one entry. *message_id* (32 hex digits) and *fields* may be NULL. In the text and the values, line breaks and
 * other controls become spaces and bytes that are not UTF-8 become `?`, so that a remote's text cannot forge a line.
 * Text is cut at 4 KiB, a value at 1 KiB. Keeps errno. */
void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...) _printf_(4, 5);

#define log_error(...) log_event(LOG_ERR, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_event(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_notice(...) log_event(LOG_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...) log_event(LOG_DEBUG, NULL, NULL, __VA_ARGS__)
