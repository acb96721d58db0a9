# SPDX-License-Identifier: Apache-2.0
"""Reading from strangers: never more than a bound."""

import httpx

from services.exchange.domain.refusals import ProviderAnswerInvalid


async def read(response: httpx.Response, bytes_max: int) -> bytes:
    """Read as it comes, undecoded: a small body can't unpack into a large one. Raises ProviderAnswerInvalid."""
    declared = response.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise _too_large(bytes_max)
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > bytes_max:
            raise _too_large(bytes_max)
    return bytes(content)


def _too_large(bytes_max: int) -> ProviderAnswerInvalid:
    return ProviderAnswerInvalid(f"The provider's answer is larger than {bytes_max} bytes.")
