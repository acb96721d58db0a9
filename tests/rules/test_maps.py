# SPDX-License-Identifier: Apache-2.0
"""A service's README is the map of it: every method, fact, refusal and knob stands there."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor

from services.kit.config import Common
from services.kit.errors import Refusal

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ["identity", "licenses", "exchange", "gateway"]


def readme(service: str) -> str:
    return (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")


def modules(service: str) -> list[str]:
    package = importlib.import_module(f"services.{service}")
    return [
        module.name
        for module in pkgutil.walk_packages(package.__path__, f"services.{service}.")
        if ".migrations" not in module.name and not module.name.endswith("__main__")
    ]


def contracts(service: str, kind: str) -> list[FileDescriptor]:
    """The service's files of one kind: its own, and those of its areas."""
    package = importlib.import_module(f"tongban.{service}.v1")
    names = sorted(each.name for each in pkgutil.iter_modules(package.__path__) if each.name.endswith(kind))
    return [importlib.import_module(f"{package.__name__}.{name}").DESCRIPTOR for name in names]


@pytest.mark.parametrize("service", SERVICES)
def test_every_method_stands_in_the_map(service: str) -> None:
    missing = [
        method.name
        for contract in contracts(service, "_service_pb2")
        for rpc in contract.services_by_name.values()
        for method in rpc.methods
        if method.name not in readme(service)
    ]
    assert missing == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_fact_stands_in_the_map(service: str) -> None:
    facts = [name for each in contracts(service, "_events_pb2") for name in each.message_types_by_name]
    assert facts
    assert [name for name in facts if name not in readme(service)] == []
    assert f"tongban.{service}.events.v1" in readme(service)


@pytest.mark.parametrize("service", SERVICES)
def test_every_knob_stands_in_the_map(service: str) -> None:
    settings = importlib.import_module(f"services.{service}.config").Settings
    own = set(settings.model_fields) - set(Common.model_fields)
    assert sorted(name for name in own if f"{service}_{name}".upper() not in readme(service)) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_refusal_stands_in_the_map(service: str) -> None:
    refusals = {
        member
        for name in modules(service)
        for member in vars(importlib.import_module(name)).values()
        if inspect.isclass(member) and issubclass(member, Refusal) and member.__module__ == name
    }
    assert refusals
    reasons = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", refusal.__name__).upper()
        for refusal in refusals
        if not refusal.__subclasses__()
    }
    assert sorted(reason for reason in reasons if reason not in readme(service)) == []
