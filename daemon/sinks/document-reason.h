/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The limits of a document, and the reasons why a message can never be stored as one. */

#define DOCUMENT_DEPTH_MAX 90                /* mongod refuses about 100 levels */
#define DOCUMENT_SIZE_MAX (15 * 1024 * 1024) /* BSON; below mongod's 16 MiB, with room for the command */

typedef enum DocumentReason {
        DOCUMENT_OK = 0,
        DOCUMENT_NOT_BASE64,
        DOCUMENT_NOT_UTF8,
        DOCUMENT_NOT_JSON,
        DOCUMENT_NOT_OBJECT,
        DOCUMENT_TOO_DEEP,
        DOCUMENT_TOO_LARGE,
        DOCUMENT_DUPLICATE_KEY,
        DOCUMENT_NUMBER_RANGE,
        DOCUMENT_REFUSED,     /* by MongoDB, permanently */
        DOCUMENT_ID_CONFLICT, /* a document with another payload has its _id */
} DocumentReason;
