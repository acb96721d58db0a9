# SPDX-License-Identifier: Apache-2.0
"""The shape of definitions as JSON Schema 2020-12, generated from the classes that read them."""

import json

from services.gateway.domain.definition import Matter


def schema_text() -> str:
    """The schema as its file has it. An editor finds it by the line `# yaml-language-server: $schema=schema.json`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Matter.model_json_schema()}
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
