# SPDX-License-Identifier: Apache-2.0
"""The X-Road Message Protocol for REST 1.0 (PR-REST): identifiers, message headers, and the hash that ties an answer to its question.

Our names in theirs: instance `CN-<region>`, class `GOV`, member code = USCC of the agency, subsystem = classification
of a resource, service = its running number. Resource 307002/000001 of an agency is
`CN-990100/GOV/<USCC>/307002/000001`.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from services.exchange.domain.resource import USCC
from services.kit.errors import Refusal, RequestInvalid, Violation
from services.kit.ids import new_id

MEMBER_CLASS = "GOV"
META = frozenset({"listMethods", "allowedMethods", "getOpenAPI"})
PATH_MAX = 2000  # PR-REST 4.2: longer ones are not to be relied on, and may be refused.
_PARTS_OF_CLIENT, _PARTS_OF_MEMBER = 4, 3
_PART = re.compile(r"[A-Za-z0-9'()+,\-.=?]{1,64}")  # PR-REST 4.8
_TEXT = re.compile(r"[\x21-\x7e]{1,255}")
_ISSUE_PARTS = ";"

# PR-REST 4.3: rewritten or handled by whoever passes the message on. The last two are ours to write.
_NOT_HASHED = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade"
    b" host user-agent server expect content-length x-road-request-id x-road-request-hash".split()
)
_SINGLE = frozenset(
    {
        "x-road-client",
        "x-road-id",
        "x-road-userid",
        "x-road-issue",
        "x-road-security-server",
        "x-road-represented-party",
    }
)

Headers = Sequence[tuple[bytes, bytes]]


class XroadMessageInvalid(RequestInvalid):
    """A message does not keep to the X-Road Message Protocol for REST."""


class XroadClientMismatch(Refusal):
    """`X-Road-Client` names another agency than the certificate does."""


class XroadMemberUnknown(Refusal):
    """An identifier names another instance or class than ours."""


class XroadServiceUnknown(Refusal):
    """The member has no such service."""


@dataclass(frozen=True, slots=True)
class ClientId:
    """Who calls: a member, or a subsystem of one. The subsystem is the member's own name for a system of its."""

    instance: str
    member_class: str
    member: str
    subsystem: str = ""

    def __str__(self) -> str:
        parts = (self.instance, self.member_class, self.member, self.subsystem)
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class ServiceId:
    """What is called."""

    instance: str
    member_class: str
    member: str
    subsystem: str
    service: str

    @property
    def resource(self) -> str:
        """Code of the resource that a service stands for."""
        return f"{self.subsystem}/{self.service}"

    def __str__(self) -> str:
        return f"{self.instance}/{self.member_class}/{self.member}/{self.subsystem}/{self.service}"


@dataclass(frozen=True, slots=True)
class Message:
    """One request, understood. `purpose` and `case_id` come from X-Road-Issue: `<purpose>` or `<purpose>;<case>`."""

    method: str
    client: ClientId
    service: ServiceId
    path: str
    message_id: str
    request_id: str
    purpose: str
    case_id: str
    represented: str
    header_hash: bytes = field(repr=False)


def instance_of(region: str) -> str:
    """Give the instance that a node is: it serves one region."""
    return f"CN-{region}"


def read_message(method: str, path: str, query: str, headers: Headers, *, instance: str) -> Message:
    """Understand a request line and its headers as they were sent.

    Raises:
        XroadMessageInvalid: it breaks the protocol.
        XroadMemberUnknown: it names another instance or class.
    """
    if len(path) + len(query) > PATH_MAX:
        raise _invalid("path", f"At most {PATH_MAX} characters (PR-REST 4.2).")
    service, rest = _read_service(path)
    given = _x_road(headers)
    if "x-road-client" not in given:
        raise _invalid("X-Road-Client", "Mandatory (PR-REST 4.3).")
    client = read_client(given["x-road-client"])
    for name in ("x-road-id", "x-road-userid", "x-road-issue"):
        if name in given and not _TEXT.fullmatch(given[name]):
            raise _invalid(name, "1 to 255 visible ASCII characters.")
    for each in (client, service):
        if (each.instance, each.member_class) != (instance, MEMBER_CLASS) or not USCC.fullmatch(each.member):
            raise XroadMemberUnknown(f"Members here are {instance}/{MEMBER_CLASS}/<unified social credit code>.")
    _check_server(given.get("x-road-security-server", ""), instance)
    purpose, _, case_id = given.get("x-road-issue", "").partition(_ISSUE_PARTS)
    request_id = new_id()
    message_id = given.get("x-road-id", "")
    written = [(b"x-road-request-id", request_id.encode())]
    if not message_id:
        message_id = new_id()
        written.append((b"x-road-id", message_id.encode()))
    target = f"{path}?{query}" if query else path
    return Message(
        method=method,
        client=client,
        service=service,
        path=rest,
        message_id=message_id,
        request_id=request_id,
        purpose=purpose,
        case_id=case_id,
        represented=_read_represented(given.get("x-road-represented-party", "")),
        header_hash=hashlib.sha512(header_part(method, target, [*headers, *written], keep=written)).digest(),
    )


def header_part(method: str, target: str, headers: Iterable[tuple[bytes, bytes]], *, keep: Headers = ()) -> bytes:
    """Write the part of a request that is hashed: verb, target and each kept header as `name:value`, lines ended by CRLF.

    Headers that whoever passes a message on rewrites (PR-REST 4.3) don't count, but for those in `keep`.
    """
    lines = [method.encode(), target.encode("latin-1")]
    lines += [
        name + b":" + value for name, value in headers if name.lower() not in _NOT_HASHED or (name, value) in keep
    ]
    return b"".join(line + b"\r\n" for line in lines)


def request_hash(header_hash: bytes, body: bytes) -> str:
    """Give X-Road-Request-Hash (PR-REST 4.3): base64(SHA-512(SHA-512(header part) + SHA-512(body))), or of the header part alone."""
    if not body:
        return base64.b64encode(header_hash).decode()
    return base64.b64encode(hashlib.sha512(header_hash + hashlib.sha512(body).digest()).digest()).decode()


def read_client(text: str) -> ClientId:
    """Read `instance/class/member[/subsystem]` (PR-REST 4.1). Raises XroadMessageInvalid."""
    parts = [_part(each, "X-Road-Client") for each in text.split("/")]
    if not _PARTS_OF_MEMBER <= len(parts) <= _PARTS_OF_CLIENT:
        raise _invalid("X-Road-Client", "instance/class/member, and a subsystem if wanted (PR-REST 4.1).")
    return ClientId(*parts)


def _read_service(path: str) -> tuple[ServiceId, str]:
    """Read `/r1/instance/class/member/subsystem/service[/path]` (PR-REST 4.1)."""
    empty, version, *parts = path.split("/", 7) if path.startswith("/") else ("x", "", path)
    if empty or version != "r1":
        raise _invalid("path", "/r1/... : no other version of the protocol is spoken (PR-REST 2.3).")
    if len(parts) < 5:  # noqa: PLR2004 - the parts of a service's identifier
        raise _invalid("path", "/r1/instance/class/member/subsystem/service (PR-REST 4.1).")
    instance, member_class, member, subsystem, service = (_part(each, "path") for each in parts[:5])
    return ServiceId(instance, member_class, member, subsystem, service), "/" + parts[5] if len(parts) > 5 else ""  # noqa: PLR2004 - what follows it


def _part(text: str, where: str) -> str:
    """Decode one part of an identifier (PR-REST 4.2) and refuse characters beyond PR-REST 4.8."""
    decoded = unquote(text)  # Bytes that are no UTF-8 become a character that is not permitted.
    if not _PART.fullmatch(decoded):
        raise _invalid(where, "Parts of 1 to 64 letters, digits and '()+,-.=? (PR-REST 4.8).")
    return decoded


def _x_road(headers: Headers) -> dict[str, str]:
    """Give the protocol's own headers by small name; one that comes twice could mean two things."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        if key not in _SINGLE:
            continue
        if key in found:
            raise _invalid(key, "Once.")
        found[key] = value.decode("latin-1")
    return found


def _read_represented(text: str) -> str:
    """Read `[class/]member` (PR-REST 4.3); give the member."""
    if not text:
        return ""
    parts = [_part(each, "X-Road-Represented-Party") for each in text.split("/")]
    if len(parts) > 2:  # noqa: PLR2004 - class and member
        raise _invalid("X-Road-Represented-Party", "[class/]member (PR-REST 4.3).")
    return parts[-1]


def _check_server(text: str, instance: str) -> None:
    """Check X-Road-Security-Server (PR-REST 4.3): whoever wants another server than this instance's is at the wrong door."""
    if not text:
        return
    parts = [_part(each, "X-Road-Security-Server") for each in text.split("/")]
    if len(parts) != 4:  # noqa: PLR2004 - its parts
        raise _invalid("X-Road-Security-Server", "instance/class/member/server (PR-REST 4.3).")
    if parts[0] != instance:
        raise XroadMemberUnknown(f"This is a server of instance {instance}.")


def _invalid(field: str, rule: str) -> XroadMessageInvalid:
    return XroadMessageInvalid(f"{field}: {rule}", violations=[Violation(field, rule)])
