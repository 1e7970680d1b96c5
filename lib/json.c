/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <json-c/json.h>

#include "err.h"

/* json-c cuts a key at its NUL, so two different keys would become one. */
static int check_key(const JsonReader *r) {
        _cleanup_free_ char *key = NULL;
        size_t size;

        if (!r->escaped)
                return 0;

        key = malloc(r->slice.size);
        if (!key)
                return -ENOMEM;
        if (json_unescape(r->slice, key, &size) < 0)
                return -EBADMSG;
        return memchr(key, '\0', size) ? -EBADMSG : 0;
}

static int check_strictly(const char *text, size_t size) {
        JsonReader r;
        int token, k;

        json_reader_init(&r, text, size, JSON_TREE_DEPTH);
        for (;;) {
                token = json_reader_next(&r);
                if (token == JSON_END)
                        return 0;
                if (token < 0)
                        return -EBADMSG;

                k = token == JSON_KEY ? check_key(&r) : 0;
                if (k < 0)
                        return k;
        }
}

int json_parse(const char *text, size_t size, Json **ret) {
        enum json_tokener_error error;
        struct json_tokener *tokener;
        Json *json;
        int k;

        if (size > JSON_TREE_MAX)
                return -EFBIG;
        k = check_strictly(text, size);
        if (k < 0)
                return k;

        tokener = json_tokener_new_ex(JSON_TREE_DEPTH + 1); /* a scalar counts as a level */
        if (!tokener)
                return -ENOMEM;

        json = json_tokener_parse_ex(tokener, text, (int) size);
        if (json_tokener_get_error(tokener) == json_tokener_continue) /* a number alone may go on */
                json = json_tokener_parse_ex(tokener, "", 1);
        error = json_tokener_get_error(tokener);
        json_tokener_free(tokener);
        if (error != json_tokener_success) {
                (void) json_free(json);
                return -ENOMEM; /* the strict reader accepted the text, so only memory can be missing */
        }

        *ret = json;
        return 0;
}

Json *json_free(Json *json) {
        (void) json_object_put(json);
        return NULL;
}

Json *json_get(Json *json, const char *key) {
        Json *member;

        if (!json_object_is_type(json, json_type_object) || !json_object_object_get_ex(json, key, &member))
                return NULL;
        return member;
}

/* Returns the text of a string, or NULL for another type or a string with a NUL. */
static const char *string_of(Json *json) {
        const char *text;

        if (!json_object_is_type(json, json_type_string))
                return NULL;
        text = json_object_get_string(json);
        return strlen(text) == (size_t) json_object_get_string_len(json) ? text : NULL;
}

const char *json_get_string(Json *json, const char *key) {
        return string_of(json_get(json, key));
}

/* Reads a string of digits, with an optional `-` in front. */
static bool parse_digits(const char *text, int64_t *ret) {
        const char *digits = text + (*text == '-');
        long long value;

        if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
                return false;

        errno = 0;
        value = strtoll(text, NULL, 10);
        if (errno != 0)
                return false;
        *ret = value;
        return true;
}

bool json_get_int(Json *json, const char *key, int64_t *ret) {
        Json *member = json_get(json, key);
        const char *text = string_of(member);
        int64_t value;

        if (text)
                return parse_digits(text, ret);
        if (!json_object_is_type(member, json_type_int))
                return false;

        /* json-c returns its nearest number when a value is out of range. */
        value = json_object_get_int64(member);
        if (value == INT64_MIN || (value == INT64_MAX && json_object_get_uint64(member) > (uint64_t) INT64_MAX))
                return false;
        *ret = value;
        return true;
}

bool json_get_bool(Json *json, const char *key, bool *ret) {
        Json *member = json_get(json, key);

        if (!json_object_is_type(member, json_type_boolean))
                return false;
        *ret = json_object_get_boolean(member);
        return true;
}

Json *json_at(Json *json, size_t index) {
        if (!json_object_is_type(json, json_type_array) || index >= json_object_array_length(json))
                return NULL;
        return json_object_array_get_idx(json, index);
}

char *json_text(Json *json) {
        const char *text =
                json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        return text ? strdup(text) : NULL;
}

void json_each_string(Json *json, void (*each)(void *userdata, const char *key, const char *value), void *userdata) {
        if (!json_object_is_type(json, json_type_object))
                return;

        json_object_object_foreach(json, key, member) {
                const char *value = string_of(member);

                if (value)
                        each(userdata, key, value);
        }
}
