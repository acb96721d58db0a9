# SPDX-License-Identifier: Apache-2.0
"""Words for people, always in both languages."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Words = Annotated[str, Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Text:
    """The same words in Chinese and in English."""

    zh: Words
    en: Words
