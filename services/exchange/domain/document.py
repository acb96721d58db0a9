# SPDX-License-Identifier: Apache-2.0
"""A catalogue entry as the core-metadata document of the guide of 2017: its Chinese element names, as JSON or XML.

The elements are those of the guide's core metadata; what it does not know (English names, sensitivity, legal basis) stands in
扩展元数据, which it allows. How a provider is reached is nobody's metadata and never in a document.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar
from xml.etree import ElementTree as ET

from services.exchange.domain.metadata import (
    DataType,
    Metadata,
    Opening,
    ResourceFormat,
    SharingMethod,
    UpdateCycle,
    classification_of,
)
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.settings import AdapterKind, ConnectorSettings
from services.kit.errors import RequestInvalid, Violation

W = TypeVar("W", bound=StrEnum)
ENTRIES_MAX: Final = 1_000
ROOT, ENTRY, ITEM, EXTENSION = "政务信息资源目录", "信息资源", "信息项", "扩展元数据"

CLASSES: Final = {
    SharingClass.UNCONDITIONAL: "无条件共享",
    SharingClass.CONDITIONAL: "有条件共享",
    SharingClass.REFUSED: "不予共享",
}
METHODS: Final = {
    SharingMethod.INTERFACE: "服务接口",
    SharingMethod.BATCH: "批量交换",
    SharingMethod.FILE: "文件下载",
}
OPENINGS: Final = {Opening.UNCONDITIONAL: "无条件开放", Opening.CONDITIONAL: "有条件开放", Opening.CLOSED: "不予开放"}
CYCLES: Final = {
    UpdateCycle.REAL_TIME: "实时",
    UpdateCycle.DAILY: "每日",
    UpdateCycle.WEEKLY: "每周",
    UpdateCycle.MONTHLY: "每月",
    UpdateCycle.QUARTERLY: "每季度",
    UpdateCycle.YEARLY: "每年",
    UpdateCycle.IRREGULAR: "不定期",
}
FORMATS: Final = {
    ResourceFormat.DOCUMENT: "电子文件",
    ResourceFormat.SPREADSHEET: "电子表格",
    ResourceFormat.DATABASE: "数据库",
    ResourceFormat.IMAGE: "图形图像",
    ResourceFormat.STREAM: "流媒体",
    ResourceFormat.OTHER: "自描述格式",
}
DATA_TYPES: Final = {
    DataType.TEXT: "字符型C",
    DataType.NUMBER: "数值型N",
    DataType.MONEY: "货币型Y",
    DataType.DATE: "日期型D",
    DataType.TIME: "日期时间型T",
    DataType.BOOLEAN: "逻辑型L",
    DataType.MEMO: "备注型M",
    DataType.GENERAL: "通用型G",
    DataType.DOUBLE: "双精度型B",
    DataType.INTEGER: "整型I",
    DataType.FLOAT: "浮点型F",
}
SENSITIVITIES: Final = {
    Sensitivity.GENERAL: "一般",
    Sensitivity.PERSONAL: "个人信息",
    Sensitivity.SENSITIVE: "敏感个人信息",
}


class DocumentFormat(StrEnum):
    """How a document is written."""

    JSON = "json"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """One entry of a document: the resource that it describes, or every fault that keeps it from describing one."""

    code: str
    resource: Resource | None
    faults: tuple[Violation, ...] = ()


def write_document(resources: Iterable[Resource], form: DocumentFormat) -> bytes:
    """Write entries, UTF-8."""
    entries = [_plain(each) for each in resources]
    if form is DocumentFormat.JSON:
        return json.dumps({ROOT: entries}, ensure_ascii=False, indent=1).encode()
    root = ET.Element(ROOT)
    for each in entries:
        _grow(ET.SubElement(root, ENTRY), each)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def read_document(content: bytes, form: DocumentFormat, *, region: str) -> list[ReadEntry]:
    """Read entries, each by itself. Raises RequestInvalid where the document as a whole can't be read."""
    entries = _json_entries(content) if form is DocumentFormat.JSON else _xml_entries(content)
    if not 1 <= len(entries) <= ENTRIES_MAX:
        raise _unreadable(f"1 to {ENTRIES_MAX} entries.")
    return [_Reader(each).entry(region) for each in entries]


def _plain(resource: Resource) -> dict[str, Any]:
    said, parts = resource.metadata, classification_of(resource.code)
    classification = {"类": parts.category, "项": parts.group, "目": parts.section, "细目": parts.detail}
    entry = {
        "信息资源分类": {name: value for name, value in classification.items() if value},
        "信息资源名称": resource.name_zh,
        "信息资源代码": resource.code,
        "信息资源提供方": said.provider_name,
        "信息资源提供方代码": resource.provider,
        "信息资源摘要": said.abstract_zh,
        "信息资源格式": {"分类": FORMATS[said.format] if said.format else "", "类型": said.format_detail},
        "信息项信息": [_plain_item(each) for each in resource.fields],
        "共享属性": {
            "共享类型": CLASSES[resource.sharing_class],
            "共享条件": resource.sharing_reason,
            "共享方式": [METHODS[each] for each in said.sharing_methods],
        },
        "开放属性": {
            "是否向社会开放": OPENINGS[said.opening] if said.opening else "",
            "开放条件": said.opening_condition,
        },
        "更新周期": CYCLES[said.update_cycle] if said.update_cycle else "",
        "发布日期": said.publish_date.isoformat() if said.publish_date else "",
        "关联资源代码": list(said.related),
        EXTENSION: {"英文名称": resource.name_en, "英文摘要": said.abstract_en},
    }
    stated: dict[str, Any] = _stated(entry)
    return stated


def _plain_item(item: ResourceField) -> dict[str, Any]:
    return {
        "信息项名称": item.label_zh,
        "数据类型": DATA_TYPES[item.data_type] if item.data_type else "",
        "数据长度": str(item.length) if item.length else "",
        EXTENSION: {
            "字段名": item.name,
            "英文名称": item.label_en,
            "敏感程度": SENSITIVITIES[item.sensitivity],
            "采集依据": item.basis,
        },
    }


def _stated(value: Any) -> Any:
    """Leave out what is not stated."""
    if isinstance(value, dict):
        kept = {name: _stated(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each}
    return [_stated(each) for each in value] if isinstance(value, list) else value


class _Reader:
    """Reads one entry and gathers every fault on the way."""

    def __init__(self, given: object) -> None:
        self._given = given if isinstance(given, Mapping) else {}
        self._faults: list[Violation] = [] if isinstance(given, Mapping) else [Violation(ENTRY, "An object.")]

    def entry(self, region: str) -> ReadEntry:
        code = self._text("信息资源代码")
        resource = Resource(
            code=code,
            name_zh=self._text("信息资源名称"),
            name_en=self._text(EXTENSION, "英文名称"),
            provider=self._text("信息资源提供方代码"),
            sharing_class=self._word(CLASSES, "共享属性", "共享类型") or SharingClass.REFUSED,
            sharing_reason=self._text("共享属性", "共享条件"),
            fields=tuple(self._item(index, each) for index, each in enumerate(self._list("信息项信息"))),
            adapter=AdapterKind.CONNECTOR,
            settings=ConnectorSettings(),
            timeout_ms=0,
            region=region,
            metadata=self._metadata(),
        )
        if not self._text("共享属性", "共享类型"):
            self._faults.append(Violation("共享属性.共享类型", "Needed."))
        self._check_classification(code)
        return ReadEntry(code, None if self._faults else resource, tuple(self._faults))

    def _metadata(self) -> Metadata:
        return Metadata(
            provider_name=self._text("信息资源提供方"),
            abstract_zh=self._text("信息资源摘要"),
            abstract_en=self._text(EXTENSION, "英文摘要"),
            format=self._word(FORMATS, "信息资源格式", "分类"),
            format_detail=self._text("信息资源格式", "类型"),
            sharing_methods=tuple(
                word for each in self._list("共享属性", "共享方式") if (word := self._one(METHODS, each, "共享方式"))
            ),
            opening=self._word(OPENINGS, "开放属性", "是否向社会开放"),
            opening_condition=self._text("开放属性", "开放条件"),
            update_cycle=self._word(CYCLES, "更新周期"),
            publish_date=self._day("发布日期"),
            related=tuple(str(each) for each in self._list("关联资源代码")),
        )

    def _item(self, index: int, given: object) -> ResourceField:
        inner = _Reader(given)
        length = inner._text("数据长度")
        if length and not length.isdecimal():
            inner._faults.append(Violation("数据长度", "A whole number."))
        item = ResourceField(
            name=inner._text(EXTENSION, "字段名"),
            label_zh=inner._text("信息项名称"),
            label_en=inner._text(EXTENSION, "英文名称"),
            sensitivity=inner._word(SENSITIVITIES, EXTENSION, "敏感程度") or Sensitivity.SENSITIVE,
            data_type=inner._word(DATA_TYPES, "数据类型"),
            length=int(length) if length.isdecimal() else 0,
            basis=inner._text(EXTENSION, "采集依据"),
        )
        self._faults += [Violation(f"信息项信息[{index}].{each.field}", each.description) for each in inner._faults]
        return item

    def _check_classification(self, code: str) -> None:
        """The parts of the classification are the code's; a document that says otherwise means another resource."""
        said = self._at("信息资源分类")
        if (
            isinstance(said, Mapping)
            and "".join(str(said.get(part, "")) for part in ("类", "项", "目", "细目")) != (code.partition("/")[0])
        ):
            self._faults.append(Violation("信息资源分类", "The parts of the code."))

    def _at(self, *path: str) -> object:
        found: object = self._given
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def _text(self, *path: str) -> str:
        found = self._at(*path)
        if found is None or isinstance(found, str):
            return found or ""
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        self._faults.append(Violation(".".join(path), "A text."))
        return ""

    def _list(self, *path: str) -> Sequence[object]:
        found = self._at(*path)
        if found is None:
            return ()
        if isinstance(found, list):
            return found
        self._faults.append(Violation(".".join(path), "A list."))
        return ()

    def _word(self, words: Mapping[W, str], *path: str) -> W | None:
        text = self._text(*path)
        return self._one(words, text, ".".join(path)) if text else None

    def _one(self, words: Mapping[W, str], text: object, field: str) -> W | None:
        for word, name in words.items():
            if name == text:
                return word
        self._faults.append(Violation(field, f"One of {'、'.join(words.values())}."))
        return None

    def _day(self, *path: str) -> date | None:
        text = self._text(*path)
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self._faults.append(Violation(".".join(path), "YYYY-MM-DD."))
            return None


def _json_entries(content: bytes) -> list[object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise _unreadable("JSON, UTF-8.") from None
    entries = found.get(ROOT) if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise _unreadable(f"An object with {ROOT}, a list.")
    return entries


_LISTS: Final = {"信息项信息": ITEM, "共享方式": "方式", "关联资源代码": "代码"}
"""Elements that hold many, and what each of those is called in XML."""


def _xml_entries(content: bytes) -> list[object]:
    if (
        b"<!" in content
    ):  # No document of ours has a DTD, comment or section, and entities are how XML grows without end.
        raise _unreadable("XML without DTD, comments and CDATA.")
    try:
        text = content.decode()  # Parsed as text: what the document says of its encoding doesn't count.
        if (
            "<!" in text
        ):  # No document of ours has a DTD, comment or section, and entities are how XML grows without end.
            raise _unreadable("XML without DTD, comments and CDATA.")
        root = ET.fromstring(text)  # noqa: S314 -- see above
    except (ET.ParseError, ValueError):
        raise _unreadable("XML, UTF-8.") from None
    if root.tag != ROOT:
        raise _unreadable(f"The element {ROOT}.")
    try:
        return [_plain_of(each) for each in root]
    except RecursionError:
        raise _unreadable("Elements within elements no deeper than the guide has them.") from None


def _grow(parent: ET.Element, entry: Mapping[str, Any]) -> None:
    for name, value in entry.items():
        element = ET.SubElement(parent, name)
        if isinstance(value, dict):
            _grow(element, value)
        elif isinstance(value, list):
            for each in value:
                child = ET.SubElement(element, _LISTS[name])
                if isinstance(each, dict):
                    _grow(child, each)
                else:
                    child.text = each
        else:
            element.text = value


def _plain_of(element: ET.Element) -> object:
    if element.tag in _LISTS:
        return [_plain_of(each) for each in element]
    if len(element):
        return {each.tag: _plain_of(each) for each in element}
    return element.text or ""


def _unreadable(words: str) -> RequestInvalid:
    return RequestInvalid("The document can't be read.", violations=[Violation("content", words)])
