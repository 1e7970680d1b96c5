/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads what a file sink has written. */

/* Tells the ledger of every line that came since the last look. */
void archive_look(unsigned subscription);
/* After a power cut: what is there is looked at anew. */
void archive_forget(unsigned subscription);
