# SPDX-License-Identifier: Apache-2.0
"""Types of license from their files: data that an agency's lawyer can read, checked before anything is served."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.kit.errors import StartupError
from services.kit.yaml import YAMLError, load_yaml
from services.licenses.domain.catalogue import AttributeKind, AttributeType, Catalogue, LicenseType

_RESERVED = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "vct", "cnf", "status", "license_id", "identifier"}

_Label = Annotated[str, Field(min_length=1, max_length=100)]


class TypeFileInvalid(StartupError):  # noqa: N818 - it states what is so
    """A file of a license type can't be used; the sentence says which and why."""


class _Attribute(BaseModel):
    """One attribute, as its file says it. `personal` ones can always be left out when a license is shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    kind: AttributeKind
    label_zh: _Label
    label_en: _Label
    required: bool
    personal: bool = True
    disclosable: bool = True

    @model_validator(mode="after")
    def _checked(self) -> "_Attribute":
        if self.name in _RESERVED:
            raise ValueError(f"{self.name} is a name of the credential itself")
        if self.personal and not self.disclosable:
            raise ValueError(f"{self.name} is personal, so the holder must be able to leave it out")
        return self

    def built(self) -> AttributeType:
        return AttributeType(
            self.name, self.kind, self.label_zh, self.label_en, disclosable=self.disclosable, required=self.required
        )


class _Type(BaseModel):
    """One type, as its file says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern="^[0-9A-Z]{18}[0-9]{3}$")
    key: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    name_zh: _Label
    name_en: _Label
    validity_months: int = Field(ge=0, le=1200)
    revision: int = Field(default=1, ge=1, description="Of the attributes; part of the credential's type.")
    attributes: tuple[_Attribute, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _checked(self) -> "_Type":
        names = [one.name for one in self.attributes]
        if len(set(names)) != len(names):
            raise ValueError("an attribute is named twice")
        return self

    def built(self) -> LicenseType:
        return LicenseType(
            code=self.code,
            key=self.key,
            name_zh=self.name_zh,
            name_en=self.name_en,
            vct=f"urn:tongban:license:{self.code}:{self.revision}",
            attributes=tuple(one.built() for one in self.attributes),
            validity_months=self.validity_months,
        )


def read_catalogue(folder: Path) -> Catalogue:
    """Read every `*.yaml` of a folder.

    Raises:
        TypeFileInvalid: There is none, or one can't be used.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise TypeFileInvalid(f"{folder} holds no license type.")
    types = [_read(path) for path in paths]
    try:
        return Catalogue(types)
    except ValueError as error:
        raise TypeFileInvalid(f"The license types in {folder} can't be used: {error}") from error


def _read(path: Path) -> LicenseType:
    try:
        return _Type.model_validate(load_yaml(path.read_text(encoding="utf-8"))).built()
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        raise TypeFileInvalid(f"{path} can't be read.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TypeFileInvalid(f"{path} can't be used: {place} {first['msg']}.") from error
