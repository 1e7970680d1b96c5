/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of `init` share. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "verbs/ask.h"
#include "verbs/check.h"
#include "verbs/init.h"

const char *init_words(const Init *init, InitText text) {
        return init_text(init->japanese, text);
}

void init_say(const Init *init, InitText text, const char *first, const char *second) {
        init_text_print(init->japanese, text, first, second);
}

int init_missing(const char *option, const char *name) {
        fprintf(stderr, "sensorqd init: %s%s is needed where nobody can be asked. See sensorqd init --help.\n", option,
                name);
        return EX_USAGE;
}

/* ---- what to do about a failure ---- */

int init_ask_verdict(const Init *init, bool entry, InitVerdict *ret) {
        static const char letters[] = {
                [INIT_GOOD] = 'k', [INIT_AGAIN] = 'a', [INIT_LEAVE_OUT] = 'l', [INIT_STOP] = 'q'
        };
        const InitText ask = entry ? INIT_ASK_WHAT_NOW_ENTRY : INIT_ASK_WHAT_NOW;
        char letter;
        int r;

        if (!init->asks) {
                init_say(init, INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
                *ret = INIT_STOP;
                return 0;
        }
        r = ask_letter(init_words(init, ask), entry ? "aklq" : "akq", &letter);
        if (r < 0)
                return r;
        if (letter == 'q')
                init_say(init, INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
        *ret = (InitVerdict) ((const char *) memchr(letters, letter, sizeof(letters)) - letters);
        return 0;
}

int init_wrong_answer(const Init *init) {
        if (init->asks)
                return 0;
        init_say(init, INIT_SAY_NOTHING_WRITTEN, NULL, NULL);
        return EX_USAGE;
}

int init_open_session(const Init *init, Config **ret_config, Session **ret) {
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        int r;

        r = init_draft_parse(init->draft, ret_config, &errors);
        for (size_t i = 0; i < errors.n; i++)
                printf("FAIL  config  %s\n", errors.texts[i]);
        if (r == -EBADMSG)
                return EX_CONFIG;
        return r < 0 || !ret ? r : session_open(*ret_config, ret);
}

/* ---- roles ---- */

static const char *account_of(const Session *session) {
        const Credentials *credentials = session->client ? client_credentials(session->client) : NULL;

        return credentials && credentials->client_email ? credentials->client_email : NULL;
}

static void say_grant(const Init *init, const Session *session, const char *resource) {
        const char *account = account_of(session) ?: "ACCOUNT", *id = strrchr(resource, '/') + 1;
        bool topic = strstr(resource, "/topics/") != NULL;
        const char *kind = strchr(account, '@') && !strstr(account, "gserviceaccount.com") ? "user" : "serviceAccount";
        const char *project = resource + strlen("projects/"); /* the topic may be in another project than the account */
        int n = (int) strcspn(project, "/");

        init_say(init, INIT_SAY_FORBIDDEN, account, resource);
        init_say(init, INIT_SAY_GRANT, NULL, NULL);
        printf("        gcloud projects add-iam-policy-binding %.*s --member %s:%s --role roles/pubsub.editor\n"
               "        gcloud pubsub %s add-iam-policy-binding %s --project %.*s --member %s:%s --role "
               "roles/pubsub.%s\n",
                n, project, kind, account, topic ? "topics" : "subscriptions", id, n, project, kind, account,
                topic ? "publisher" : "subscriber");
}

/* *detail*: why the resource may not be read; "": it may be. Tells how to grant a role only when a role is missing. */
static void say_refused(const Init *init, Session *session, const char *resource, const char *detail) {
        if (*detail == '\0' || strstr(detail, "the service account has no "))
                return say_grant(init, session, resource);
        if (!strstr(detail, "enable the Cloud Pub/Sub API"))
                return session_fail(session, resource, "%s", detail);
        init_say(init, INIT_SAY_API_OFF, NULL, NULL);
        printf("        gcloud services enable pubsub.googleapis.com --project %s\n", session->config->pubsub.project);
}

bool init_may_use(const Init *init, Session *session, const char *resource, const char *permission) {
        Grant grant = check_grant(session, resource, permission);
        _cleanup_(session_reply_done) SessionReply reply = {};
        bool good = true;

        session_get(session, resource, &reply);
        if (reply.outcome == CLIENT_OK && grant != GRANT_NO)
                session_ok(session, resource, "may be used");
        else if (reply.outcome == CLIENT_REFUSED && grant == GRANT_YES)
                session_ok(session, resource, "may be used; its settings may not be read, which is not needed");
        else if (reply.outcome == CLIENT_NOT_FOUND && !strstr(reply.detail, "project not found"))
                init_say(init, INIT_SAY_NOT_YET, resource, NULL);
        else
                good = false;
        if (!good && (reply.outcome == CLIENT_REFUSED || reply.outcome == CLIENT_OK))
                say_refused(init, session, resource, reply.detail);
        else if (!good)
                session_fail(session, resource, "%s", reply.detail);
        return good;
}
