# SPDX-License-Identifier: Apache-2.0
"""Cases in files that stand for a provider: read strictly, answered as they say, and in a sandbox alone."""

from pathlib import Path
from typing import Any, cast

import pytest

from sandbox.catalogue import CASES
from services.exchange.adapters.cases import CaseAdapter, read_cases
from services.exchange.adapters.kinds import adapters
from services.exchange.domain.answer import accept
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderAnswerInvalid, ProviderBusy, ProviderUnavailable
from services.exchange.domain.settings import AdapterKind, CaseSettings, check_settings, read_settings
from services.exchange.service.connectors import ConnectorHub
from tests.support.exchange_world import HOUSEHOLD, NOW, NUMBER, household
from tests.support.vectors import vectors

FRANCE = "france-sandbox/api_particulier_v3_cnous_etudiant_boursier_with_ine"


def question(key: str = NUMBER, *fields: str) -> Inquiry:
    return Inquiry(HOUSEHOLD, key, fields or ("address",), timeout_seconds=5)


def a_case(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def adapter(folder: Path, **settings: Any) -> CaseAdapter:
    return CaseAdapter(cast(CaseSettings, read_settings(AdapterKind.SANDBOX, settings)), folder)


def test_every_case_of_the_city_can_be_read() -> None:
    folders = [each for each in CASES.iterdir() if each.is_dir()]
    assert len(folders) >= 2
    for each in folders:
        cases, faults = read_cases(each)
        assert cases
        assert faults == []


async def test_the_citys_cases_answer_by_number(tmp_path: Path) -> None:
    mapping = {"account_status": "account.status", "balance_fen": "account.balance.fen"}
    housing = adapter(CASES / "307005_000001", key="number", mapping=mapping)
    answer = await housing.ask(question("990100189404300023"))
    assert answer == {"account_status": "正常", "balance_fen": 1204500}
    assert await housing.ask(question("990100190001010000")) is None
    pupils = adapter(CASES / "307004_000001", key="number")
    with pytest.raises(ProviderUnavailable):
        await pupils.ask(question("990100190209010048"))
    record = await pupils.ask(question("990100190209010021"))
    assert accept(record, fields=("grade",), subject_key="990100190209010021") == {"grade": "三年级"}


@pytest.mark.parametrize(
    ("case", "refusal"),
    [
        ("status: 429", ProviderBusy),
        ("status: 500", ProviderUnavailable),
        ("status: 302", ProviderUnavailable),
        ("status: 200\npayload: [1]", ProviderAnswerInvalid),
    ],
)
async def test_a_case_may_say_that_there_is_no_answer(tmp_path: Path, case: str, refusal: type[Exception]) -> None:
    a_case(tmp_path, "x", f'params: {{subject_key: "{NUMBER}"}}\n{case}\n')
    with pytest.raises(refusal):
        await adapter(tmp_path).ask(question())


async def test_a_case_about_nobody_stands_for_everybody_else(tmp_path: Path) -> None:
    a_case(tmp_path, "one", f'params: {{subject_key: "{NUMBER}"}}\nstatus: 404\n')
    a_case(tmp_path, "rest", "params: {}\nstatus: 200\npayload: {address: 1 Spring Lane}\n")
    asked = adapter(tmp_path)
    assert await asked.ask(question()) is None
    other = await asked.ask(question("990100199003070043"))
    assert other == {"subject_key": "990100199003070043", "address": "1 Spring Lane"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "params: {a: b}\n",
        "params: {a: b}\nstatus: 99\n",
        "params: {a: b}\nstatus: 200\npayload: '{'\n",
        "params: {a: b}\nstatus: 200\nsecret: x\n",
        "params: {a: b}\nstatus: 200\ndelay_ms: 30001\n",
        "params: !!python/object/apply:os.system [ls]\nstatus: 200\n",
    ],
)
def test_a_file_that_is_no_case_is_named_with_its_fault(tmp_path: Path, text: str) -> None:
    a_case(tmp_path, "good", "params: {a: b}\nstatus: 404\n")
    a_case(tmp_path, "bad", text)
    cases, faults = read_cases(tmp_path)
    assert len(cases) == 1
    ((name, words),) = [(fault.file, fault.words) for fault in faults]
    assert name == "bad.yaml"
    assert words


async def test_cases_of_a_foreign_sandbox_are_read_as_they_are() -> None:
    """Shape of etalab/siade_staging_data (MIT): parameters of their own names, the payload as JSON text."""
    folder = vectors(FRANCE)
    cases, faults = read_cases(folder)
    assert len(cases) == 9
    assert faults == []
    mapping = {"name": "data.identite.nom", "level": "data.echelon_bourse.echelon"}
    answer = await adapter(folder, key="ine", mapping=mapping).ask(question("1234567890A", "name", "level"))
    assert answer == {"name": "Durand", "level": "6"}


async def test_outside_a_sandbox_no_case_answers() -> None:
    resource = household(adapter=AdapterKind.SANDBOX, settings=CaseSettings(key="number"))
    kinds = adapters(ConnectorHub(clock=lambda: NOW, in_flight_max=1), cast(Any, None))
    with pytest.raises(ProviderUnavailable):
        kinds[AdapterKind.SANDBOX](resource)
    assert check_settings(resource.settings, resource.field_names) == []
    assert check_settings(CaseSettings(mapping={"address": "a"}), resource.field_names) != []
