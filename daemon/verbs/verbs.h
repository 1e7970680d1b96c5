/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The verbs other than `run` and `once`. Each runs to its end and returns an exit code of sysexits(3). They print to
 * standard output for a person, and never print a secret. */

#include <stdbool.h>

#include "config.h"

/* Prints a line for each remote end: `ok    NAME  detail` or `FAIL  NAME  what, and what to do`. Changes nothing.
 * *offline*: no remote end is asked. *run_programs*: the programs of exec sources are run once. 0; 69; 77 when a secret
 * cannot be read, 71 when the system lacks resources to read it. */
int verb_check(Config *config, bool offline, bool run_programs);

/* Creates what is missing: topic, subscriptions, indexes. Never changes what exists, but prints what differs. 0; 69; 77
 * when a secret cannot be read. */
int verb_setup(Config *config);

/* In words; the file as it is; one line, only when something is wrong; in words, repeated until a signal. */
typedef enum VerbStatus { VERB_STATUS_WORDS, VERB_STATUS_JSON, VERB_STATUS_CHECK, VERB_STATUS_WATCH } VerbStatus;

/* Prints the state from status.json of the daemon that runs this configuration. 0; 69 when none runs, and with CHECK
 * when something is wrong. *config* is NULL when the file cannot be used; its state_dir is then not searched. */
int verb_status(const char *config_path, const Config *config, VerbStatus how);

/* True if a daemon that runs this configuration keeps its status.json in *directory*. */
bool verb_status_is_in(const char *directory, const char *config_path);

/* Whether the arguments after the verb are list | show ID | replay ID...|--all | drop ID...|--all. */
bool verb_rejected_understands(int argc, char **argv, bool all);
/* Does that for the rejected readings of the outbox and of all sinks. 0; 64 for arguments that it does not understand;
 * 69; 75 when the person says no; 77 or 71 for a secret. */
int verb_rejected(Config *config, int argc, char **argv, bool all);

/* Whether the arguments after the verb are none, list, or test TARGET; --json goes with the first two only. */
bool verb_alerts_understands(int argc, char **argv, bool json);
/* Lists the state of each alert rule for each device, also while a daemon runs, or sends a test message. 0; 64 for
 * arguments that it does not understand or an unknown target; 69; 77. */
int verb_alerts(Config *config, int argc, char **argv, bool json);

/* Makes a first configuration at *config_path*, and asks a person at a terminal for what no option gives. argv[0] is
 * the verb, the rest its options. Nothing is written before the end, and no file is overwritten. 0; 64 for wrong
 * options or a missing answer; 69 when a remote end refused (nothing is written unless the person accepts that); 73
 * when the file exists or cannot be written. */
int verb_init(const char *config_path, int argc, char **argv);
