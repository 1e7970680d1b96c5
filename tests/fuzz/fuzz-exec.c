/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a program prints, in pieces of any size: each line is taken once, whole and in order, and the rest
 * counts only if the program ended well. The first byte: the mode, how it ends; the next ones: sizes of pieces, up to a
 * zero. The program and the source are replaced. */
#include "fuzz.h"
#include "config.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/process.h"
#include "publish/source.h"

extern const SourceType source_type_exec;

static struct {
        ProcessCallbacks callbacks;
        Slice output, sizes; /* still to be read; sizes of pieces, again and again */
        size_t piece;
        Slice lines; /* that are still to be taken */
        bool waits;  /* a line was taken that is not on disk yet */
        bool well, ended;
} run;

/* ---- the program ---- */

int process_start(Loop *loop, const ProcessSpec *spec, const ProcessCallbacks *callbacks, Process **ret) {
        run.callbacks = *callbacks;
        *ret = (Process *) &run;
        return 0;
}

int process_find(const char *name, const char *const *environment) {
        return 0;
}

size_t process_read(Process *process, char *buffer, size_t size) {
        size_t most = run.sizes.size > 0 ? (uint8_t) run.sizes.data[run.piece++ % run.sizes.size] : size, n;

        most = most < size ? most : size;
        n = most < run.output.size ? most : run.output.size;
        if (n > 0)
                memcpy(buffer, run.output.data, n);
        run.output = (Slice){ run.output.data + n, run.output.size - n };
        return n;
}

void process_hold(Process *process, bool hold) {}

void process_stop(Process *process, usec_t patience) {
        require(false);
}

void process_kill(Process *process) {}

Process *process_free(Process *process) {
        return NULL;
}

/* ---- the source ---- */

/* Takes the next line that is not empty off what is expected. */
static bool next_line(Slice *ret) {
        while (run.lines.size > 0) {
                const char *data = run.lines.data, *end = memchr(data, '\n', run.lines.size);
                size_t size = end ? (size_t) (end - data) : run.lines.size;

                run.lines = (Slice){ data + size + (end != NULL), run.lines.size - size - (end != NULL) };
                while (size > 0 && (data[size - 1] == '\r' || data[size - 1] == ' '))
                        size--;
                *ret = (Slice){ data, size };
                if (size > 0)
                        return end || run.well;
        }
        return false;
}

int source_take(Source *source, const SourceDocument *document) {
        Slice expected;

        require(next_line(&expected) && slice_same(expected, document->text));
        run.waits = true;
        return 1;
}

void source_tell(Source *source, const SourcePoll *poll, usec_t delay) {
        require(!poll->detail || bytes_is_utf8(poll->detail, strlen(poll->detail)));
        run.ended |= poll->outcome != SOURCE_POLLED;
}

void source_polled(Source *source, const SourcePoll *poll) {
        require((poll->outcome == SOURCE_POLLED) == run.well);
        source_tell(source, poll, 0);
        run.ended = true;
}

/* ---- */

static const ConfigSection *source_at(size_t index) {
        return index == 0 ? source_type_exec.keys : NULL;
}

static const ConfigSection *sink_at(size_t index) {
        return NULL;
}

static const SourceConfig *exec_config(bool stream) {
        static const char *const texts[] = {
                "pubsub: { project: my-project }\n"
                "publish: { topic: sensors, sources: [{ name: home, type: exec, interval: 10s, command: [x] }] }\n",
                "pubsub: { project: my-project }\n"
                "publish: { topic: sensors, sources: [{ name: home, type: exec, mode: stream, command: [x] }] }\n"
        };
        static const ConfigTypes types = { source_at, sink_at };
        static Config *parsed[2];
        ConfigErrors errors = {};

        if (!parsed[stream])
                require(config_parse(&(ConfigInput){ "/c.yaml", &types }, texts[stream], strlen(texts[stream]),
                                &parsed[stream], &errors) == 0);
        return parsed[stream]->sources;
}

static void tell(void *exec) {
        run.waits = false;
        source_type_exec.stored(exec);
}

/* The program prints, the disk follows, and then it ends with some of it unread. */
static void print(void *exec, const ProcessEnd *end) {
        while (run.output.size > end->left) {
                size_t before = run.output.size;

                run.callbacks.on_readable(run.callbacks.userdata);
                tell(exec);
                if (run.output.size == before && run.sizes.size > 0)
                        run.sizes.size = 0;
        }
        run.callbacks.on_end(
                run.callbacks.userdata, &(ProcessEnd){ end->killed, end->number, run.output.size, end->error_text });
        while (!run.ended && run.waits)
                tell(exec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        bool stream;
        static Loop *loop;
        ProcessEnd end = {};
        char *text;
        Slice rest;
        void *exec;

        if (!loop) {
                log_set_level(LOG_EMERG);
                require(loop_new(&loop) == 0);
        }
        if (size < 3)
                return 0;
        stream = data[0] & 1;
        text = malloc(size - 1);
        memcpy(text, data + 1, size - 1);
        memset(&run, 0, sizeof(run));
        run.sizes = (Slice){ text, strnlen(text, size - 1) };
        run.output = run.lines = run.sizes.size < size - 1
                                         ? (Slice){ text + run.sizes.size + 1, size - 2 - run.sizes.size }
                                         : (Slice){ text, 0 };
        end = (ProcessEnd){ data[0] & 2, data[0] & 4 ? 3 : 0, data[0] & 8 ? run.output.size / 2 : 0,
                data[0] & 16 ? "\xff it said" : "" };
        run.well = !end.killed && end.number == 0;
        exec = calloc(1, source_type_exec.size);
        *(SourceContext *) exec = (SourceContext){
                .config = exec_config(stream), .keys = exec_config(stream)->keys, .means = { .loop = loop }
        };
        require(source_type_exec.open(exec) == 0);
        if (stream)
                require(loop_turn(loop, 0) >= 0);
        else
                require(source_type_exec.poll(exec) == 0);
        if (run.callbacks.on_end) {
                print(exec, &end);
                require(run.ended && run.output.size == 0 && !next_line(&rest));
        }
        source_type_exec.close(exec);
        free(exec);
        free(text);
        return 0;
}
