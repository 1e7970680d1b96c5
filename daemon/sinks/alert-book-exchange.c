/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of a firing, one for each target; what the sender gets of them, and the receipts that it returns. */
#include <errno.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/text.h"
#include "sinks/alert-book.h"
#include "sinks/alert-entry.h"

#define FIRING_MAX 200 /* listed in a status */
#define NAMED_MAX 2    /* in STATUS= */

/* ---- entries ---- */

void alert_book_adopt(AlertBook *book, AlertDevice *device, AlertEntry *entry) {
        entry->next = device->entries;
        device->entries = entry;
        book->n_entries++;
}

static AlertEntry *find_entry(const AlertDevice *device, const AlertWatch *watch, const char *target) {
        AlertEntry *entry = device->entries;

        while (entry && (entry->gone || strcmp(entry->rule_key, watch->key) != 0 || strcmp(entry->target, target) != 0))
                entry = entry->next;
        return entry;
}

static int new_entry(const AlertBook *book, size_t watch, const char *target, AlertEntry **ret) {
        const AlertWatch *of = &book->rules->items[watch];
        _cleanup_(alert_entry_freep) AlertEntry *entry = calloc(1, sizeof(AlertEntry));

        if (!entry)
                return -ENOMEM;
        entry->target = strdup(target);
        entry->rule = strdup(of->rule->name);
        entry->field = of->rule->field ? strdup(of->rule->field) : NULL;
        entry->limit = of->limit ? strdup(of->limit) : NULL;
        if (!entry->target || !entry->rule || !entry->field != !of->rule->field || !entry->limit != !of->limit)
                return -ENOMEM;
        memcpy(entry->rule_key, of->key, sizeof(entry->rule_key));
        entry->watch = watch;
        entry->test = of->rule->test;
        *ret = cleanup_steal(entry);
        return 0;
}

/* Adds an entry. *ret* is NULL when there is no room. */
static int add_entry(AlertBook *book, AlertDevice *device, size_t watch, const char *target, AlertEntry **ret) {
        int r;

        if (book->n_entries >= ALERT_ENTRIES_MAX) {
                book->untold = true;
                *ret = NULL;
                return 0;
        }
        r = new_entry(book, watch, target, ret);
        if (r == 0)
                alert_book_adopt(book, device, *ret);
        return r;
}

int alert_book_tell(AlertBook *book, AlertDevice *device, const AlertSlot *slot) {
        const AlertWatch *watch = &book->rules->items[slot->watch];
        usec_t span = alert_judge_span(watch->rule, &slot->state);

        for (size_t i = 0; i < book->config->n_targets; i++) {
                const char *target = book->config->targets[i].name;
                AlertEntry *entry = find_entry(device, watch, target);
                int r = 0;

                if (!alert_config_tells(watch->rule, target) || (entry && entry->ended == 0))
                        continue;
                if (!entry)
                        r = add_entry(book, device, slot->watch, target, &entry);
                if (r < 0)
                        return r;
                if (entry)
                        alert_entry_fire(entry, slot->state.since, slot->fired, slot->value, span);
        }
        return 0;
}

/* ---- receipts ---- */

static void receive(const AlertBook *book, const AlertDevice *device, AlertEntry *entry, const AlertReceipt *receipt,
        const AlertMoment *moment) {
        usec_t wall = moment->wall - (moment->now > receipt->at ? moment->now - receipt->at : 0);
        const AlertSlot *slot = alert_device_find(device, entry->watch);
        bool sealed = alert_entry_is_sealed(entry);
        AlertNext next;

        if (alert_book_due(book, device, entry, moment, &next) == ALERT_IS_DUE) {
                if (receipt->verdict == ALERT_SEALED && slot && !sealed)
                        text_copy(entry->value, sizeof(entry->value), slot->value); /* it stays as it is sent */
                alert_entry_receive(entry, next.kind, receipt, wall);
        }
        if (sealed && !alert_entry_is_sealed(entry) && slot && entry->ended == 0 && entry->since != entry->sealed_since)
                entry->span = alert_judge_span(book->rules->items[slot->watch].rule, &slot->state); /* a new firing's */
        if (alert_book_due(book, device, entry, moment, &next) == ALERT_IS_DONE)
                entry->gone = entry->dirty = true;
}

void alert_book_receive(AlertBook *book, const AlertExchange *exchange, const AlertMoment *moment) {
        for (size_t i = 0; exchange->n_receipts > 0 && i < book->n_devices; i++)
                for (AlertEntry *entry = book->devices[i]->entries; entry; entry = entry->next)
                        for (size_t k = 0; k < exchange->n_receipts && !entry->gone; k++)
                                if (entry->id == exchange->receipts[k].id)
                                        receive(book, book->devices[i], entry, &exchange->receipts[k], moment);
}

/* ---- what is due ---- */

typedef struct Candidate {
        const AlertDevice *device;
        const AlertEntry *entry;
        AlertNext next;
        size_t rank; /* position among the candidates of its target, if there is no room for all */
} Candidate;

/* Order: sealed ones (which may have been sent), then by rank, then those that were given back less often, then the
 * oldest. */
static int compare_candidates(const void *a, const void *b) {
        const Candidate *one = a, *other = b;
        bool sealed = alert_entry_is_sealed(one->entry);

        if (sealed != alert_entry_is_sealed(other->entry))
                return sealed ? -1 : 1;
        if (one->rank != other->rank)
                return one->rank > other->rank ? 1 : -1;
        if (one->entry->turn != other->entry->turn)
                return one->entry->turn > other->entry->turn ? 1 : -1;
        if (one->next.at != other->next.at)
                return one->next.at > other->next.at ? 1 : -1;
        return strcmp(one->entry->target, other->entry->target) ?: strcmp(one->entry->rule, other->entry->rule);
}

/* Ranks them: the first of each target, the second of each, ... So a target that is down leaves room for the others. */
static void share_out(const AlertBook *book, Candidate *candidates, size_t n) {
        size_t taken[ALERT_TARGETS_MAX + 1] = {};

        for (size_t i = 0; i < n; i++)
                candidates[i].rank = taken[alert_config_target(book->config, candidates[i].entry->target)]++;
        qsort(candidates, n, sizeof(Candidate), compare_candidates);
}

/* After a reload a rule may fire again with another limit. The end of the old firing must be told first, or it would be
 * taken for the end of the new one. */
static bool waits_for_end(const AlertBook *book, const Candidate *c, const AlertMoment *moment) {
        AlertNext next;

        for (const AlertEntry *entry = c->device->entries; c->entry->ended == 0 && entry; entry = entry->next)
                if (entry != c->entry && !entry->gone && entry->ended > 0 &&
                        strcmp(entry->target, c->entry->target) == 0 && strcmp(entry->rule, c->entry->rule) == 0 &&
                        alert_book_due(book, c->device, entry, moment, &next) == ALERT_IS_DUE)
                        return !alert_entry_is_sealed(c->entry);
        return false;
}

static size_t collect(const AlertBook *book, Candidate *ret, const AlertMoment *moment) {
        size_t n = 0;

        for (size_t i = 0; i < book->n_devices; i++)
                for (const AlertEntry *entry = book->devices[i]->entries; entry; entry = entry->next) {
                        Candidate c = { .device = book->devices[i], .entry = entry };

                        if (!entry->gone && alert_book_due(book, c.device, entry, moment, &c.next) == ALERT_IS_DUE &&
                                !waits_for_end(book, &c, moment))
                                ret[n++] = c;
                }
        return n;
}

/* Returns the present value; for a sealed entry, which may have been sent, its value at that time. */
static const char *value_of(const AlertDevice *device, const AlertEntry *entry) {
        const AlertSlot *slot = alert_device_find(device, entry->watch);

        return slot && !alert_entry_is_sealed(entry) ? slot->value : entry->value;
}

static const char *text_or_null(const char *text) {
        return text && text[0] != '\0' ? text : NULL;
}

/* Returns the rule's own text for this kind of notice, or NULL. */
static const char *template_of(const AlertBook *book, const Candidate *c) {
        const AlertRule *rule = c->entry->watch == ALERT_NO_RULE ? NULL : book->rules->items[c->entry->watch].rule;

        if (!rule || c->next.kind == ALERT_ENDED || c->next.kind == ALERT_REMOVED)
                return NULL;
        return c->next.kind == ALERT_RESOLVED ? rule->resolved : rule->message;
}

/* Points *ret* at copies of the texts. */
static int copy_texts(AlertNotice *ret, const Candidate *c) {
        const struct {
                const char **to, *from;
        } texts[] = { { &ret->target, c->entry->target }, { &ret->rule, c->entry->rule },
                { &ret->source, text_or_null(c->device->source) }, { &ret->device, text_or_null(c->device->id) },
                { &ret->name, text_or_null(c->device->name) }, { &ret->site, text_or_null(c->device->site) },
                { &ret->field, c->entry->field }, { &ret->value, text_or_null(value_of(c->device, c->entry)) },
                { &ret->limit, c->entry->limit } };
        size_t size = 0;
        char *end;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                size += texts[i].from ? strlen(texts[i].from) + 1 : 0;
        end = ret->block = malloc(size + 1);
        if (!end)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                *texts[i].to = texts[i].from ? end : NULL;
                if (texts[i].from)
                        end = stpcpy(end, texts[i].from) + 1;
        }
        ret->unnamed = !alert_device_is_nobody(c->device) && !ret->name && !ret->device && !ret->source;
        return 0;
}

static int make_notice(const AlertBook *book, const Candidate *c, const AlertMoment *moment, AlertNotice *ret) {
        const AlertEntry *entry = c->entry;
        bool sealed = alert_entry_is_sealed(entry), goes_on = c->next.kind <= ALERT_REPEAT;

        *ret = (AlertNotice){ .id = entry->id,
                .kind = c->next.kind,
                .test = entry->test,
                .span = entry->span,
                .since = c->next.kind == ALERT_RESOLVED ? entry->told_since
                         : sealed                       ? entry->sealed_since
                                                        : entry->since,
                .until = sealed    ? entry->sealed_until
                         : goes_on ? moment->wall
                                   : entry->until,
                .at = c->next.at,
                .end = entry->end,
                .text = template_of(book, c) };
        memcpy(ret->key, entry->seal, sizeof(ret->key));
        return copy_texts(ret, c);
}

static int make_notices(const AlertBook *book, const Candidate *candidates, size_t n, const AlertMoment *moment,
        AlertExchange *exchange) {
        size_t sealed = 0;

        while (sealed < n && alert_entry_is_sealed(candidates[sealed].entry))
                sealed++;
        if (n > sealed + ALERT_EXCHANGE_MAX)
                n = sealed + ALERT_EXCHANGE_MAX;
        exchange->notices = calloc(n + 1, sizeof(AlertNotice));
        if (!exchange->notices)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = make_notice(book, &candidates[i], moment, &exchange->notices[i]);

                if (r < 0)
                        return r;
                exchange->n_notices = i + 1;
        }
        return 0;
}

int alert_book_give(const AlertBook *book, AlertExchange *exchange, const AlertMoment *moment) {
        Candidate *candidates = calloc(book->n_entries + 1, sizeof(Candidate));
        size_t n;
        int r;

        if (!candidates)
                return -ENOMEM;
        n = collect(book, candidates, moment);
        if (n > 1)
                qsort(candidates, n, sizeof(Candidate), compare_candidates);
        if (n > ALERT_EXCHANGE_MAX)
                share_out(book, candidates, n);
        r = make_notices(book, candidates, n, moment, exchange);
        free(candidates);
        return r;
}

/* ---- figures ---- */

/* Appends a member with a number, or with a text in quotes: a number that was cut need not be one. */
static int append_value(Bytes *json, const char *name, const char *value, bool number) {
        return number && value && json_is_whole((Slice){ value, strlen(value) }, 1, NULL)
                       ? bytes_append_format(json, ",\"%s\":%s", name, value)
                       : bytes_append_json_member(json, name, text_or_null(value));
}

static void append_firing(const AlertBook *book, const AlertDevice *device, const AlertSlot *slot, Bytes *json) {
        const AlertWatch *watch = &book->rules->items[slot->watch];
        const struct {
                const char *name, *text;
        } members[] = { { "rule", watch->rule->name }, { "source", device->source }, { "device", device->id },
                { "name", device->name }, { "field", watch->rule->field } };
        bool number = watch->rule->test == ALERT_ABOVE || watch->rule->test == ALERT_BELOW;
        char since[CLOCK_RFC3339_SIZE];

        bytes_append_format(
                json, "%s{\"since\":\"%s\"", json->size > 1 ? "," : "", clock_format_rfc3339(slot->state.since, since));
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                bytes_append_json_member(json, members[i].name, text_or_null(members[i].text));
        append_value(json, "value", slot->value, number);
        append_value(json, "limit", watch->limit, number);
        bytes_append_text(json, "}");
}

/* "hot: Bedroom, leak: Kitchen, ..." */
static void append_name(const AlertBook *book, const AlertDevice *device, const AlertSlot *slot, AlertFigures *f) {
        const char *name = text_or_null(device->name) ?: text_or_null(device->id);

        if (f->firing <= NAMED_MAX)
                bytes_append_format(&f->names, "%s%s%s%s", f->firing > 1 ? ", " : "",
                        book->rules->items[slot->watch].rule->name, name ? ": " : "", name ?: "");
        else if (f->firing == NAMED_MAX + 1)
                bytes_append_text(&f->names, ", ...");
}

int alert_book_figures(const AlertBook *book, AlertFigures *ret) {
        bytes_append_text(&ret->rules, "[");
        for (size_t i = 0; i < book->n_devices; i++) {
                const AlertDevice *device = book->devices[i];

                for (size_t k = 0; k < device->n_slots; k++) {
                        const AlertSlot *slot = &device->slots[k];

                        ret->pending += slot->state.phase == PHASE_PENDING;
                        if (!slot->said)
                                continue;
                        if (ret->firing++ < FIRING_MAX)
                                append_firing(book, device, slot, &ret->rules);
                        append_name(book, device, slot, ret);
                }
        }
        bytes_append_text(&ret->rules, "]");
        return bytes_fail(&ret->rules, bytes_result(&ret->names));
}

void alert_exchange_done(AlertExchange *exchange) {
        for (size_t i = 0; i < exchange->n_notices; i++)
                free(exchange->notices[i].block);
        free(exchange->notices);
        free(exchange->receipts);
        *exchange = (AlertExchange){};
}
