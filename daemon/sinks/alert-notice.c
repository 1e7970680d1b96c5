/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/alert-notice.h"

#include <stdlib.h>

void alert_exchange_done(AlertExchange *exchange) {
        for (size_t i = 0; i < exchange->n_texts; i++)
                free(exchange->texts[i]);
        free(exchange->texts);
        free(exchange->notices);
        free(exchange->receipts);
        *exchange = (AlertExchange){};
}
