/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/payload.h"

#include <errno.h>
#include <stdio.h>

#include "lib/gzip.h"
#include "lib/json.h"
#include "lib/text.h"

static Slice without_mark_and_nuls(Slice text) {
        size_t mark;

        while (text.size > 0 && text.data[text.size - 1] == '\0')
                text.size--;
        mark = text_mark(text.data, text.size);
        return (Slice){ text.data + mark, text.size - mark };
}

static int undo_gzip(Payload *p) {
        int r = gzip_undo(p->data, PAYLOAD_GZIP_MAX, &p->content);

        switch (r) {
        case GZIP_DONE:
                p->data = (Slice){ p->content.data, p->content.size };
                return PAYLOAD_OK;
        case GZIP_TOO_LARGE:
                (void) snprintf(p->problem, sizeof(p->problem), "gzip of more than %d bytes", PAYLOAD_GZIP_MAX);
                return PAYLOAD_TOO_LARGE;
        case GZIP_DAMAGED:
                (void) snprintf(p->problem, sizeof(p->problem), "begins as gzip, but cannot be unpacked");
                return PAYLOAD_BAD;
        default:
                return r;
        }
}

static int undo_python(Payload *p) {
        PayloadError error = {};
        int r = payload_from_python(p->text, PAYLOAD_DEPTH_MAX, &p->json, &error);

        if (r == 0) {
                p->text = (Slice){ p->json.data, p->json.size };
                return PAYLOAD_OK;
        }
        (void) snprintf(p->problem, sizeof(p->problem), "neither JSON nor a literal of Python: %s at byte %zu",
                error.what ? error.what : "?", error.place);
        return r == -EBADMSG ? PAYLOAD_BAD : r == -EILSEQ ? PAYLOAD_NOT_UTF8 : r == -E2BIG ? PAYLOAD_TOO_DEEP : r;
}

int payload_open(Slice data, PayloadFormat format, Payload *ret) {
        int r;

        ret->data = data;
        if (gzip_is(data)) {
                r = undo_gzip(ret);
                if (r != PAYLOAD_OK)
                        return r;
        }
        ret->text = without_mark_and_nuls(ret->data);
        if (format != PAYLOAD_PYTHON || data.size == 0 || json_is_whole(ret->text, JSON_READER_DEPTH, NULL))
                return PAYLOAD_OK;
        return undo_python(ret);
}

void payload_done(Payload *payload) {
        bytes_done(&payload->json);
        bytes_done(&payload->content);
}
