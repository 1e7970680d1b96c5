/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What each reading went through, by its serial number, which Nature Remo's model gives as the temperature. */

#include "world.h"

void ledger_new(unsigned subscriptions);
/* A device's value in an answer to a poll: the serial number of the reading that it may become. */
uint32_t ledger_serve(void);
/* The serial number in a text that holds it as newest_events.te.val; 0: none. */
uint32_t ledger_find(const char *text, size_t size);
/* The daemon has it in its hands; it must put it on disk. */
void ledger_delivered(uint32_t serial);
/* It may come into its hands. */
void ledger_offered(uint32_t serial);
/* It may come twice or not at all, and nobody could know. */
void ledger_loosen(uint32_t serial);
/* It may come twice where the daemon has no way to know it again yet. */
void ledger_doubt(uint32_t serial);

/* The outbox is about to take it; it has taken it, or knew it already. */
/* *named*: so that it is known when it comes again. */
void ledger_putting(uint32_t serial, bool named);
void ledger_put(uint32_t serial, bool repeat);
bool ledger_is_put(uint32_t serial);
/* Pub/Sub gets it under that key. */
void ledger_published(uint32_t serial, const char *key);
/* The sink of that subscription holds a document of it under that id, durably, for the first time. */
void ledger_stored(unsigned subscription, uint32_t serial, const char *id);
/* It is set apart, durably. */
void ledger_rejected(unsigned subscription, uint32_t serial);
/* What it means for the states of alerts is durable; it may be judged again. */
void ledger_judged(unsigned subscription, uint32_t serial);
/* Pub/Sub does not keep it for that subscription any more: its own rules took it, or it was deleted. */
void ledger_gone(unsigned subscription, uint32_t serial);
/* Or set apart. */
bool ledger_is_stored(unsigned subscription, uint32_t serial);
/* What was put so far and is not in every sink. */
size_t ledger_missing(void);
/* Names what is missing, if anything is: a failure. */
void ledger_check(void);
/* Counts: served, put, stored. */
void ledger_tell(void);
/* Nothing is known to be stored by that subscription: it is told anew. */
void ledger_forget(unsigned subscription);
