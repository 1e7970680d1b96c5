/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include <stdlib.h>

#include "lib/err.h"

int remote_new(const RemoteMeans *means, Config *config, Remote **ret, CredentialsError *ret_error) {
        _cleanup_(remote_unrefp) Remote *remote = NULL;
        int r;

        ret_error->text[0] = '\0';
        remote = calloc(1, sizeof(Remote));
        if (!remote)
                return -ENOMEM;
        remote->references = 1;
        remote->config = config_ref(config);

        if (!config->pubsub.emulator) {
                r = credentials_load(config, means->secrets, &remote->credentials, ret_error);
                if (r < 0)
                        return r;
        }
        r = token_new(means->loop, means->http, remote->credentials, config->pubsub.ca_file, &remote->token);
        if (r < 0)
                return r;
        r = client_new(means->http, remote->token, means->secrets, &config->pubsub, &remote->client);
        if (r < 0)
                return r;

        *ret = cleanup_steal(remote);
        return 0;
}

Remote *remote_ref(Remote *remote) {
        remote->references++;
        return remote;
}

Remote *remote_unref(Remote *remote) {
        if (!remote || --remote->references > 0)
                return NULL;

        client_free(remote->client);
        token_free(remote->token);
        credentials_free(remote->credentials);
        config_unref(remote->config);
        free(remote);
        return NULL;
}
