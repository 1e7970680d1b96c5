/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The verbs beside `run` and `once`: each runs to its end and returns an exit code of sysexits(3). They print for a
 * reader on standard output and never print a secret. */

#include <stdbool.h>

#include "config.h"

/* One line for each remote end: `ok    NAME  detail` or `FAIL  NAME  what, and what to do`. Changes nothing. *offline*:
 * the file was parsed, that is all. *run_programs*: those of exec sources are run once. 0, 69; 77 for a secret, 71
 * where the system does not give it. */
int verb_check(Config *config, bool offline, bool run_programs);

/* Creates what is missing: topic, subscriptions, indexes. Never changes what exists, says what differs. 0, 69; 77 for a
 * secret. */
int verb_setup(Config *config);

/* At length; the file as it is; one line, and only when not all is well; at length, again and again until a signal. */
typedef enum VerbStatus { VERB_STATUS_WORDS, VERB_STATUS_JSON, VERB_STATUS_CHECK, VERB_STATUS_WATCH } VerbStatus;

/* What STATUS= says and more, from status.json of the running daemon of that configuration. 0, 69 when none runs, and
 * with CHECK when not all is well. *config* is NULL where the file cannot be read: only the unit's own directory is
 * looked at then. */
int verb_status(const char *config_path, const Config *config, VerbStatus how);

/* Whether what follows the verb is list | show ID | replay ID...|--all | drop ID...|--all. */
bool verb_rejected_understands(int argc, char **argv, bool all);
/* Does it, over the rejected readings of the outbox and of each subscription's rejected collection. 0; 64 for what it
 * does not understand; 69; 77. */
int verb_rejected(Config *config, int argc, char **argv, bool all);

/* Whether what follows the verb is nothing, list, or test TARGET; --json belongs to the first two. */
bool verb_alerts_understands(int argc, char **argv, bool json);
/* Lists what each rule of alerts thinks of each device, also beside a running daemon, or sends a test message. 0; 64
 * for what it does not understand, an unknown target too; 69; 77. */
int verb_alerts(Config *config, int argc, char **argv, bool json);

/* Makes a first configuration at *config_path*, asking a person at a terminal for what no option says; argv[0] is the
 * verb, the rest its own options. Nothing is written before the end, and nothing is written over. 0; 64 for options, or
 * where an answer is missing; 69 when a remote end refused, and where that was not accepted nothing was written; 73
 * when the file exists, or cannot be written. */
int verb_init(const char *config_path, int argc, char **argv);
