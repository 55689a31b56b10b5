/* SPDX-License-Identifier: MIT */
#include "src/channel/hand_over.h"

#include "src/base/error.h"

int hand_over_elsewhere(const char *step, const char *kind, const char *name)
{
    return tr_fail(TR_EINVAL, "%s: the message lies in another arena than %s \"%s\"",
                   step, kind, name);
}
