# SPDX-License-Identifier: Apache-2.0
"""What the city opens to everybody: people counted from the police's register, firms from a dropped file."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2
from tongban.exchange.v1 import exchange_pb2, metadata_pb2
from tongban.exchange.v1 import opendata_pb2 as nouns

from sandbox.agencies import Agency
from sandbox.city import City
from sandbox.city.names import STREETS, TRADES
from sandbox.numbers import REGION

BIRTHS, FIRMS = "307002/000002", "307006/000001"
PERIOD = ("1880-01-01", "1904-12-31")
"""In which everybody of the city was born; see the generator."""
_IN_PERIOD = f"WHERE persons.birth_date BETWEEN '{PERIOD[0]}' AND '{PERIOD[1]}'"
_FIRMS_FILE = "firms.csv"
_BASIS = "Data Security Law art. 42; PIPL art. 4, 73(4)"
_TIMEOUT_MS = 3000
_BIRTHS_STATEMENT = """
SELECT persons.number AS subject_key, persons.birth_date AS birth_date, CASE WHEN persons.male THEN 'male' ELSE 'female' END AS sex, {streets} AS street
FROM persons JOIN households ON households.number = persons.household_number
""".strip()
_FIELDS = {
    BIRTHS: (
        ("birth_date", "出生日期", "Date of birth", exchange_pb2.SENSITIVITY_PERSONAL),
        ("sex", "性别", "Sex", exchange_pb2.SENSITIVITY_GENERAL),
        ("street", "街道", "Street", exchange_pb2.SENSITIVITY_GENERAL),
    ),
    FIRMS: (
        ("uscc", "统一社会信用代码", "Unified social credit code", exchange_pb2.SENSITIVITY_GENERAL),
        ("name", "名称", "Name", exchange_pb2.SENSITIVITY_GENERAL),
        ("trade", "行业", "Trade", exchange_pb2.SENSITIVITY_GENERAL),
    ),
}


def drop_firms(city: City, drops: Path) -> None:
    """Write the register of firms into the folder of its resource, as market regulation drops it."""
    folder = drops / FIRMS.replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{_FIRMS_FILE}.part"
    with part.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow([name for name, *_ in _FIELDS[FIRMS]])
        for firm in city.firms:
            writer.writerow([firm.uscc, firm.name, next((each for each in TRADES if each in firm.name), "其他")])
    part.replace(folder / _FIRMS_FILE)


def resources(agencies: dict[str, Agency], *, police: Path) -> list[exchange_pb2.Resource]:
    """The resources that are opened, as the catalogue has them."""
    births: dict[str, Any] = {
        "url": f"sqlite:///{police}",
        "statement": f"{_births()} WHERE persons.number = :subject_key",
    }
    columns = struct_pb2.Struct()
    columns.update({name: name for name, *_ in _FIELDS[FIRMS]})
    firms: dict[str, Any] = {"format": "csv", "key": "uscc", "columns": columns}
    return [
        _resource(
            BIRTHS,
            ("出生登记信息", "Register of births"),
            agencies["public_security"],
            exchange_pb2.ADAPTER_KIND_SQL,
            births,
        ),
        _resource(
            FIRMS,
            ("市场主体名录", "Register of firms"),
            agencies["market_regulation"],
            exchange_pb2.ADAPTER_KIND_FILE,
            firms,
        ),
    ]


def datasets(*, police: Path) -> Sequence[nouns.OpenDataset]:
    """The city's opening list."""
    births = (
        nouns.OPEN_STEP_KIND_MONTH,
        nouns.OPEN_STEP_KIND_QUARTER,
        nouns.OPEN_STEP_KIND_YEAR,
        nouns.OPEN_STEP_KIND_DECADE,
    )
    sex = _column("sex", "性别", "Sex", nouns.OPEN_STEP_KIND_KEEP, nouns.OPEN_STEP_KIND_EVERYTHING)
    return (
        _counted(
            "births-by-month",
            ("按月和性别的出生人数", "Births by month and sex"),
            police,
            [_column("birth_date", "出生时间", "Time of birth", *births), sex],
        ),
        _counted(
            "residents-by-street",
            ("按街道和性别的居民人数", "Residents by street and sex"),
            police,
            [_column("street", "街道", "Street", nouns.OPEN_STEP_KIND_KEEP, nouns.OPEN_STEP_KIND_EVERYTHING), sex],
        ),
        nouns.OpenDataset(
            dataset="registered-firms",
            resource=FIRMS,
            title_zh="登记企业名录",
            title_en="Registered firms",
            description_zh="全市登记企业及其行业，含餐饮业。",
            description_en="Every registered firm and its trade, catering among them.",
            keywords=["企业", "餐饮", "firms", "catering"],
            theme=nouns.OPEN_THEME_ECON,
            cycle=metadata_pb2.UPDATE_CYCLE_DAILY,
            license=nouns.OPEN_LICENSE_CC0,
            opening=metadata_pb2.OPENING_UNCONDITIONAL,
            basis="Data Security Law art. 42",
            about=nouns.OPEN_ABOUT_ORGANIZATIONS,
            form=nouns.OPEN_FORM_RECORDS,
            columns=[_column(name, zh, en, nouns.OPEN_STEP_KIND_KEEP) for name, zh, en, _ in _FIELDS[FIRMS]],
            k=1,
            diversity=1,
            source=nouns.OpenSource(file=_FIRMS_FILE),
        ),
    )


def _counted(name: str, title: tuple[str, str], police: Path, columns: Sequence[nouns.OpenColumn]) -> nouns.OpenDataset:
    """People counted from the household register."""
    return nouns.OpenDataset(
        dataset=name,
        resource=BIRTHS,
        title_zh=title[0],
        title_en=title[1],
        description_zh="由公安户籍登记汇总；人数不足五人的组合合并到更粗的类别，或不公布。",
        description_en="Counted from the household register; combinations of fewer than five people are merged or left out.",
        keywords=["人口", "population"],
        theme=nouns.OPEN_THEME_SOCI,
        cycle=metadata_pb2.UPDATE_CYCLE_MONTHLY,
        license=nouns.OPEN_LICENSE_CC_BY_4,
        opening=metadata_pb2.OPENING_UNCONDITIONAL,
        basis=_BASIS,
        about=nouns.OPEN_ABOUT_PERSONS,
        form=nouns.OPEN_FORM_COUNTS,
        columns=columns,
        k=5,
        diversity=1,
        suppress_percent_max=10,
        source=nouns.OpenSource(url=f"sqlite:///{police}", statement=f"{_births()} {_IN_PERIOD}"),
    )


def _births() -> str:
    """Streets stand in the middle of an address; the statement finds them by name."""
    streets = " ".join(f"WHEN instr(households.address, '{each}') THEN '{each}'" for each in STREETS)
    return _BIRTHS_STATEMENT.format(streets=f"CASE {streets} ELSE NULL END")


def _column(name: str, zh: str, en: str, *kinds: "nouns.OpenStepKind.ValueType") -> nouns.OpenColumn:
    steps: Iterable[nouns.OpenStep] = (nouns.OpenStep(kind=kind) for kind in kinds)
    return nouns.OpenColumn(name=name, label_zh=zh, label_en=en, role=nouns.OPEN_ROLE_DIMENSION, steps=steps)


def _resource(
    code: str,
    name: tuple[str, str],
    provider: Agency,
    adapter: "exchange_pb2.AdapterKind.ValueType",
    settings: dict[str, Any],
) -> exchange_pb2.Resource:
    struct = struct_pb2.Struct()
    struct.update(settings)
    made = exchange_pb2.Resource(
        code=code,
        name_zh=name[0],
        name_en=name[1],
        provider=provider.uscc,
        sharing_class=exchange_pb2.SHARING_CLASS_CONDITIONAL,
        sharing_reason="限法定职责所需，一事一授权。 Only for statutory duties, one grant per purpose.",
        fields=[
            exchange_pb2.ResourceField(name=field, label_zh=zh, label_en=en, sensitivity=sensitivity)
            for field, zh, en, sensitivity in _FIELDS[code]
        ],
        adapter=adapter,
        adapter_settings=struct,
        timeout_ms=_TIMEOUT_MS,
        region=REGION,
    )
    made.metadata.opening = metadata_pb2.OPENING_UNCONDITIONAL
    return made
