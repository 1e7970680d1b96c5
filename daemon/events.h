/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The journal's vocabulary: every message id and field name that sensorqd writes. Each id has an entry in
 * systemd/sensorqd.catalog, which a test checks. Tests and users' scripts use ids and fields, never sentences. Ids come
 * from `systemd-id128 new`; their meaning never changes. */

/* clang-format off */
#define EVENT_STARTED "c192f0bd19fa4d41b4743a3fffba627e"         /* configuration, outbox and loop are ready */
#define EVENT_STOPPING "3117ed938732482e81aab710a1070c8b"        /* SIGTERM or SIGINT came */
#define EVENT_CONFIG_REJECTED "f6b5f0f5899a4c729424ef8cc74fe62b" /* bad config or secret: not started */
#define EVENT_RELOADED "84272a5a9faa47a19e0aad403aa69e4c"
#define EVENT_RELOAD_REFUSED "0c97d787422f4625a26b52f252965a44" /* the old configuration stays in use */
#define EVENT_SOURCE_FAILING "2bae4da06be24eb6b17f59928da7fad5"
#define EVENT_SOURCE_RECOVERED "0635db6718d547ac9e01927456ff9da7"
/* goes on without the number, or with the time of its arrival */
#define EVENT_READING_ODD "cae1c378750d46f8bb4653bf42242ff4"
/* a value has not changed for a day: unplugged, offline, broken? */
#define EVENT_SENSOR_STILL "67137da784a644e9948cfdf90437dc92"
#define EVENT_PUBLISH_FAILING "4193143dcb114f7eb2b053e3a152a181"
#define EVENT_PUBLISH_RECOVERED "8efb15a4d14742f3b5a6442ad01c0a46"
#define EVENT_TOKEN_REFUSED "8c991356950f4af687065fb040764fd1" /* no access token is available */
#define EVENT_TOKEN_RECOVERED "1d21f900a0284d45bc69a96b4a1e7080"
#define EVENT_SUBSCRIPTION_FAILING "e62761a3c3684a10a910a6feaaf0bc89"
#define EVENT_SUBSCRIPTION_RECOVERED "571fb17cbbf94a23a24e1f8b92ccd19c"
#define EVENT_SINK_DOWN "382d4ad299e84ea794114c3b14833656"
#define EVENT_SINK_UP "97f0506093784477ae2df05d5b08d4a0"
#define EVENT_APART_FAILING "361249f86d244e3db0cca97d5bb2b9cd" /* messages can neither be stored nor set apart */
#define EVENT_APART_RECOVERED "b8e5c4517a9a46d09196659bb514b9d6"
#define EVENT_READING_REJECTED "05dc2d3c8aa64a0dba86ebd2cc37ca62" /* kept in the rejected collection or the outbox's rejected table */
#define EVENT_ALERT_FIRING "45c548acb9564827a10ba9678676337a"   /* a rule applies, and an alert is sent */
#define EVENT_ALERT_RESOLVED "140b54fac98145a99bd358fe43192b57" /* the rule applies no longer */
#define EVENT_ALERTS_DAMAGED "3b96b22625874ea289272ec6712e1d19" /* alerts.sqlite was set aside */
/* alerts wait: the target cannot be reached, or refuses everything */
#define EVENT_ALERT_TARGET_DOWN "4354cf5f75d44f32b3f9d74c8f797cdf"
#define EVENT_ALERT_TARGET_UP "f422d28435a04a78bba7f27400283aa2"
/* one message is given up: its target accepts others */
#define EVENT_ALERT_REFUSED "ee986bc7928948fca843f25205d3c3e0"
#define EVENT_OUTBOX_HIGH "d0528f513faa4f7b84228476e502c58f"    /* more than four fifths of a limit */
#define EVENT_OUTBOX_FULL "7d6895c1eedf48fa95f7bf3632d8270c"    /* polling stopped */
#define EVENT_OUTBOX_DRAINED "0533929e6c3c45348ada3edb4d8e7258" /* below the limits again */
#define EVENT_OUTBOX_LEFT "59a39e7acef34b9481a9ed4540f1b4b1"    /* readings that nobody publishes */
/* the file was set aside; what could be read was copied */
#define EVENT_OUTBOX_DAMAGED "f1c743b50b664ec499b2f534af8bf737"
#define EVENT_OUTBOX_FAILING "04404afcee3a434b9cac57033ad993f9" /* the disk refuses: no space, read-only, I/O error */
#define EVENT_OUTBOX_SLOW "39e70b269e9140acbd6fd85b37d8bd93"    /* the disk takes it, but needs long */
#define EVENT_OUTBOX_RECOVERED "4b43bbd8dc6c456c89daf2f6e04effbc"
/* the wall clock is wrong; request_at comes from the API's Date */
#define EVENT_CLOCK_WRONG "49a61d4642ad4d388cbac1763507b9ed"
#define EVENT_CLOCK_RIGHT "3fb836866e504d01ac29f9a87db5b59b"
/* a message was held for the maximum time and left to the queue again */
#define EVENT_LEASE_LAPSED "07bc1fa13c894a7999e9d9f15e4cc8fa"
/* unsettled messages come near the subscription's retention */
#define EVENT_RETENTION_NEAR "c850c9772ce14276b63bd9e114498191"
/* a stage makes no progress, although it reports no failure */
#define EVENT_STALLED "1b83c359f6534647a3ef31a4709c4a8b"
#define EVENT_EMULATOR "0a8391372828401bb43862de4dd3dfde" /* $PUBSUB_EMULATOR_HOST is set: no credentials, no real queue */
#define EVENT_STOPPED "d950c1c0c8ce420780311ba69881f900"        /* last line: what is left where */
#define EVENT_CAP_HIT "cfbdf9dab37d4649bd5ad1ba096d5c31"        /* a reply or batch was larger than its limit */
#define EVENT_CONFIG_WARNING "4a35837232fa4a959f47bb79036a6972" /* allowed, but probably not meant */
/* after a reload, a source or a sink cannot be started */
#define EVENT_PART_FAILING "98f3e387faa94b979b9c8d045a4bf42c"
#define EVENT_PART_RECOVERED "178c63dd266145048ad9020d7d311910" /* or a reload changed what was failing */
/* the page cannot be served, or the values of its charts cannot be stored */
#define EVENT_PAGE_FAILING "4db234d8921ed4b147cea05edc11f6eb"
#define EVENT_PAGE_RECOVERED "eb1c5551b962607239bbef2a044d310a"
/* the charts' file was set aside; a new one is begun */
#define EVENT_PAGE_DAMAGED "2559bf45d5c92fa95d8d957e0105e203"
#define EVENT_PAGE_LOGIN_REFUSED "ac92233f70175fd96f91ef658b193512" /* a wrong password */

#define FIELD_SOURCE "SENSORQD_SOURCE"
#define FIELD_DEVICE "SENSORQD_DEVICE"
#define FIELD_TOPIC "SENSORQD_TOPIC"
#define FIELD_SUBSCRIPTION "SENSORQD_SUBSCRIPTION"
#define FIELD_MESSAGE_ID "SENSORQD_MESSAGE_ID" /* Pub/Sub's message id */
#define FIELD_KEY "SENSORQD_KEY"               /* idempotency key, or the document's _id */
#define FIELD_ATTEMPT "SENSORQD_ATTEMPT"
#define FIELD_ERROR "SENSORQD_ERROR"
#define FIELD_REASON "SENSORQD_REASON" /* why a message was rejected: a word of a fixed list */
#define FIELD_STATUS "SENSORQD_HTTP_STATUS"
#define FIELD_RETRY_SEC "SENSORQD_RETRY_SEC"
#define FIELD_ROWS "SENSORQD_OUTBOX_ROWS"
#define FIELD_BYTES "SENSORQD_OUTBOX_BYTES"
#define FIELD_FILE "SENSORQD_FILE"
#define FIELD_COLLECTION "SENSORQD_COLLECTION"
#define FIELD_RULE "SENSORQD_RULE" /* name of an alert rule */
#define FIELD_TARGET "SENSORQD_TARGET" /* name of an alert target */
/* clang-format on */
