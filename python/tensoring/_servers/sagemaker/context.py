# SPDX-License-Identifier: MIT
"""What functions of the user learn of a request beside its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tensoring._servers.sagemaker.errors import RequestError

_LONGEST = 1024
_PREFIX = "HTTP_X_AMZN_SAGEMAKER_"
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def _visible(text: str) -> bool:
    return len(text) <= _LONGEST and text.isascii() and text.isprintable()


@dataclass
class Context:
    """One request. A function that has a parameter `context` gets it.

    content_type, parameters: of the body, in small letters, and charset and the like.
    accept: the header Accept as it came.
    custom_attributes: the client's CustomAttributes, "" if it sent none.
    reply_attributes: what you set here goes back to the client; visible ASCII, at most
    1024 characters.
    headers: the other X-Amzn-SageMaker-... headers, such as "inference-id".
    model_name: which of several models was asked, "" if there is one."""

    content_type: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    custom_attributes: str = ""
    reply_attributes: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    model_name: str = ""

    def reply_headers(self) -> list[tuple[str, str]]:
        """What goes back beside the body."""
        text = self.reply_attributes
        if not text:
            return []
        if not (isinstance(text, str) and _visible(text)):
            raise ValueError(
                f"reply_attributes is {text!a:.80}; it may have {_LONGEST} visible"
                " characters of ASCII"
            )
        return [(ATTRIBUTES, text)]


def context_of(environ: Mapping[str, Any]) -> Context:
    """That of a WSGI request; RequestError if its attributes are not as SageMaker's."""
    headers = {
        name.removeprefix(_PREFIX).lower().replace("_", "-"): str(value)
        for name, value in environ.items()
        if name.startswith(_PREFIX)
    }
    attributes = headers.pop("custom-attributes", "")
    if not _visible(attributes):
        raise RequestError(
            f"CustomAttributes has {len(attributes)} characters; it may have {_LONGEST}"
            " visible characters of ASCII"
        )
    accept = str(environ.get("HTTP_ACCEPT", ""))
    return Context(accept=accept, custom_attributes=attributes, headers=headers)
