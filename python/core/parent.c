/* SPDX-License-Identifier: MIT */
/* parent.c - a worker ends with its master, also in the middle of a job. No interpreter is
 * needed for that, whatever the job does.
 *
 * Where the master is the parent, PR_SET_PDEATHSIG sends a signal when the thread ends that made
 * this process, or one that it was handed to since. So the handler looks: while the parent
 * lives, its pid is the same. A forkserver lives as long as its children do, so there a thread
 * waits for the end of the master. (Not everywhere: a job that forks is warned of threads.) */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

#define STACK_BYTES (64 << 10)

static volatile pid_t parent;
static pid_t child; /* whose parent it is: a fork inherits all this */
static int chosen;  /* the signal, 0: none yet */

static void look(int number)
{
    (void)number;
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
}

/* A signal that nobody uses here, with look() as its handler, or 0. */
static int take_signal(void)
{
    struct sigaction ours = {.sa_handler = look, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction theirs;

    sigemptyset(&ours.sa_mask);
    for (int number = SIGRTMAX - 1; number > SIGRTMIN; number--)
        if (!sigaction(number, NULL, &theirs) && theirs.sa_handler == SIG_DFL)
            return sigaction(number, &ours, NULL) ? 0 : number;
    return 0;
}

/* end_with_parent() -> whether this process will. Again after a change of user, which takes
 * that back. A parent that is dead already is not noticed. */
PyObject *end_with_parent(PyObject *module, PyObject *unused)
{
    sigset_t set;

    (void)module;
    (void)unused;
    if (child != getpid()) {
        parent = getppid();
        child = getpid();
    }
    if (!chosen)
        chosen = take_signal();
    if (!chosen)
        Py_RETURN_FALSE;
    sigemptyset(&set);
    sigaddset(&set, chosen);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)chosen))
        Py_RETURN_FALSE;
    look(chosen); /* since its pid was asked for */
    Py_RETURN_TRUE;
}

/* The job may have closed the descriptor. If it is another file's by now, it says nothing. */
static void *await_end(void *fd)
{
    struct pollfd ready = {.fd = (int)(intptr_t)fd, .events = POLLIN};
    int found;

    do
        found = poll(&ready, 1, -1);
    while (found < 0 && errno == EINTR);
    if (ready.revents & POLLIN &&
        (!syscall(SYS_pidfd_send_signal, ready.fd, 0, NULL, 0) || errno == ESRCH))
        _exit(EXIT_FAILURE);
    return NULL;
}

/* A thread that takes no signals. */
static int start_thread(int fd)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int code = pthread_attr_init(&attributes);

    if (code)
        return code;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    code = pthread_create(&thread, &attributes, await_end, (void *)(intptr_t)fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code;
}

/* end_with(pidfd) -> whether this process will end with that one. */
PyObject *end_with(PyObject *module, PyObject *number)
{
    long fd = PyLong_AsLong(number);

    (void)module;
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(!start_thread((int)fd));
}
