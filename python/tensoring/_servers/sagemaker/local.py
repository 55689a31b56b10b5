# SPDX-License-Identifier: MIT
"""How SageMaker's runtime passes on what a container answers: for tests with the SDK."""

from __future__ import annotations

from tensoring._servers.sagemaker.answers import Answer, of_json

_ERROR = "x-amzn-ErrorType"


def as_runtime(answer: Answer) -> Answer:
    """The container's answer as InvokeEndpoint gives it: errors are a ModelError."""
    if answer.status < 400:
        answer.headers.append(("x-Amzn-Invoked-Production-Variant", "AllTraffic"))
        return answer
    body = answer.body if isinstance(answer.body, bytes) else b""
    text = body.decode(errors="replace")
    side = "client" if answer.status < 500 else "server"
    found = of_json(
        {
            "Message": f"Received {side} error ({answer.status}) from primary with"
            f' message "{text}".',
            "OriginalStatusCode": answer.status,
            "OriginalMessage": text,
            "LogStreamArn": "",
        },
        424,
    )
    found.headers = [*answer.headers, (_ERROR, "ModelError")]
    return found
