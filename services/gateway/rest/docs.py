# SPDX-License-Identifier: Apache-2.0
"""`/openapi.json` and `/docs`: the contract, and a page to read and try it; nothing comes from elsewhere."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.kit.http.problems import Problem

_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HOUR = {"cache-control": "public, max-age=3600"}
_SWAGGER: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_START: Final = """\
// SPDX-License-Identifier: Apache-2.0
SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null, tryItOutEnabled: true,
  displayRequestDuration: true, presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"});
"""
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="zh-CN">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>通办 API 文档 · Tongban API</title>
<link rel="icon" href="docs/favicon-32x32.png"><link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="docs"></div><noscript>没有脚本也可以直接阅读 <a href="openapi.json">openapi.json</a>。
Without scripts, read <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body>
</html>
"""
_DESCRIPTION: Final = """\
The public door of 通办 (Tongban): a resident states one life event once, departments do their parts,
and everybody sees what was used.

* **Sign in**: send `Authorization: Bearer <token>`. In a sandbox, `POST /oauth/token` gives one for a made-up persona.
* **Errors** are `application/problem+json` (RFC 9457). Decide by `reason`; `remedy` says what helps.
  No value of a request is repeated.
* **Repeat safely**: `Idempotency-Key` makes a repeat give the same answer, and one effect.
* **Change safely**: the `ETag` of a case goes into `If-Match`.
* **Lists** go by `page_token`; follow `next_page_token` or the `Link` header.
* **Limits**: `RateLimit` says what is left, `Retry-After` when to come again. Bodies are 1 MB at most.
* **Traces**: `traceparent` (W3C) is continued, `traceresponse` names the span; what is recorded is decided here.
"""
_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Access token of a resident (RFC 9068). In a sandbox: POST /oauth/token with the persona grant.",
}
_TAGS: Final = [
    {"name": "matters", "description": "What can be asked for."},
    {"name": "cases", "description": "Ask, watch, read."},
    {"name": "licenses", "description": "What was issued, with credentials."},
    {"name": "accesses", "description": "Who used my data, with proofs."},
    {"name": "corrections", "description": "Values about me that I say are wrong."},
    {"name": "notices", "description": "What I am told, and where."},
    {"name": "tasks", "description": "What clerks of departments without a system do."},
    {"name": "opendata", "description": "What departments open to everybody; no account."},
    {"name": "consents", "description": "What departments may have, and what they would see."},
    {"name": "statistics", "description": "How long things take, and whether dates are kept; no account."},
    {"name": "webhooks", "description": "What front-ends are told of cases; for operators."},
    {"name": "tokens", "description": "Access tokens and their keys."},
    {"name": "sandbox", "description": "Made-up accounts."},
    {"name": "health", "description": "For operators."},
]


def add_docs(app: FastAPI) -> None:
    """Add the contract and its page. The document is made once, on first use."""
    app.openapi = lambda: contract_of(app)  # type: ignore[method-assign] # the framework's own way to own the document
    assets = files("fastapi_swagger.resources")

    async def openapi(_: Request) -> Response:
        return Response(json.dumps(app.openapi(), ensure_ascii=False), media_type="application/json", headers=_HOUR)

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"content-security-policy": _CSP, **_HOUR})

    async def start(_: Request) -> Response:
        return Response(_START, media_type="text/javascript", headers=_HOUR)

    async def asset(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(assets.joinpath(name).read_bytes(), media_type=_SWAGGER[name], headers=_HOUR)

    async def home(_: Request) -> Response:
        return RedirectResponse("docs", status_code=307)

    app.router.routes += [
        Route("/", home),
        Route("/openapi.json", openapi),
        Route("/docs", page),
        Route("/docs/start.js", start),
        *(Route(f"/docs/{name}", asset) for name in _SWAGGER),
    ]


def contract_of(app: FastAPI) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        summary="One network for government services",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {"bearer": _BEARER}
    for operation in _operations(document):
        operation["responses"].pop("422", None)
        if "401" in operation["responses"]:
            operation["security"] = [{"bearer": []}]
    app.openapi_schema = document
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()
