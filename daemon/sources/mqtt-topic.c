/* SPDX-License-Identifier: Apache-2.0 */
#include "sources/mqtt.h"

typedef enum LevelKind { LEVEL_TEXT, LEVEL_ANY, LEVEL_REST } LevelKind;

typedef enum LevelName { NAME_NONE, NAME_ID, NAME_NAME, NAME_FIELD, _NAME_MAX } LevelName;

static const struct {
        const char *text;
        LevelKind kind;
        LevelName name;
} words[] = {
        { "+", LEVEL_ANY, NAME_NONE },
        { "#", LEVEL_REST, NAME_NONE },
        { "{id}", LEVEL_ANY, NAME_ID },
        { "{name}", LEVEL_ANY, NAME_NAME },
        { "{field}", LEVEL_ANY, NAME_FIELD },
        { "{id*}", LEVEL_REST, NAME_ID },
};

/* One level of a pattern. */
typedef struct Level {
        Slice text;
        LevelKind kind;
        LevelName name;
        bool last;
} Level;

/* Takes the first level of *rest*; after the last one `rest->data` is NULL. */
static Level level_take(Slice *rest) {
        const char *slash = memchr(rest->data, '/', rest->size);
        Level level = { .text = { rest->data, slash ? (size_t) (slash - rest->data) : rest->size }, .last = !slash };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (slice_equal(level.text, words[i].text)) {
                        level.kind = words[i].kind;
                        level.name = words[i].name;
                }
        *rest = slash ? (Slice){ slash + 1, rest->size - level.text.size - 1 } : (Slice){};
        return level;
}

static bool has_any(Slice text, const char *characters) {
        for (size_t i = 0; i < text.size; i++)
                if (strchr(characters, text.data[i]))
                        return true;
        return false;
}

static const char *level_check(const Level *level) {
        if (level->kind == LEVEL_REST && !level->last)
                return level->name == NAME_ID ? "has {id*} before its end" : "has # before its end";
        if (level->kind == LEVEL_TEXT && has_any(level->text, "+#"))
                return "has + or # beside other characters of a level";
        if (level->kind == LEVEL_TEXT && has_any(level->text, "{}"))
                return "has braces around something else than {id}, {name}, {field} or, at its end, {id*}, each a "
                       "whole level";
        return NULL;
}

const char *mqtt_topic_check(const char *pattern) {
        Slice rest = slice_of(pattern);
        unsigned seen[_NAME_MAX] = {};

        if (rest.size == 0)
                return "is empty";
        if (rest.size > MQTT_TOPIC_MAX)
                return "is too long";
        if (strncmp(pattern, "$share/", strlen("$share/")) == 0)
                return "is a shared subscription, which hands out each message once among several";
        while (rest.data) {
                Level level = level_take(&rest);
                const char *problem = level_check(&level);

                if (problem)
                        return problem;
                if (level.name != NAME_NONE && ++seen[level.name] > 1)
                        return "names the same thing twice";
        }
        return NULL;
}

int mqtt_topic_filter(const char *pattern, Bytes *ret) {
        Slice rest = slice_of(pattern);

        while (rest.data) {
                Level level = level_take(&rest);
                Slice text = level.kind == LEVEL_TEXT ? level.text : slice_of(level.kind == LEVEL_ANY ? "+" : "#");

                bytes_append(ret, text.data, text.size);
                bytes_append_text(ret, level.last ? "" : "/");
        }
        return bytes_result(ret);
}

static void topic_note(MqttTopic *topic, LevelName name, Slice value) {
        if (name == NAME_ID)
                topic->id = value;
        else if (name == NAME_NAME)
                topic->name = value;
        else if (name == NAME_FIELD)
                topic->field = value;
}

bool mqtt_topic_match(const char *pattern, Slice topic, MqttTopic *ret) {
        Slice patterns = slice_of(pattern), topics = topic;
        MqttTopic found = {};

        if (topic.size > 0 && topic.data[0] == '$' && pattern[0] != '$')
                return false;
        while (patterns.data) {
                Level level = level_take(&patterns), given;

                if (level.kind == LEVEL_REST) { /* `a/#` also matches `a` (4.7.1.2) */
                        topic_note(&found, level.name, topics);
                        topics = (Slice){};
                        break;
                }
                if (!topics.data)
                        return false;
                given = level_take(&topics);
                if (level.kind == LEVEL_TEXT && !slice_same(level.text, given.text))
                        return false;
                topic_note(&found, level.name, given.text);
        }
        if (topics.data)
                return false;
        *ret = found;
        return true;
}

bool mqtt_topic_find(char *const *patterns, Slice topic, MqttTopic *ret) {
        *ret = (MqttTopic){};
        for (; *patterns; patterns++)
                if (mqtt_topic_match(*patterns, topic, ret))
                        return true;
        return false;
}

static bool levels_overlap(const Level *a, const Level *b, bool first) {
        if (a->kind == LEVEL_TEXT && b->kind == LEVEL_TEXT)
                return slice_same(a->text, b->text);
        if (!first)
                return true;
        return !(a->kind == LEVEL_TEXT && a->text.size > 0 && a->text.data[0] == '$') &&
               !(b->kind == LEVEL_TEXT && b->text.size > 0 && b->text.data[0] == '$');
}

/* True if the rest of the longer pattern matches no level at all. */
static bool rest_may_be_empty(Slice rest) {
        return slice_equal(rest, "#") || slice_equal(rest, "{id*}");
}

bool mqtt_topic_overlap(const char *a, const char *b) {
        Slice left = slice_of(a), right = slice_of(b);

        for (bool first = true; left.data && right.data; first = false) {
                Level l = level_take(&left), r = level_take(&right);

                if (!levels_overlap(&l, &r, first))
                        return false;
                if (l.kind == LEVEL_REST || r.kind == LEVEL_REST)
                        return true;
        }
        if (left.data)
                return rest_may_be_empty(left);
        return !right.data || rest_may_be_empty(right);
}
