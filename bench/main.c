/* SPDX-License-Identifier: MIT */
/* tensoring-bench: how fast is it, and compared with what. */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "harness/bench.h"
#include "harness/report.h"

struct bench_case {
    const char *name;
    double seconds; /* unless said otherwise */
    void (*run)(const struct options *options);
};

static const struct bench_case cases[] = {
    {"latency", 20, case_latency}, {"stream", 20, case_stream},
    {"rate", 5, case_rate},        {"wake", 5, case_wake},
    {"floor", 2, case_floor},      {"cycle", 1, case_cycle},
    {"attach", 2, case_attach},    {"faults", 2, case_faults},
    {"digits", 6, case_digits},    {"load", 5, case_load},
    {"bars", 30, case_bars},       {"waitset", 20, case_waitset},
    {"idle", 20, case_idle},       {"spin", 36, case_spin},
    {"loader", 10, case_loader},   {"request", 8, case_request},
    {"board", 6, case_board},      {"broadcast", 10, case_broadcast},
};

struct choice {
    const struct bench_case *what;
    struct options options;
};

static const struct argp_option known[] = {
    {"bytes", 'b', "N", 0, "Payload of a message (default: what the case compares)", 0},
    {"seconds", 's', "S", 0, "Time for all cells of the case together", 0},
    {"mode", 'm', "spin|block", 0, "How receivers wait (default: both)", 0},
    {"touch", 't', "none|write|readwrite|fillread", 0,
     "What happens to the payload (default: readwrite)", 0},
    {"transport", 'x', "NAME", 0,
     "ours, uds, uds-seqpacket, tcp, pipe, mq, uring-uds, floor or all (default)", 0},
    {"json", 'j', "FILE", 0, "Write the results there, - for standard output", 0},
    {0},
};

static double number(struct argp_state *state, const char *text, double least)
{
    char *end;
    const double value = strtod(text, &end);

    if (*end || !(value >= least) || value > 1e12)
        argp_error(state, "\"%s\" is not a number of %g or more", text, least);
    return value;
}

static void set_touch(struct argp_state *state, struct options *options, const char *text)
{
    for (enum touch touch = TOUCH_NONE; touch <= TOUCH_FILLREAD; touch++) {
        if (strcmp(text, touch_name(touch)) == 0) {
            options->touch = touch;
            options->touch_given = true;
            return;
        }
    }
    argp_error(state, "touch \"%s\": none, write, readwrite or fillread", text);
}

static void set_transport(struct argp_state *state, struct options *options,
                          const char *text)
{
    options->transport = text;
    for (size_t i = 0; i < transport_count; i++)
        if (wanted(options, transports[i]))
            return;
    argp_error(state, "there is no transport \"%s\"", text);
}

static void set_case(struct argp_state *state, struct choice *choice, const char *text)
{
    if (choice->what)
        argp_error(state, "one case at a time");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(cases[i].name, text) == 0)
            choice->what = &cases[i];
    if (!choice->what)
        argp_error(state, "there is no case \"%s\"", text);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct choice *choice = state->input;
    struct options *options = &choice->options;

    switch (key) {
    case 'b':
        options->bytes = (size_t)number(state, text, 8);
        return 0;
    case 's':
        options->seconds = number(state, text, 0.001);
        return 0;
    case 'm':
        if (strcmp(text, "spin") != 0 && strcmp(text, "block") != 0)
            argp_error(state, "mode \"%s\": spin or block", text);
        options->modes = strcmp(text, "spin") == 0 ? MODE_SPIN : MODE_BLOCK;
        return 0;
    case 't':
        set_touch(state, options, text);
        return 0;
    case 'x':
        set_transport(state, options, text);
        return 0;
    case 'j':
        options->json = text;
        return 0;
    case ARGP_KEY_ARG:
        set_case(state, choice, text);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = known,
    .parser = parse,
    .args_doc = "CASE",
    .doc =
        "Measure tensoring beside sockets, pipes and hand-written loops.\v"
        "Cases: latency (ping-pong), stream (throughput), rate (small messages, 1 to 1 "
        "and 2 to 2), wake (receiver asleep), load (open loop, 50,000 a second), floor "
        "(loops by hand), cycle (one thread), "
        "attach, faults (page faults and system calls a message), digits (a real job), "
        "bars (the ratios that we promise), waitset (many channels, descriptors), "
        "idle (what waiting costs), spin (or block, or adapt), loader (files into "
        "slots).\n\n"
        "Touch: none hands over only; write puts the payload in (one copy from private "
        "memory, or filled in place where it is loaned); readwrite also reads every byte "
        "at the other end; fillread fills private memory first where a copy is made.",
};

bool wanted(const struct options *options, const struct transport *transport)
{
    return strcmp(options->transport, "all") == 0 ||
           strcmp(options->transport, transport->comparison) == 0 ||
           strcmp(options->transport, transport->name) == 0;
}

bool is_socket(const struct transport *transport)
{
    return strncmp(transport->comparison, "uds", 3) == 0 ||
           strcmp(transport->comparison, "uring-uds") == 0 ||
           strcmp(transport->comparison, "tcp") == 0;
}

int main(int argc, char **argv)
{
    struct choice choice = {.options = {.modes = MODE_SPIN | MODE_BLOCK,
                                        .touch = TOUCH_READWRITE,
                                        .transport = "all"}};

    if (argp_parse(&parser, argc, argv, 0, NULL, &choice) != 0)
        return 1;
    if (choice.options.seconds <= 0)
        choice.options.seconds = choice.what->seconds;
    report_begin();
    choice.what->run(&choice.options);
    report_write(choice.options.json);
    return 0;
}
