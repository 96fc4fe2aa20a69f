"""Why a door does not answer, as problem+json (RFC 9457): a status, our code, the reason in words.

Codes of a radiograph come from `boxray.core.errors.CODES`; those of a request that never became one stand here.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from boxray.core.errors import CODES

MEDIA_TYPE: Final = "application/problem+json"

REQUEST_CODES: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "request.malformed": (400, "the request is not what the interface describes"),
        "request.unauthorized": (401, "the token is missing or wrong"),
        "request.host": (403, "this host name is not served"),
        "request.origin": (403, "a page of another origin may not send this"),
        "request.not_found": (404, "there is nothing here, or not any more"),
        "request.method": (405, "this address does not know the method"),
        "request.timeout": (408, "the body did not arrive in time"),
        "archive.unsafe": (422, "the archive asks for more than it may, or for what no archive may"),
        "request.not_ready": (409, "the radiograph is still being read"),
    }
)
"""Code -> HTTP status and meaning."""

RETRY_AFTER_S: Final = 2
"""Where nobody knows better."""


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer that is no result. Raised anywhere in a door, it becomes the answer.

    Args:
        code: Of `REQUEST_CODES` or `CODES`.
        detail: The reason in words; None: the code's meaning.
        retry_after_s: When to ask again; a status 503 or 409 without one gets `RETRY_AFTER_S`.
        more: Further members of the body.

    Raises:
        KeyError: If the code is in neither table.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        retry_after_s: int | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.status, self.meaning = status_of(code)
        super().__init__(detail or self.meaning)
        self.code = code
        self.retry_after_s = retry_after_s or (RETRY_AFTER_S if self.status in {409, 503} else None)
        self.more = dict(more or {})

    @property
    def body(self) -> bytes:
        """The JSON form."""
        said = {
            "type": f"urn:boxray:problem:{self.code}",
            "title": self.meaning,
            "status": self.status,
            "detail": str(self),
            "code": self.code,
        }
        return json.dumps(said | self.more, ensure_ascii=False).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Beside the body."""
        headers = {"content-type": MEDIA_TYPE}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(self.retry_after_s)
        if self.status == 401:
            headers["www-authenticate"] = 'Bearer realm="boxray", Basic realm="boxray"'
        return headers


def status_of(code: str) -> tuple[int, str]:
    """HTTP status and meaning of a code.

    Raises:
        KeyError: If it is in neither table.
    """
    if code in REQUEST_CODES:
        return REQUEST_CODES[code]
    return CODES[code].http, CODES[code].meaning
