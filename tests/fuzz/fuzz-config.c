/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration of all types: what is refused is told, in UTF-8 and by line; what is accepted is equal
 * to itself, read once more. */
#include <errno.h>

#include "fuzz.h"
#include "config.h"
#include "types.h"

static void require_texts(const ConfigErrors *errors) {
        for (size_t i = 0; i < errors->n; i++)
                require(errors->texts[i][0] != '\0' && bytes_is_utf8(errors->texts[i], strlen(errors->texts[i])));
        for (size_t i = 1; i + (errors->left_out > 0) < errors->n; i++)
                require(errors->lines[i - 1] <= errors->lines[i]);
}

static void require_same(const Config *a, const Config *b) {
        require(config_pubsub_equal(a, b) && config_page_equal(a->page, b->page));
        require(a->n_sources == b->n_sources && a->n_subscriptions == b->n_subscriptions);
        for (size_t i = 0; i < a->n_sources; i++)
                require(config_source_equal(&a->sources[i], &b->sources[i]));
        for (size_t i = 0; i < a->n_subscriptions; i++)
                require(config_subscription_equal(&a->subscriptions[i], &b->subscriptions[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const ConfigInput input = { "/etc/sensorqd/sensorqd.yaml", &types_of_config };
        ConfigErrors errors = {};
        Config *config = NULL, *again = NULL;
        int r = config_parse(&input, (const char *) data, size, &config, &errors);

        require_texts(&errors);
        if (r == 0) {
                require(errors.n == 0);
                require_texts(&config->warnings);
                require(config_parse(&input, (const char *) data, size, &again, &errors) == 0);
                require_same(config, again);
        } else
                require(r == -EBADMSG && !config && errors.n > 0);
        config_unref(again);
        config_unref(config);
        config_errors_done(&errors);
        return 0;
}
