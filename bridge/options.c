/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tensoring/queue.h>

enum {
    KEY_ARENA = 0x100,
    KEY_BIND,
    KEY_PEER,
    KEY_KEY,
    KEY_PEER_KEY,
    KEY_ALLOW,
    KEY_QUEUE,
    KEY_BROADCAST,
    KEY_BOARD,
    KEY_SERVICE,
    KEY_ON_CUT,
    KEY_WINDOW,
    KEY_WINDOW_BYTES,
    KEY_PICKLE,
    KEY_PLAIN,
    KEY_TRUST,
    KEY_GRACE,
    KEY_KEPT
};

/* The last two are of one side alone. */
static const struct argp_option shared_options[] = {
    {"arena", KEY_ARENA, "NAME", 0, "The arena of this host", 1},
    {"queue", KEY_QUEUE, "[out:|in:]NAME", 0,
     "Bridge this queue; may be given again. A channel goes out at connect and comes in "
     "at "
     "listen, if nothing else is said",
     1},
    {"broadcast", KEY_BROADCAST, "[out:|in:]NAME", 0,
     "The same of a broadcast; messages that the link is too slow for are dropped", 1},
    {"board", KEY_BOARD, "[out:|in:]NAME", 0,
     "The same of a board: the newest value of each key", 1},
    {"service", KEY_SERVICE, "[out:|in:]NAME", 0,
     "The same of a queue of requests: out where they are made, in where they are served",
     1},
    {"on-cut", KEY_ON_CUT, "fail|retry[:NAME]", 0,
     "Requests that were sent when the link was cut fail, or are sent again and may run "
     "twice: those of one service, or of all that have no such option of their own; "
     "default fail. May be given again",
     2},
    {"window", KEY_WINDOW, "N", 0,
     "At most N messages of a channel are unconfirmed; default 16", 2},
    {"window-bytes", KEY_WINDOW_BYTES, "N", 0,
     "And at most N bytes, or one message; default 67108864", 2},
    {"grace", KEY_GRACE, "SECONDS", 0,
     "How long SIGTERM and SIGINT wait for receipts; default 5", 2},
    {"kept", KEY_KEPT, "WORD", OPTION_HIDDEN, "What a keeper tells its bridge", 2},
    {"allow-pickle", KEY_PICKLE, NULL, 0,
     "Pickled objects may cross. They run code where they are read", 3},
    {"key", KEY_KEY, "FILE", 0, "The secret key of this side", 3},
    {"plain", KEY_PLAIN, NULL, 0, "No keys, no encryption; needs --trust-network", 3},
    {"trust-network", KEY_TRUST, NULL, 0,
     "Everything that reaches the port may send and read", 3}};
enum { SHARED = sizeof(shared_options) / sizeof(shared_options[0]) };

static const struct argp_option side_options[2][2] = {
    {{"peer", KEY_PEER, "[ucx://]HOST:PORT", 0, "Where the other bridge listens", 1},
     {"peer-key", KEY_PEER_KEY, "FILE", 0, "The public key of the other side", 3}},
    {{"bind", KEY_BIND, "[ucx://]HOST:PORT", 0,
      "Where to listen; port 0: any that is free. ucx:// at both sides: through UCX", 1},
     {"allow", KEY_ALLOW, "PATH", 0, "Public keys that may connect: a file or a folder",
      3}}};

static uint64_t number(const struct argp_state *state, const char *text, const char *name,
                       uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < least || value > most)
        argp_error(state, "%s must be a number from %llu to %llu, not '%s'", name,
                   (unsigned long long)least, (unsigned long long)most, text);
    return value;
}

static void want(const struct argp_state *state, struct options *options,
                 enum channel_kind kind, const char *text)
{
    struct wanted one = {kind, options->listens ? DIRECTION_IN : DIRECTION_OUT, text,
                         false};
    struct wanted *more = realloc(options->wanted,
                                  (options->count + 1) * sizeof(*options->wanted));

    if (!more) {
        argp_failure(state, 1, ENOMEM, "%s", text);
        return;
    }
    options->wanted = more;
    if (strncmp(text, "out:", 4) == 0 || strncmp(text, "in:", 3) == 0) {
        one.direction = *text == 'o' ? DIRECTION_OUT : DIRECTION_IN;
        one.name = strchr(text, ':') + 1;
    }
    if (!*one.name || strlen(one.name) > TR_MAX_CHANNEL_NAME)
        argp_error(state, "a name has 1 to %d bytes, not '%s'", TR_MAX_CHANNEL_NAME,
                   one.name);
    for (size_t i = 0; i < options->count; i++)
        if ((more[i].kind == one.kind ||
             (more[i].kind % 3 == 1 && one.kind % 3 == 1)) && /* both are queues */
            strcmp(more[i].name, one.name) == 0)
            argp_error(state,
                       "'%s' is given twice; with both directions it would come back",
                       one.name);
    more[options->count++] = one;
}

/* What "fail", "retry:NAME" is of; "": all. NULL: it is neither. */
static const char *cut_name(const char *text)
{
    size_t length = strcspn(text, ":");
    const char *word = *text == 'r' ? "retry" : "fail";

    if (length != strlen(word) || memcmp(text, word, length) != 0)
        return NULL;
    text += length;
    if (!*text)
        return "";
    return text[1] ? text + 1 : NULL;
}

/* Its service may come later. */
static void keep_cut(const struct argp_state *state, struct options *options,
                     const char *text)
{
    const char **more = realloc(options->cuts,
                                (options->cut_count + 1) * sizeof(*options->cuts));

    if (!more) {
        argp_failure(state, 1, ENOMEM, "%s", text);
        return;
    }
    if (!cut_name(text))
        argp_error(state,
                   "--on-cut is fail or retry, or fail:NAME or retry:NAME, not '%s'",
                   text);
    options->cuts = more;
    more[options->cut_count++] = text;
}

/* The services that are called here, and one name or "". How many were found. */
static size_t set_cut(struct options *options, const char *name, bool retries)
{
    size_t found = 0;

    for (size_t i = 0; i < options->count; i++) {
        struct wanted *one = &options->wanted[i];

        if (one->kind != KIND_SERVICE || one->direction != DIRECTION_OUT ||
            (*name && strcmp(one->name, name) != 0))
            continue;
        one->retries = retries;
        found++;
    }
    return found;
}

/* Those of one name count more than those of all, whatever their order. */
static void take_cuts(const struct argp_state *state, struct options *options)
{
    for (size_t i = 0; i < options->cut_count; i++)
        if (!*cut_name(options->cuts[i]))
            set_cut(options, "", *options->cuts[i] == 'r');
    for (size_t i = 0; i < options->cut_count; i++) {
        const char *text = options->cuts[i], *name = cut_name(text);

        if (*name && !set_cut(options, name, *text == 'r'))
            argp_error(state, "--on-cut %s: no service '%s' goes out here", text, name);
    }
}

static void check_keys(const struct argp_state *state, const struct options *options)
{
    bool any = options->key || options->peer_key || options->allow;

    if (options->plain != options->trust_network)
        argp_error(state,
                   "--plain and --trust-network go together: without keys everybody "
                   "who reaches the port may send and read");
    if (options->plain && any)
        argp_error(state, "--plain has no keys: leave --key, --peer-key and --allow out");
    if (options->plain)
        return;
    if (!options->engine->has_keys)
        argp_error(state,
                   "%s:// has no keys and no encryption: leave --key, --peer-key and "
                   "--allow out and say --plain --trust-network, in a network that is "
                   "closed and encrypted already; or leave %s:// out of the address",
                   options->engine->name, options->engine->name);
    if (!options->key)
        argp_error(state,
                   "--key is missing: make one with tensoring bridge keygen, or say "
                   "--plain --trust-network in a network that is encrypted already");
    if (options->listens && !options->allow)
        argp_error(state, "--allow is missing: the public keys that may connect");
    if (!options->listens && !options->peer_key)
        argp_error(state, "--peer-key is missing: the public key of the other side");
}

static void choose_engine(const struct argp_state *state, struct options *options)
{
    char why[WHY_TEXT];

    options->engine = engine_choose(&options->address, why);
    if (!options->engine)
        argp_error(state, "%s", why);
}

static void check(const struct argp_state *state, struct options *options)
{
    if (!options->arena)
        argp_error(state, "--arena is missing");
    if (!options->address)
        argp_error(state, options->listens ? "--bind is missing" : "--peer is missing");
    if (!options->count)
        argp_error(state,
                   "nothing to bridge: give --queue, --service, --broadcast or --board");
    if (options->count > WIRE_MAX_CHANNELS)
        argp_error(state, "%zu channels, the limit is %d", options->count,
                   WIRE_MAX_CHANNELS);
    choose_engine(state, options);
    check_keys(state, options);
}

static bool parse_text(int key, const char *arg, struct options *options)
{
    switch (key) {
    case KEY_ARENA:
        options->arena = arg;
        return true;
    case KEY_BIND:
    case KEY_PEER:
        options->address = arg;
        return true;
    case KEY_KEY:
        options->key = arg;
        return true;
    case KEY_PEER_KEY:
        options->peer_key = arg;
        return true;
    case KEY_ALLOW:
        options->allow = arg;
        return true;
    case KEY_KEPT:
        options->kept = arg;
        return true;
    default:
        return false;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case KEY_QUEUE:
        want(state, options, KIND_QUEUE, arg);
        return 0;
    case KEY_BROADCAST:
        want(state, options, KIND_BROADCAST, arg);
        return 0;
    case KEY_SERVICE:
        want(state, options, KIND_SERVICE, arg);
        return 0;
    case KEY_ON_CUT:
        keep_cut(state, options, arg);
        return 0;
    case KEY_BOARD:
        want(state, options, KIND_BOARD, arg);
        return 0;
    case KEY_WINDOW:
        options->window = (uint32_t)number(state, arg, "--window", 1, MOST_UNCONFIRMED);
        return 0;
    case KEY_WINDOW_BYTES:
        options->window_bytes = number(state, arg, "--window-bytes", 1, UINT64_MAX / 2);
        return 0;
    case KEY_GRACE:
        options->grace_s = (uint32_t)number(state, arg, "--grace", 0, 3600);
        return 0;
    case KEY_PICKLE:
        options->allow_pickle = true;
        return 0;
    case KEY_PLAIN:
        options->plain = true;
        return 0;
    case KEY_TRUST:
        options->trust_network = true;
        return 0;
    case ARGP_KEY_END:
        check(state, options);
        take_cuts(state, options);
        return 0;
    default:
        return parse_text(key, arg, options) ? 0 : ARGP_ERR_UNKNOWN;
    }
}

struct options options_take(int argc, char **argv, bool listens)
{
    static const char *const docs[] = {
        "Connect to a bridge on another host, and carry messages between the two arenas.",
        "Wait for bridges on other hosts, and carry messages between the arenas."};
    struct argp_option all[SHARED + 3] = {0};
    struct argp argp = {all, parse, "", docs[listens], NULL, NULL, NULL};
    struct options options = {
        .listens = listens, .window_bytes = UINT64_C(64) << 20, .grace_s = 5};

    memcpy(all, shared_options, sizeof(shared_options));
    memcpy(all + SHARED, side_options[listens], sizeof(side_options[listens]));
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    return options;
}
