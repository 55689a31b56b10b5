/* SPDX-License-Identifier: MIT */
#include "ipc/view.h"

#include <sys/stat.h>

int view_fd(const struct view *view)
{
    struct stat st;

    return view->lock_fd >= 0 && fstat(view->lock_fd, &st) == 0 &&
                   st.st_ino == view->ino && st.st_dev == view->dev
               ? view->lock_fd
               : -1;
}
