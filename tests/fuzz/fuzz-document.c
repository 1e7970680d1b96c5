/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message's data: a valid document or a reason, never more than the limit, the same twice, and a
 * rejected document always. As a line of a file it is JSON, and has the same key when it is read. In the body of a
 * webhook it is JSON beside another one. */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "lib/file.h"
#include "lib/json.h"
#include "sinks/document.h"
#include "sinks/file.h"
#include "sinks/webhook.h"

/* The first byte says how much of the rest is an attribute. */
static WireMessage message_of(const uint8_t *data, size_t size, WireAttribute *attribute) {
        size_t split = size > 0 ? data[0] % 16 : 0;
        const char *text = (const char *) data;

        if (size == 0 || size < 1 + split)
                return (WireMessage){ .data = { text, size }, .message_id = { "1", 1 } };
        *attribute = (WireAttribute){ { text + 1, split }, { text + 1, split } };
        return (WireMessage){
                .data = { text + 1 + split, size - 1 - split },
                .message_id = { "1", 1 },
                .publish_time = { text + 1, split },
                .attributes = attribute,
                .n_attributes = split > 0,
        };
}

static void require_key(const FileKey *key, Bytes *line) {
        int fd = memfd_create("line", MFD_CLOEXEC);
        FileLines lines = {};

        require(bytes_append(line, "\n", 1) == 0 && file_write_all(fd, line->data, line->size) == 0 &&
                lseek(fd, 0, SEEK_SET) == 0);
        require(file_lines_read(fd, &lines) == 0 && lines.n == 1 && lines.tail == 0 && lines.good == line->size);
        require(memcmp(&lines.keys[0], key, sizeof(*key)) == 0);
        free(lines.keys);
}

static void write_line(const DocumentInput *input) {
        _cleanup_bytes_ Bytes line = {}, scratch = {};
        char detail[DOCUMENT_DETAIL_SIZE];
        bson_t document;
        FileKey key;
        Slice id;

        bson_init(&document);
        require(document_id(input, &scratch, &id) >= 0);
        if (document_json(input, &document, &line, detail) == DOCUMENT_OK) {
                require(bytes_is_utf8(line.data, line.size) &&
                        json_is_whole((Slice){ line.data, line.size }, JSON_READER_DEPTH, NULL));
                key = file_key(id, document_text(&document, "pubsub.sha256").data, input->message->publish_time);
                require_key(&key, &line);
        }
        bson_destroy(&document);
}

static void build_body(const DocumentRules *rules, const WireMessage *message) {
        const WireMessage other = { .data = { "{}", 2 }, .message_id = { "2", 1 } };
        SinkItem items[] = { { .message = &other }, { .message = message }, { .message = &other } };
        SinkWork work = { .items = items, .n = 3 };
        WebhookSpan span = { .end = 3 };
        WebhookBody body = {};
        int r;

        r = webhook_body_build(rules, &work, 3, &span, &body);
        require(r == 0 || r == WEBHOOK_BODY_LATER); /* a machine under load: bad documents have used up their time */
        require(r != 0 || span.end == 3);
        require(r != 0 || body.n == 3 - (size_t) (items[1].verdict == SINK_BAD));
        require(items[0].verdict == SINK_PENDING);
        require(r != 0 || (json_is_whole((Slice){ body.text.data, body.text.size }, JSON_READER_DEPTH, NULL) &&
                                  bytes_is_utf8(body.text.data, body.text.size)));
        webhook_body_done(&body);
        free(items[1].detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static char created_at[] = "created_at";
        char *date_fields[] = { created_at, NULL }, detail[DOCUMENT_DETAIL_SIZE];
        const DocumentRules rules = {
                .subscription = "projects/p/subscriptions/s", .id_attribute = "id", .date_fields = date_fields
        };
        WireAttribute attribute = {};
        WireMessage message = message_of(data, size, &attribute);
        const DocumentRules line_rules = { .subscription = rules.subscription, .id_attribute = "id" };
        bson_t document, again, rejected;
        size_t offset;
        int r;

        bson_init(&document);
        bson_init(&again);
        bson_init(&rejected);
        r = document_build(&(DocumentInput){ &message, &rules, 1, false }, &document, detail);
        require(r == document_build(&(DocumentInput){ &message, &rules, USEC_PER_HOUR, false }, &again, detail));
        require(r >= 0);
        if (r == DOCUMENT_OK) {
                require(document.len <= DOCUMENT_SIZE_MAX);
                require(bson_validate(&document,
                        BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL | BSON_VALIDATE_DOT_KEYS |
                                BSON_VALIDATE_DOLLAR_KEYS | BSON_VALIDATE_EMPTY_KEYS,
                        &offset));
                require(document_same_payload(&document, &again));
        } else {
                require(bytes_is_utf8(detail, strlen(detail)));
                require(document_build_rejected(&(DocumentInput){ &message, &rules, 1, false },
                                document_reason((DocumentReason) r), detail, &rejected) == 0);
                require(bson_validate(&rejected, BSON_VALIDATE_NONE, &offset));
        }
        bson_destroy(&document);
        bson_destroy(&again);
        bson_destroy(&rejected);
        write_line(&(DocumentInput){ &message, &line_rules, 1, false });
        build_body(&line_rules, &message);
        return 0;
}
