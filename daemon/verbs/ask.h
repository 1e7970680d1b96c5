/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Questions of a verb on a terminal. Each prints a prompt on standard output and reads a line of standard input: 0,
 * -ENODATA at the end of the input, -ENOMEM. */

#include <stdbool.h>
#include <stddef.h>

/* A text without blanks around it; *fallback* (NULL: none) stands for an empty line. *ret* is malloc'ed, maybe "". */
int ask_text(const char *prompt, const char *fallback, char **ret);

/* A secret, which the terminal does not show; "" for an empty line. Released with secret_free(). A signal that ends the
 * process meanwhile finds the terminal as it was. */
int ask_secret(const char *prompt, char **ret);

/* Yes or no; *fallback* for an empty line. */
int ask_yes(const char *prompt, bool fallback, bool *ret);

/* One of *words* ("akq"), one letter each; asked again until it is one. */
int ask_letter(const char *prompt, const char *words, char *ret);

/* A number from 1 to *max*; 1 for an empty line. */
int ask_number(const char *prompt, size_t max, size_t *ret);
