/* SPDX-License-Identifier: MIT */
/* tree.h - the nodes of a tree, as tree.c writes and untree.c reads them.
 *
 * A node is a letter and its contents; n is 8 bytes in the machine's order. */
#ifndef TENSORING_PYTHON_TREE_H
#define TENSORING_PYTHON_TREE_H

enum {
    TREE_NONE = 'n',
    TREE_TRUE = 't',
    TREE_FALSE = 'f',
    TREE_INT = 'i',        /* n */
    TREE_FLOAT = 'd',      /* n */
    TREE_STR = 's',        /* n, n bytes of UTF-8 */
    TREE_BYTES = 'b',      /* n, n bytes */
    TREE_LONG_BYTES = 'B', /* the next part */
    TREE_ARRAY = 'a',      /* the next part */
    TREE_ROWS = 'r',       /* the next part: a list of its rows */
    TREE_SAME_ROWS = 'R',  /* the same; each row gets a number */
    TREE_FLOATS = 'D',     /* n, n times 8 bytes: a list of floats */
    TREE_SCALAR = 'g',     /* n, an index of a type, n bytes: a scalar of NumPy */
    TREE_LIST = 'l',       /* n, n nodes */
    TREE_TUPLE = 'u',      /* n, n nodes */
    TREE_DICT = 'm',       /* n, n times key and value */
    TREE_NUMBERED = '#',   /* the node that follows gets the next number */
    TREE_SAME = '=',       /* n: the object of that number */
};

#define TREE_TYPE  "application/x-tensoring-objects"
#define TREE_DEPTH 256 /* what a reader follows */

#endif
