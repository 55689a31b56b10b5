# SPDX-License-Identifier: MIT
"""The registry of serializers, to which everybody may add; see register().

register("AB", "abacus", "application/x-abacus", lambda o: isinstance(o, Abacus),
         lambda o: [o.beads], lambda parts: Abacus(parts[0]))
queue.send(As(array, "application/x-npy"))    # one in particular
"""

from tensoring._serial.registry import (
    NUMBERS,
    OTHER,
    PICKLE,
    TENSORS,
    TYPES,
    As,
    Serializer,
    UnsupportedError,
    add,
    by_content_type,
    bytes_of,
    content_type,
    decode,
    decode_as,
    encode,
    part,
    register,
    registered,
    text_of,
    unregister,
)

__all__ = [
    "NUMBERS",
    "OTHER",
    "PICKLE",
    "TENSORS",
    "TYPES",
    "As",
    "Serializer",
    "UnsupportedError",
    "add",
    "by_content_type",
    "bytes_of",
    "content_type",
    "decode",
    "decode_as",
    "encode",
    "part",
    "register",
    "registered",
    "text_of",
    "unregister",
]
