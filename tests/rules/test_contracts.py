# SPDX-License-Identifier: Apache-2.0
"""Every method names who may call it; every fact has an owner; the wire keeps its conventions."""

import importlib
import pkgutil

import pytest
import tongban
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor, MethodDescriptor
from tongban.access.v1 import access_pb2

SERVICES = {"identity", "licenses", "exchange", "gateway"}
STANDARD_KINDS = {
    access_pb2.CALLER_KIND_AGENCY,
    access_pb2.CALLER_KIND_CLERK,
    access_pb2.CALLER_KIND_OPERATOR,
}


def files() -> list[FileDescriptor]:
    names = [
        module.name for module in pkgutil.walk_packages(tongban.__path__, "tongban.") if module.name.endswith("_pb2")
    ]
    return [importlib.import_module(name).DESCRIPTOR for name in names]


def methods() -> list[MethodDescriptor]:
    return [method for file in files() for service in file.services_by_name.values() for method in service.methods]


def fields() -> list[FieldDescriptor]:
    return [field for file in files() for message in file.message_types_by_name.values() for field in message.fields]


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_every_method_says_who_may_call_it(method: MethodDescriptor) -> None:
    rule = method.GetOptions().Extensions[access_pb2.rule]
    assert rule.callers, "A method without callers refuses everyone."
    assert access_pb2.CALLER_KIND_UNSPECIFIED not in rule.callers
    assert bool(rule.services) == (access_pb2.CALLER_KIND_SERVICE in rule.callers)
    assert set(rule.services) <= SERVICES
    assert bool(rule.right) == bool(STANDARD_KINDS & set(rule.callers))


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)
def test_every_method_has_messages_of_its_own(method: MethodDescriptor) -> None:
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"


@pytest.mark.parametrize(
    "method",
    [
        method
        for method in methods()
        if method.name.startswith(("Register", "Issue", "Suspend", "Restore", "Revoke", "Create", "Complete", "Refuse"))
        and method.name != "IssueToken"
    ],
    ids=lambda method: method.full_name,
)
def test_whatever_changes_state_takes_a_request_id(method: MethodDescriptor) -> None:
    assert "request_id" in method.input_type.fields_by_name


@pytest.mark.parametrize(
    "method", [method for method in methods() if method.name.startswith("List")], ids=lambda method: method.full_name
)
def test_lists_are_paged_or_small_by_nature(method: MethodDescriptor) -> None:
    small = {"ListLicenseTypes", "ListPersonas"}
    assert "page_size" in method.input_type.fields_by_name or method.name in small


def test_fields_that_tell_who_somebody_is_are_redacted() -> None:
    personal = {
        "number",
        "phone",
        "address",
        "birth_date",
        "credential",
        "attributes",
        "values",
        "access_token",
        "subject_key",
    }
    naked = [
        field.full_name
        for field in fields()
        if field.name in personal
        and field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE}
        and not field.GetOptions().debug_redact
        and not field.full_name.startswith("tongban.licenses.v1.LicenseType.")
    ]
    assert naked == []


def test_facts_carry_no_redacted_field() -> None:
    facts = [file for file in files() if file.name.endswith("_events.proto") or "/events/" in file.name]
    assert facts
    for file in facts:
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        for message in proto.message_type:
            assert not [field.name for field in message.field if field.options.debug_redact], message.name
