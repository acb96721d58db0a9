# SPDX-License-Identifier: Apache-2.0
"""What a department is asked to do, and how it says no."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from sandbox.register import Output

Value = str | float | bool | None

TEXT_MAX = 200
"""Characters of one value at most; registers have narrow columns."""


class TaskRefused(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """The department can't do its part, and a repeat won't change that. The resident reads the sentences."""

    def __init__(self, reason: str, message_zh: str, message_en: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message_zh = message_zh
        self.message_en = message_en


@dataclass(frozen=True, slots=True)
class Work:
    """One operation of one case. Values are kept out of `repr`: they are about people."""

    case_id: str
    operation: str
    values: Mapping[str, Value] = field(repr=False)

    def text(self, name: str) -> str:
        """A value that must be there."""
        value = self.optional(name)
        if not value:
            raise TaskRefused("INPUT_MISSING", f"缺少办理所需的信息：{name}。", f"Something needed is missing: {name}.")
        return value

    def optional(self, name: str) -> str:
        """A value, or empty."""
        value = self.values.get(name)
        text = "" if value is None else str(value).strip()
        if len(text) > TEXT_MAX:
            raise TaskRefused("INPUT_MALFORMED", f"信息过长：{name}。", f"A value is too long: {name}.")
        return text

    def day(self, name: str) -> date:
        """A calendar day."""
        text = self.text(name)
        try:
            if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
                return date.fromisoformat(text)
        except ValueError:
            pass
        raise TaskRefused("INPUT_MALFORMED", f"日期有误：{name}。", f"Not a day of the calendar: {name}.")

    def male(self, name: str) -> bool:
        """Sex: `male` or `female`."""
        text = self.text(name)
        if text not in {"male", "female"}:
            raise TaskRefused("INPUT_MALFORMED", f"性别有误：{name}。", f"Neither male nor female: {name}.")
        return text == "male"


Operation = Callable[[Work], Awaitable[Output]]
