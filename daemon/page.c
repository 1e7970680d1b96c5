/* SPDX-License-Identifier: Apache-2.0 */
#include "page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/array.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/log.h"
#include "page-answer.h"
#include "page-charts.h"
#include "page-render.h"
#include "types.h"
#include "web-listen.h"

#define LISTEN_RETRY_MAX_USEC USEC_PER_MINUTE
#define LOGIN_SAID_USEC (10 * USEC_PER_MINUTE) /* so that somebody who guesses does not fill the journal */

/* Viewers who reload all the time must not slow down storing. So many requests are answered at once, then one in each
 * REQUEST_USEC. One view needs about ten. */
#define REQUESTS_BURST 60
#define REQUEST_USEC (5 * USEC_PER_MSEC)

struct Page {
        PageHost host;
        Config *config;                         /* NULL, or without a page: the page is not served */
        const SubscriptionConfig *subscription; /* the one that is drawn; NULL: none */
        PageCharts *charts;
        ListenRoute *route;
        LoopWatch *retry; /* tries to listen again */
        Backoff backoff;
        Trouble trouble; /* it cannot listen */
        PageLogin login;
        usec_t login_said;
        usec_t clear; /* clock_now() at which REQUESTS_BURST requests are allowed again */
        LoopWatch *turn;
        ListenRequest **waiting; /* until they may be answered; in the order in which they came */
        size_t n_waiting, waiting_allocated;
        bool stopping;
};

/* ---- answers ---- */

static int answer_status(Page *page, ListenRequest *request) {
        _cleanup_(report_done) Figures figures = {};
        _cleanup_bytes_ Bytes json = {};
        int r;

        r = page->host.figures(page->host.userdata, &figures);
        if (r < 0)
                return r;
        figures.page_subscription = page->subscription ? page->subscription->subscription : "";
        r = report_format_json(&figures, &json);
        if (r < 0)
                return r;
        page_answer_made(request, PAGE_ANSWER_JSON, bytes_slice(&json), PAGE_CODING_PLAIN);
        return 0;
}

static int answer_health(Page *page, ListenRequest *request) {
        _cleanup_(report_done) Figures figures = {};
        char line[REPORT_LINE_SIZE], text[REPORT_LINE_SIZE + 1];
        int r;

        r = page->host.figures(page->host.userdata, &figures);
        if (r < 0)
                return r;
        (void) snprintf(text, sizeof(text), "%s\n", report_format_line(&figures, line));
        page_answer_text(request, report_is_well(&figures) ? 200 : 503, NULL, NULL, text);
        return 0;
}

static int answer_metrics(Page *page, ListenRequest *request) {
        _cleanup_(report_done) Figures figures = {};
        _cleanup_(bytes_done) Bytes text = {};
        int r;

        r = page->host.figures(page->host.userdata, &figures);
        if (r < 0)
                return r;
        r = page_metrics_figures(&figures, &text);
        if (r < 0)
                return r;
        page_charts_ask(page->charts, request, &(PageJob){ .kind = PAGE_JOB_METRICS, .body = bytes_steal(&text) });
        return 0;
}

static int answer_series(Page *page, ListenRequest *request) {
        page_charts_ask(page->charts, request, &(PageJob){ .kind = PAGE_JOB_SERIES });
        return 0;
}

static int answer_values(Page *page, ListenRequest *request) {
        const PageQueryText text = { .series = listen_query(request, "series"),
                .from = listen_query(request, "from"),
                .to = listen_query(request, "to"),
                .points = listen_query(request, "points") };
        PageJob job = { .kind = PAGE_JOB_VALUES };
        const char *wrong = page_query_parse(&text, &job.query);

        if (wrong)
                page_answer_error(request, 400, wrong);
        else
                page_charts_ask(page->charts, request, &job);
        return 0;
}

static const PageFile *file_find(const char *path) {
        for (const PageFile *file = page_files; file->path; file++)
                if (strcmp(file->path, path) == 0)
                        return file;
        return NULL;
}

/* Answers now or later; -ENOMEM: it is not answered. */
static int page_route(Page *page, ListenRequest *request) {
        static const struct {
                const char *path;
                int (*answer)(Page *page, ListenRequest *request);
        } routes[] = { { "/api/status", answer_status }, { "/healthz", answer_health }, { "/metrics", answer_metrics },
                { "/api/series", answer_series }, { "/api/values", answer_values } };
        const char *path = listen_path(request);
        const PageFile *file = file_find(path);

        for (size_t i = 0; i < ELEMENTSOF(routes); i++)
                if (strcmp(path, routes[i].path) == 0)
                        return routes[i].answer(page, request);
        if (file)
                page_answer_file(request, file);
        else
                page_answer_text(request, 404, NULL, NULL, "There is nothing here.\n");
        return 0;
}

static void page_serve(Page *page, ListenRequest *request) {
        usec_t now = clock_now();

        page->clear = usec_max(page->clear, now) + REQUEST_USEC;
        if (page_route(page, request) < 0)
                page_answer_text(request, 503, NULL, NULL, "Out of memory.\n");
}

/* Returns how long the next request has to wait, in microseconds. */
static usec_t page_wait(const Page *page) {
        usec_t ready = page->clear + REQUEST_USEC, now = clock_now() + REQUESTS_BURST * REQUEST_USEC;

        return ready > now ? ready - now : 0;
}

static void on_turn(void *userdata) {
        Page *page = userdata;
        size_t n = 0;

        while (n < page->n_waiting && page_wait(page) == 0)
                page_serve(page, page->waiting[n++]);
        page->n_waiting -= n;
        memmove(page->waiting, page->waiting + n, page->n_waiting * sizeof(ListenRequest *));
        if (page->n_waiting > 0)
                loop_arm_in(page->turn, page_wait(page));
}

static void on_request(void *userdata, ListenRequest *request) {
        Page *page = userdata;

        if (array_reserve(&page->waiting, &page->waiting_allocated, page->n_waiting + 1, sizeof(ListenRequest *)) < 0)
                return page_answer_text(request, 503, NULL, NULL, "Out of memory.\n");
        page->waiting[page->n_waiting++] = request;
        if (!loop_is_armed(page->turn))
                on_turn(page);
}

/* ---- who may see it ---- */

static void log_login(Page *page, const ListenRequest *request) {
        usec_t now = clock_now();

        if (page->login_said > 0 && now - page->login_said < LOGIN_SAID_USEC)
                return;
        page->login_said = now;
        log_event(LOG_WARNING, EVENT_PAGE_LOGIN_REFUSED, LOG_FIELDS({ FIELD_ERROR, listen_peer(request) }),
                "Wrong password for the page from %s. Further ones are not logged for some minutes, and guessing is "
                "slowed down.",
                listen_peer(request));
}

static void on_header(void *userdata, ListenRequest *request) {
        const char *method = listen_method(request);
        Page *page = userdata;
        const ConfigSecret *password = &page->config->page->password;
        unsigned seconds = 0;
        char wait[16];

        if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
                return page_answer_text(request, 405, "Allow", "GET, HEAD", "This page is read only: GET and HEAD.\n");
        if (!password->file)
                return;
        switch (page_login_check(&page->login, password->text,
                &(PageLoginTry){ listen_header(request, "Authorization"), listen_peer(request), clock_now() },
                &seconds)) {
        case PAGE_LOGIN_OK:
                return;
        case PAGE_LOGIN_WAIT:
                (void) snprintf(wait, sizeof(wait), "%u", seconds);
                return page_answer_text(request, 429, "Retry-After", wait,
                        "Too many wrong passwords came from this address. Wait a little.\n");
        case PAGE_LOGIN_WRONG:
                log_login(page, request);
                break;
        }
        page_answer_text(request, 401, "WWW-Authenticate", "Basic realm=\"sensorqd\", charset=\"UTF-8\"",
                "This page has a password; any user name goes with it.\n");
}

/* ---- listening ---- */

static void log_listening(Page *page) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&page->trouble, span))
                log_event(LOG_NOTICE, EVENT_PAGE_RECOVERED, NULL, "The page is served on %s again, after %s.",
                        page->config->page->listen, span);
        else
                log_info("The page is served on %s.", page->config->page->listen);
}

static void page_failed(Page *page, TroubleGrade grade, int error, usec_t retry_in) {
        if (trouble_fail(&page->trouble, grade, web_listen_cause(error), retry_in, web_listen_words(error)))
                log_event(trouble_level(&page->trouble), EVENT_PAGE_FAILING,
                        LOG_FIELDS({ FIELD_ERROR, page->trouble.detail }),
                        "The page cannot be served on %s: %s. sensorqd keeps trying; nothing else waits for it.",
                        page->config->page->listen, page->trouble.detail);
}

static void on_refused(void *userdata, int error) {
        Page *page = userdata;

        if (error < 0)
                page_failed(page, TROUBLE_PASSING, error, 0);
        else if (trouble_is_on(&page->trouble))
                log_listening(page);
}

static int page_try(Page *page) {
        const PageConfig *keys = page->config->page;

        return listen_route(page->host.listen,
                &(ListenSpec){
                        .certificate_file = keys->tls.certificate_file,
                        .key_file = keys->tls.key_file,
                        .address = keys->listen,
                        .hosts = (const char *const *) keys->hosts,
                        .path = "/",
                        .below = true,
                },
                &(ListenHandler){ on_header, on_request, on_refused, page }, &page->route);
}

/* Listens; tries again later if that fails, since the address may become free. */
static void on_listen(void *userdata) {
        Page *page = userdata;
        usec_t delay;
        int r;

        r = page_try(page);
        if (r == 0) {
                backoff_reset(&page->backoff);
                return log_listening(page);
        }
        delay = backoff_next(&page->backoff, loop_random());
        loop_arm_in(page->retry, delay);
        page_failed(page, TROUBLE_LASTING, r, delay);
}

static void page_close(Page *page) {
        loop_off(page->retry);
        loop_off(page->turn);
        page->n_waiting = 0; /* listen_drop() answers them */
        page_charts_forget(page->charts);
        page->route = listen_drop(page->route);
        page->trouble = (Trouble){};
        backoff_reset(&page->backoff);
}

/* ---- what is drawn ---- */

/* Prefers a file sink: it has every message, and does not depend on another service. */
static int subscription_rank(const SubscriptionConfig *subscription) {
        return strcmp(subscription->sink, "file") == 0 ? 2 : types_sink(subscription->sink)->history ? 1 : 0;
}

/* Returns the configured subscription, else the first of the best rank. */
static const SubscriptionConfig *subscription_choose(const Config *config) {
        const char *name = config->page->subscription;
        const SubscriptionConfig *chosen = config->subscriptions;

        if (name)
                return config_find_subscription(config, slice_of(name));
        for (size_t i = 1; i < config->n_subscriptions; i++)
                if (subscription_rank(&config->subscriptions[i]) > subscription_rank(chosen))
                        chosen = &config->subscriptions[i];
        return chosen;
}

/* ---- life ---- */

void page_use(Page *page, Config *config) {
        bool same = page->config && config_page_equal(page->config->page, config->page);

        if (!same)
                page_close(page);
        config_ref(config);
        config_unref(page->config);
        page->config = config;
        page->subscription = config->page ? subscription_choose(config) : NULL;
        page_charts_use(page->charts, config, page->subscription);
        if (!same && config->page)
                on_listen(page); /* at once: when the daemon is ready, the page must be there */
}

const Trouble *page_trouble(const Page *page) {
        return &page->trouble;
}

void page_stop(Page *page) {
        if (page->stopping)
                return;
        page->stopping = true;
        page_close(page);
        page_charts_stop(page->charts);
}

bool page_is_stopped(const Page *page) {
        return page->stopping && page_charts_is_stopped(page->charts);
}

void page_stored(void *page, const char *subscription, const WireMessage *message) {
        page_charts_add(((Page *) page)->charts, subscription, message);
}

int page_new(const PageHost *host, Page **ret) {
        _cleanup_(page_freep) Page *page = calloc(1, sizeof(*page));
        int r;

        if (!page)
                return -ENOMEM;
        page->host = *host;
        page->backoff = (Backoff){ .initial = USEC_PER_SEC, .max = LISTEN_RETRY_MAX_USEC };
        r = loop_add_timer(host->loop, LOOP_EXACT, on_listen, page, &page->retry);
        if (r < 0)
                return r;
        r = loop_add_timer(host->loop, LOOP_EXACT, on_turn, page, &page->turn);
        if (r < 0)
                return r;
        r = page_charts_new(
                &(PageChartsHost){ host->loop, host->secrets, host->state_dir, host->on_stopped, host->userdata },
                &page->charts);
        if (r < 0)
                return r;
        *ret = cleanup_steal(page);
        return 0;
}

Page *page_free(Page *page) {
        if (!page)
                return NULL;
        if (page->charts)
                page_close(page);
        page_charts_free(page->charts);
        loop_drop(page->turn);
        loop_drop(page->retry);
        config_unref(page->config);
        free(page->waiting);
        free(page);
        return NULL;
}
