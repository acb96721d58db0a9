# SPDX-License-Identifier: Apache-2.0
"""The way to the next page (RFC 8288)."""

from starlette.requests import Request


def next_link(request: Request, token: str) -> dict[str, str]:
    """Give the Link header of the next page; none on the last. Relative, so that it holds behind any proxy."""
    if not token:
        return {}
    url = request.url.include_query_params(page_token=token)
    return {"link": f'<{url.path}?{url.query}>; rel="next"'}
