# SPDX-License-Identifier: Apache-2.0
"""`tongban matter activate`: a new version against the open cases of a running system."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tongban.gateway.v1 import matters_pb2 as nouns
from tongban.gateway.v1 import matters_service_pb2 as pb
from tongban.gateway.v1.matters_service_pb2_grpc import MatterServiceStub

from services.cli.definitions import read
from services.cli.folder import Folder
from services.cli.options import Options, Profile
from services.cli.papers import OPERATOR
from services.cli.ports import Ports
from services.gateway.domain.definition import Matter
from services.kit.certificates import Identity
from services.kit.errors import Refusal, StartupError, Unavailable
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to happen; a report alone where nothing is."""

    propose: str = ""
    confirm: bool = False
    move: str = ""
    operator: str = ""


def activate(options: Options, profile: Profile, path: Path, wish: Wish) -> None:
    """Do it and print a line for each case, and the sums. Raises StartupError."""
    matter = read(path)

    async def work() -> None:
        folder = Folder.of(options.data, profile)
        ports = Ports(options.host, options.http_port, options.grpc_port)
        identity = Identity.open(folder.pki, f"spiffe://tongban/operator/{wish.operator or OPERATOR}")
        telemetry = Telemetry("tongban")
        try:
            async with Peer.open(ports.address("gateway"), identity, telemetry, server_name="gateway") as peer:
                await _done(peer, matter, wish)
        finally:
            telemetry.close()

    try:
        asyncio.run(work())
    except (Refusal, Unavailable) as error:
        raise StartupError(str(error)) from error


async def _done(peer: Peer, matter: Matter, wish: Wish) -> None:
    stub = peer.stub(MatterServiceStub)
    if wish.propose:
        proposal = pb.ProposeActivationRequest(request_id=new_id(), definition=matter.canonical(), why=wish.propose)
        await peer.call(stub.ProposeActivation, proposal)
        print(f"{matter.code} {matter.digest} is proposed; another operator confirms it.")
    if wish.confirm:
        confirmed = pb.ConfirmActivationRequest(request_id=new_id(), digest=matter.digest)
        await peer.call(stub.ConfirmActivation, confirmed)
        print(f"{matter.code} {matter.digest} is confirmed: new cases follow it.")
    sums: Counter[str] = Counter()
    async for case in _cases(peer, stub, matter, wish.move):
        print(line_of(case))
        sums["stuck" if case.stuck else "fit"] += 1
        sums["dates"] += not case.stuck and case.before != case.after
    verb = "moved" if wish.move else "would move"
    print(f"{sums['fit']} {verb}, the date of {sums['dates']} changes, {sums['stuck']} are stuck.")


async def _cases(peer: Peer, stub: MatterServiceStub, matter: Matter, why: str) -> AsyncIterator[nouns.ReplayedCase]:
    """Page after page: moved where it is said why, else only replayed."""
    token = ""
    while True:
        page: pb.MoveCasesResponse | pb.ReplayCasesResponse
        if why:
            moved = pb.MoveCasesRequest(
                request_id=new_id(), digest=matter.digest, why=why, page_size=_PAGE, page_token=token
            )
            page = await peer.call(stub.MoveCases, moved)
        else:
            replayed = pb.ReplayCasesRequest(definition=matter.canonical(), page_size=_PAGE, page_token=token)
            page = await peer.call(stub.ReplayCases, replayed)
        for case in page.cases:
            yield case
        token = page.next_page_token
        if not token:
            return


def line_of(case: nouns.ReplayedCase) -> str:
    """One case in words."""
    if case.stuck:
        return f"{case.receipt}  stuck: {case.stuck} {case.where}".rstrip()
    told = [f"{case.receipt}  fits"]
    if case.starts:
        told.append(f"begins {', '.join(case.starts)}")
    if case.outcome:
        told.append(f"would be {case.outcome}")
    if case.before != case.after:
        told.append(f"ends {case.before or 'nobody knows when'} -> {case.after or 'nobody knows when'}")
    return "; ".join(told)
