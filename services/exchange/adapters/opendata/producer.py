# SPDX-License-Identifier: Apache-2.0
"""Has a release made by a process of its own, which is ended where nobody waits for it any more."""

import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from services.exchange.domain.opendata.anonymity import (
    AnonymityNotReached,
    FormulaFound,
    IdentifierFound,
    NothingToPublish,
)
from services.exchange.domain.opendata.dataset import Dataset
from services.exchange.domain.opendata.release import Format, SourceInvalid
from services.exchange.domain.opendata.written import plain_of, plain_source
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.service.opendata import PIECE_BYTES, MadeFile, Production
from services.kit.errors import Refusal
from services.kit.logs import get_logger

FILE_BYTES_MAX = 200 << 20
SECONDS_MAX = 900.0
_MODULE = "services.exchange.adapters.opendata"
_KNOWN = {
    each.reason: each for each in (AnonymityNotReached, FormulaFound, IdentifierFound, NothingToPublish, SourceInvalid)
}


class ReleaseProducer:
    """One release at a time: a second one waits. `drops` is the folder of dropped files, one below it for each resource."""

    def __init__(self, drops: Path | None) -> None:
        self._drops = drops
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def produced(self, dataset: Dataset) -> AsyncIterator[Production]:
        """Make a release; its files are there as long as the block lasts.

        Raises the refusals of `deidentify`, SourceInvalid, ProviderUnavailable.
        """
        async with self._turn:
            with tempfile.TemporaryDirectory(prefix="tongban-release-") as name:
                folder = Path(name)
                said = await self._said(dataset, folder)
                if "made" not in said:
                    raise _refusal(said)
                files = await asyncio.to_thread(_files, folder)
                yield Production(**said["made"], files=files)

    async def _said(self, dataset: Dataset, folder: Path) -> dict[str, Any]:
        job = {
            "dataset": plain_of(dataset),
            "source": plain_source(dataset.source),
            "drop": "" if self._drops is None else str(self._drops / dataset.resource.replace("/", "_")),
            "folder": str(folder),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # A traceback's words may hold values.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(SECONDS_MAX):
                out, _ = await process.communicate(json.dumps(job).encode())
        except TimeoutError:
            raise ProviderUnavailable("The release was not made in time.") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        try:
            said: dict[str, Any] = json.loads(out)
        except ValueError:
            said = {"broke": f"exit {process.returncode}"}
        return said


def _refusal(said: dict[str, Any]) -> Refusal:
    refused = said.get("refused")
    if refused is None or refused["reason"] not in _KNOWN:
        get_logger().warning("release_broke", error=str(said.get("broke", "")))
        return ProviderUnavailable("The source could not be read.")
    kind = _KNOWN[refused["reason"]]
    return kind(refused["message"], remedy=refused["remedy"], metadata=refused["metadata"])


def _files(folder: Path) -> tuple[MadeFile, ...]:
    files = []
    for form in Format:
        path = folder / f"data.{form.value}"
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise SourceInvalid(f"A file of the release is larger than {FILE_BYTES_MAX} bytes.")
        digest = hashlib.sha256()
        for piece in _pieces(path):
            digest.update(piece)
        files.append(MadeFile(form, size, digest.hexdigest(), partial(_pieces, path)))
    return tuple(files)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as opened:
        while piece := opened.read(PIECE_BYTES):
            yield piece
