/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Questions that a verb asks on a terminal. Each prints a prompt on standard output and reads a line from standard
 * input. They return 0, -ENODATA at the end of the input, or -ENOMEM. */

#include <stdbool.h>
#include <stddef.h>

/* Asks for a text and cuts blanks around it. An empty line gives *fallback*, or "" when that is NULL. *ret* is
 * malloc'ed. */
int ask_text(const char *prompt, const char *fallback, char **ret);

/* Asks for a secret, which the terminal does not show; "" for an empty line. Free it with secret_free(). A signal that
 * ends the process meanwhile leaves the terminal as it was. */
int ask_secret(const char *prompt, char **ret);

/* Asks yes or no; an empty line gives *fallback*. */
int ask_yes(const char *prompt, bool fallback, bool *ret);

/* Asks for one letter of *words* ("akq"), again and again until the answer is one. */
int ask_letter(const char *prompt, const char *words, char *ret);

/* Asks for a number from 1 to *max*; an empty line gives 1. */
int ask_number(const char *prompt, size_t max, size_t *ret);
