# SPDX-License-Identifier: Apache-2.0
"""License types as data: those that are shipped, and files that stop the start with a sentence."""

from pathlib import Path

import pytest
import yaml

from services.licenses.config import Settings
from services.licenses.store.types import TypeFileInvalid, read_catalogue
from tests.support.licenses_paper import BIRTH, TYPES

SHIPPED = {
    "111000000000010033002": ("birth_medical_certificate", "出生医学证明", 0),
    "111000000000010033005": ("household_register_page", "居民户口簿（个人页）", 0),
    "111000000000010033011": ("social_security_card", "社会保障卡", 120),
    "111000000000010033017": ("vaccination_record", "预防接种证", 0),
}


def test_the_birth_has_its_four_types() -> None:
    found = {one.code: (one.key, one.name_zh, one.validity_months) for one in read_catalogue(TYPES).types}
    assert found.items() >= SHIPPED.items()


@pytest.mark.parametrize("code", [one.code for one in read_catalogue(TYPES).types])
def test_a_shipped_type_hides_every_attribute_and_speaks_both_languages(code: str) -> None:
    one = read_catalogue(TYPES).type_of(code)
    assert one.vct == f"urn:tongban:license:{code}:1"
    assert all(attribute.disclosable for attribute in one.attributes)
    assert all(attribute.label_zh and attribute.label_en.isascii() for attribute in one.attributes)
    assert any(attribute.required for attribute in one.attributes)


def test_the_knob_points_at_the_shipped_types() -> None:
    assert Settings.model_fields["types"].default == TYPES


def written(folder: Path, text: str, name: str = "a.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def changed(**values: object) -> str:
    file = TYPES / "birth_medical_certificate.yaml"
    return yaml.safe_dump({**yaml.safe_load(file.read_text(encoding="utf-8")), **values}, allow_unicode=True)


ATTRIBUTE = {"name": "a", "kind": "text", "label_zh": "甲", "label_en": "A", "required": True}


@pytest.mark.parametrize(
    "text",
    [
        ":",
        "[]",
        "\t",
        changed(code="1"),
        changed(key="Upper"),
        changed(validity_months=-1),
        changed(unknown=1),
        changed(attributes=[]),
        changed(attributes=[ATTRIBUTE, ATTRIBUTE]),
        changed(attributes=[{**ATTRIBUTE, "name": "_sd"}]),
        changed(attributes=[{**ATTRIBUTE, "name": "exp"}]),
        changed(attributes=[{**ATTRIBUTE, "kind": "photo"}]),
        changed(attributes=[{**ATTRIBUTE, "disclosable": False}]),
    ],
)
def test_a_bad_file_stops_the_start_and_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(TypeFileInvalid, match=r"a\.yaml"):
        read_catalogue(written(tmp_path, text))


def test_an_open_attribute_must_be_said_to_be_impersonal(tmp_path: Path) -> None:
    open_one = {**ATTRIBUTE, "personal": False, "disclosable": False}
    catalogue = read_catalogue(written(tmp_path, changed(attributes=[open_one], revision=2)))
    [attribute] = catalogue.type_of(BIRTH).attributes
    assert not attribute.disclosable
    assert catalogue.type_of(BIRTH).vct.endswith(":2")


def test_an_empty_folder_and_a_code_twice_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(TypeFileInvalid):
        read_catalogue(tmp_path)
    written(tmp_path, changed())
    with pytest.raises(TypeFileInvalid, match="same code"):
        read_catalogue(written(tmp_path, changed(), "b.yaml"))
