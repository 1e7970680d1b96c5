/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Draws whether there is a second daemon on the subscription whose sink is MongoDB; after pubsub_new(). */
void peer_new(void);
