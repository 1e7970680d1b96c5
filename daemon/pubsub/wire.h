/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Pub/Sub's REST bodies as structs and back; pure. Source: google/pubsub/v1/pubsub.proto, and proto3's JSON mapping:
 * zero fields are left out, unknown fields are skipped, int32 may come as a string, bytes are base64. Reads in place:
 * the reply buffer holds the decoded data afterwards, and every slice points into it. */

#include "lib/bytes.h"
#include "lib/clock.h"

typedef struct WireAttribute {
        Slice key, value; /* unescaped; a received one may hold other bytes than UTF-8 */
} WireAttribute;

/* One message to publish. */
typedef struct WireOutgoing {
        Slice data;
        const WireAttribute *attributes;
        size_t n_attributes;
} WireOutgoing;

/* One received message. */
typedef struct WireMessage {
        Slice ack_id;
        Slice data;    /* base64 undone; empty when absent */
        bool data_bad; /* it was not base64: data holds the text as it came */
        Slice message_id, publish_time, ordering_key;
        const WireAttribute *attributes;
        size_t n_attributes;
        int delivery_attempt; /* 0: not told (no dead-letter policy) */
} WireMessage;

/* The messages of a pull reply. Owns the arrays, not the text. */
typedef struct WirePull {
        WireMessage *messages;
        size_t n;
        WireAttribute *attributes; /* of all messages */
        size_t n_attributes;
        size_t skipped; /* elements that were not understood (no ack id, no message id, attributes that are not strings,
                         * too many): they stay unacknowledged, and the service delivers them again */
} WirePull;

#define WIRE_PULL_MESSAGES_MAX 10000     /* ten times what a pull may ask for */
#define WIRE_PULL_ATTRIBUTES_MAX 1000000 /* the service allows 100 a message */
#define WIRE_PULL_DEPTH_MAX 100

/* An error body: {"error":{"code","message","status","details"}}, or a token endpoint's {"error","error_description"}.
 */
typedef struct WireError {
        char status[64]; /* "INVALID_ARGUMENT", "invalid_grant"; "" when the body tells none (HTML from a front end) */
        char message[256];  /* printable, cut */
        char reason[64];    /* of google.rpc.ErrorInfo */
        usec_t retry_delay; /* of google.rpc.RetryInfo; 0: none */
} WireError;

/* Appends {"KEY":"VALUE",...} in the given order. All must be UTF-8. -ENOMEM. */
int wire_put_attributes(Bytes *body, const WireAttribute *attributes, size_t n);
/* {"messages":[...]}: one call for each message, the first into an empty *body*. WIRE_FULL: nothing was added, since
 * the complete body would be longer than *max* bytes. -ENOMEM. */
enum { WIRE_ADDED = 0, WIRE_FULL = 1 };
int wire_add_message(Bytes *body, const WireOutgoing *message, size_t max);
int wire_end_publish(Bytes *body);
/* Reads {"messageIds":[...]} and counts the ids, up to the first that is empty or not a string. -EBADMSG. */
int wire_get_publish(const char *body, size_t size, size_t *ret_n);

/* Appends {"maxMessages":N}, with "returnImmediately" if wanted. -ENOMEM. */
int wire_put_pull(Bytes *body, unsigned max_messages, bool return_immediately);
/* Reads a pull reply in place. -EBADMSG when it is not one: nothing in it can be trusted; -ENOMEM. */
int wire_get_pull(char *body, size_t size, WirePull *ret);
void wire_pull_done(WirePull *pull);

#define WIRE_ACK_BODY_MAX 500000 /* the service refuses 524 288 */
#define WIRE_ACK_IDS_MAX 1000
/* {"ackIds":[...]} with "ackDeadlineSeconds" when *deadline_sec* >= 0 (modifyAckDeadline). Ids are taken from *ids*
 * until *n* or WIRE_ACK_BODY_MAX is reached; *ret_taken* says how many. -ENOMEM. */
int wire_put_ack(Bytes *body, const Slice *ids, size_t n, int deadline_sec, size_t *ret_taken);

/* Reads a proto3 JSON duration ("604800s", "1.5s") that is not negative. Returns false, and writes nothing, for any
 * other text. */
bool wire_get_duration(const char *text, usec_t *ret);

/* Never fails: a body that is not an error body leaves the fields empty. */
void wire_get_error(const char *body, size_t size, WireError *ret);

typedef enum WireAckOutcome { WIRE_ACK_RETRY = 0, WIRE_ACK_DONE, WIRE_ACK_LOST } WireAckOutcome;
/* Per-id results of an exactly-once subscription in an error body: calls *each* for every id named in an
 * EXACTLY_ONCE_ACKID_FAILURE ErrorInfo (WIRE_ACK_RETRY for TRANSIENT_*, WIRE_ACK_LOST for PERMANENT_*); returns their
 * number. Ids not named were acknowledged when the number is > 0. */
int wire_each_ack_failure(const char *body, size_t size,
        void (*each)(void *userdata, const char *ack_id, WireAckOutcome outcome), void *userdata);
