# SPDX-License-Identifier: Apache-2.0
"""The description of one service (PR-MREST 5): OpenAPI 3.1, made from the resource as the catalogue has it."""

from typing import Any, Final

from services.exchange.domain.resource import Resource

_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}
_RECEIPT: Final = {
    "type": "object",
    "description": "Names the leaf of the ledger that stands for this answer; the blinding opens its digest for who holds the answer.",
    "required": ["log", "index", "leaf_hash", "blinding"],
    "properties": {
        "log": {"type": "string"},
        "index": {"type": "integer"},
        "leaf_hash": {"type": "string"},
        "blinding": {"type": "string", "description": "Hexadecimal; keep it with the answer."},
    },
}
_DISPUTED: Final = {
    "type": "array",
    "description": "Names of the fields above whose value is disputed now.",
    "items": {"type": "string"},
}
_SUBJECT: Final = {
    "type": "object",
    "description": "About whom: exactly one of the three.",
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "subject_id": {"type": "string", "format": "uuid"},
        "number": {"type": "string", "minLength": 15, "maxLength": 18, "description": "Number of a person."},
        "uscc": {"type": "string", "minLength": 18, "maxLength": 18, "description": "Code of an organization."},
    },
}
_ERROR: Final = {
    "type": "object",
    "required": ["type", "message", "detail"],
    "properties": {"type": {"type": "string"}, "message": {"type": "string"}, "detail": {"type": "string"}},
}
_HEADERS: Final = (
    ("X-Road-Client", "Who asks: instance/class/member[/subsystem]; the member that the certificate names."),
    ("X-Road-Issue", "Why: the purpose code of the grant, or purpose code;case number."),
)


def description_of(resource: Resource, *, base: str) -> dict[str, Any]:
    """Describe the service of a resource; `base` is its address at this door."""
    answered, compared = _ok("The granted fields.", "Answer"), _ok("Yes or no per field.", "Comparison")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{resource.name_zh} · {resource.name_en}",
            "version": str(resource.revision),
            "description": f"Resource {resource.code}. Only granted fields are given; every call is accounted for.",
        },
        "servers": [{"url": base}],
        "paths": {
            "/query": {"post": _posted("query", "Ask for fields of one record.", "Query", answered)},
            "/verify": {
                "post": _posted("verify", "Compare values with one record: the least data.", "Verify", compared)
            },
            "/subjects/{subject_id}": {"get": _got("getOfPerson", "subject_id", "Subject id of a person.", answered)},
            "/organizations/{uscc}": {"get": _got("getOfOrganization", "uscc", "Code of an organization.", answered)},
        },
        "components": {
            "schemas": _schemas(resource),
            "parameters": {name: _header(name, words) for name, words in _HEADERS},
            "responses": {"Error": _error()},
        },
    }


def _schemas(resource: Resource) -> dict[str, Any]:
    names = [each.name for each in resource.fields]
    values = {
        each.name: {
            **_SCALAR,
            "title": each.label_en,
            "description": each.label_zh,
            "x-sensitivity": each.sensitivity.value,
        }
        for each in resource.fields
    }
    return {
        "Subject": _SUBJECT,
        "Receipt": _RECEIPT,
        "Error": _ERROR,
        "Query": _body({"fields": {"type": "array", "items": {"enum": names}, "maxItems": 100}}, ["subject"]),
        "Verify": _body(
            {
                "values": {
                    "type": "object",
                    "propertyNames": {"enum": names},
                    "additionalProperties": {"type": "string"},
                    "minProperties": 1,
                    "maxProperties": 20,
                }
            },
            ["subject", "values"],
        ),
        "Answer": _answer({"values": {"type": "object", "properties": values}, "provider": {"type": "string"}}),
        "Comparison": _answer(
            {
                "matched": {"type": "boolean"},
                "fields": {"type": "object", "additionalProperties": {"type": "boolean"}},
            }
        ),
    }


def _body(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": {"subject": _reference("schemas/Subject"), **properties},
    }


def _answer(properties: dict[str, Any]) -> dict[str, Any]:
    shared = {"disputed": _DISPUTED, "grant_id": {"type": "string"}, "receipt": _reference("schemas/Receipt")}
    return {"type": "object", "required": [*properties, *shared], "properties": {**properties, **shared}}


def _posted(operation: str, summary: str, schema: str, answered: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(f"schemas/{schema}")}}
    return {**_operation(operation, summary, answered), "requestBody": {"required": True, "content": content}}


def _got(operation: str, name: str, words: str, answered: dict[str, Any]) -> dict[str, Any]:
    described = _operation(operation, "Ask for fields of one record.", answered)
    described["parameters"] = [
        {"name": name, "in": "path", "required": True, "description": words, "schema": {"type": "string"}},
        {"name": "fields", "in": "query", "description": "Names, by commas.", "schema": {"type": "string"}},
        *described["parameters"],
    ]
    return described


def _operation(operation: str, summary: str, answered: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [_reference(f"parameters/{name}") for name, _ in _HEADERS],
        "responses": {"200": answered, "400": _reference("responses/Error"), "500": _reference("responses/Error")},
    }


def _ok(words: str, schema: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": _reference(f"schemas/{schema}")}}}


def _error() -> dict[str, Any]:
    return {
        "description": "An X-Road error.",
        "headers": {"X-Road-Error": {"description": "Its type, again.", "schema": {"type": "string"}}},
        "content": {"application/json": {"schema": _reference("schemas/Error")}},
    }


def _header(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": words, "schema": {"type": "string"}}


def _reference(place: str) -> dict[str, str]:
    return {"$ref": f"#/components/{place}"}
