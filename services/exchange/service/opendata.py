# SPDX-License-Identifier: Apache-2.0
"""The opening list and its releases: an operator opens, the rules decide, everybody reads."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Protocol

from services.exchange.domain.opendata.dataset import Dataset, check_dataset
from services.exchange.domain.opendata.release import (
    PERIOD_DAYS_MAX,
    Format,
    OpenDatasetNotFound,
    Release,
    ReleaseFile,
    ReleaseNotFound,
    ReleasePublished,
    ReleaseTakenBack,
    must_be_open,
    withdraw,
)
from services.exchange.domain.opendata.source import Source
from services.exchange.domain.resource import Resource
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import Refusal, RequestIdReused, RequestInvalid, Unavailable, Violation
from services.kit.ledger.access import Access, Receipt, canonical
from services.kit.paging import Page

RIGHT, RIGHT_TO_READ = "exchange.opendata", "exchange.read"
PAGE_SIZE = 50
PIECE_BYTES = 256 * 1024
PURPOSE = "opendata"


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that was made; `pieces` reads it anew each time, 256 KiB at once."""

    format: Format
    size: int
    sha256: str
    pieces: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Production:
    """What a producer made of a data set."""

    rows: int
    k: int
    diversity: int
    suppressed: int
    steps: Mapping[str, Mapping[str, object]]
    files: Sequence[MadeFile]


class Producer(Protocol):
    """Makes a release of a data set."""

    def produced(self, dataset: Dataset) -> AbstractAsyncContextManager[Production]:
        """Give the files of the next release as long as the block lasts.

        Raises AnonymityNotReached, IdentifierFound, NothingToPublish, SourceInvalid, ProviderUnavailable.
        """


class OpenTransaction(Protocol):
    """One change of open data."""

    async def first_sight(self, id: str) -> bool:
        """Tell whether this request has had no effect yet."""

    async def record(self, fact: object) -> None:
        """Tell a fact with this change."""

    async def leaf(self, access: Access) -> Receipt:
        """Add a leaf with this change."""

    async def resource(self, code: str) -> Resource:
        """Read a resource and lock it. Raises ResourceNotFound."""

    async def find_open_dataset(self, dataset: str) -> Dataset | None:
        """Read a data set and lock it, None where there is none."""

    async def save_open_dataset(self, dataset: Dataset, *, now: datetime) -> None:
        """Write a data set, new or changed."""

    async def last_version(self, dataset: str) -> int:
        """Give the newest version of a data set, 0 for none."""

    async def find_release(self, dataset: str, version: int) -> Release | None:
        """Read a release and lock it."""

    async def release_by_request(self, request_id: str) -> Release | None:
        """Read the release that a request made."""

    async def add_release(self, release: Release, *, request_id: str) -> None:
        """Write a release."""

    async def save_withdrawal(self, release: Release) -> None:
        """Write that a release was taken back, and delete its bytes where no other release has the same."""

    async def keep_piece(self, sha256: str, place: int, content: bytes) -> None:
        """Keep a piece of a file by the file's digest; one that is there stays."""

    async def has_pieces(self, sizes: Mapping[str, int]) -> bool:
        """Tell whether every file, by its digest, has all its bytes."""

    async def drop_unpublished(self, digests: Sequence[str]) -> None:
        """Delete the pieces of files that no release has."""


class OpenRows(Protocol):
    """Rows of open data."""

    @property
    def ledger(self) -> Any:
        """The ledger beside them."""

    def transaction(self) -> AbstractAsyncContextManager[OpenTransaction]:
        """Open a transaction."""

    def digest(self, payload: bytes) -> str:
        """Give a keyed digest, for a leaf."""

    async def open_dataset(self, dataset: str) -> Dataset:
        """Read a data set. Raises OpenDatasetNotFound."""

    async def open_datasets(self, *, closed: bool, page_size: int, page_token: str) -> Page[Dataset]:
        """Give data sets by name."""

    async def made_by(self, request_id: str) -> Release | None:
        """Read the release that a request made."""

    async def release(self, dataset: str, version: int) -> Release:
        """Read a release. Raises ReleaseNotFound."""

    async def releases(self, dataset: str, *, page_size: int, page_token: str) -> Page[Release]:
        """Give releases, newest first."""

    def pieces(self, sha256: str, *, first: int, last: int) -> AsyncIterator[bytes]:
        """Give the pieces of a file from one place to another."""


@dataclass(frozen=True, slots=True)
class ProduceRelease:
    """Publish the next version, about the days from `period_start` to `period_end`."""

    request_id: str
    dataset: str
    period_start: str
    period_end: str


@dataclass(frozen=True, slots=True)
class WithdrawRelease:
    """Take a version back."""

    request_id: str
    dataset: str
    version: int
    reason: str


class OpenDataService:
    """Keeps the opening list and publishes."""

    def __init__(self, rows: OpenRows, producer: Producer, *, clock: Clock) -> None:
        self._rows = rows
        self._producer = producer
        self._clock = clock

    async def put(self, dataset: Dataset, source: Source | None, request_id: str, caller: Caller) -> Dataset:
        """Create or replace an entry; without a source the one before stays."""
        caller.must(RIGHT)
        async with self._rows.transaction() as tx:
            before = await tx.find_open_dataset(dataset.dataset)
            kept = source if source is not None else None if before is None else before.source
            if kept is None:
                raise RequestInvalid("Where from?", violations=[Violation("dataset.source", "A statement or a file.")])
            given = replace(dataset, source=kept)
            check_dataset(given, await tx.resource(given.resource))
            if before is not None and replace(given, revision=before.revision) == before:
                return before
            if not await tx.first_sight(request_id):
                raise RequestIdReused("This request id came before, with another request.")
            after = replace(given, revision=before.revision + 1 if before is not None else 1)
            await tx.save_open_dataset(after, now=self._clock())
        return after

    async def datasets(self, *, page_size: int, page_token: str, caller: Caller) -> Page[Dataset]:
        """Give data sets by name; only operators see closed ones."""
        caller.must(RIGHT_TO_READ)
        closed = caller.kind is CallerKind.OPERATOR
        return await self._rows.open_datasets(closed=closed, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def dataset(self, name: str, caller: Caller) -> Dataset:
        """Read one data set. Raises OpenDatasetNotFound."""
        caller.must(RIGHT_TO_READ)
        found = await self._rows.open_dataset(name)
        if not found.open and caller.kind is not CallerKind.OPERATOR:
            raise OpenDatasetNotFound("There is no such data set.")
        return found

    async def produce(self, command: ProduceRelease, caller: Caller) -> Release:
        """Publish the next version of a data set, or refuse and say why; either way there is a leaf."""
        caller.must(RIGHT)
        period = _period(command, self._clock())
        made = await self._rows.made_by(command.request_id)
        if made is not None:
            return _same(made, command)
        dataset = await self._rows.open_dataset(command.dataset)
        must_be_open(dataset)
        access = _access(dataset)
        try:
            async with self._producer.produced(dataset) as production:
                try:
                    await self._keep(production)
                    return await self._publish(command, dataset, period, production, access)
                finally:
                    await self._drop_unpublished(dataset, production)
        except Refusal as refusal:
            await self._rows.ledger.append(access._replace(outcome=refusal.reason))
            raise
        except Unavailable:
            await self._rows.ledger.append(access._replace(outcome="UNAVAILABLE"))
            raise

    async def withdraw(self, command: WithdrawRelease, caller: Caller) -> Release:
        """Take a version back. Raises ReleaseNotFound, ReleaseWithdrawn, RequestIdReused."""
        caller.must(RIGHT)
        async with self._rows.transaction() as tx:
            before = await tx.find_release(command.dataset, command.version)
            if before is None:
                raise ReleaseNotFound("The data set has no such release.")
            if not await tx.first_sight(command.request_id):
                if not before.withdrawn:
                    raise RequestIdReused("This request id came before, with another request.")
                return before
            after = withdraw(before, reason=command.reason, now=self._clock())
            dataset = await tx.find_open_dataset(command.dataset)
            assert dataset is not None, "a release has its data set"
            await tx.save_withdrawal(after)
            await tx.record(ReleaseTakenBack(after.dataset, after.version, dataset.resource))
            await tx.leaf(_access(dataset)._replace(operation="withdraw_release", outcome="withdrawn"))
        return after

    async def releases(self, name: str, *, page_size: int, page_token: str, caller: Caller) -> Page[Release]:
        """Give the versions of a data set, newest first."""
        await self.dataset(name, caller)
        return await self._rows.releases(name, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def release(self, name: str, version: int, caller: Caller) -> Release:
        """Read one version. Raises OpenDatasetNotFound, ReleaseNotFound."""
        await self.dataset(name, caller)
        return await self._rows.release(name, version)

    async def read(
        self, name: str, version: int, wanted: Format, *, offset: int, length: int, caller: Caller
    ) -> AsyncIterator[bytes]:
        """Give the bytes of a file from `offset` on, `length` of them (0: all), in pieces of at most 256 KiB.

        Raises ReleaseNotFound, ReleaseWithdrawn, RequestInvalid.
        """
        found = (await self.release(name, version, caller)).file(wanted)
        if offset > found.size:
            raise RequestInvalid("That is past the end.", violations=[Violation("offset", f"At most {found.size}.")])
        return self._part(found, offset, min(length or found.size, found.size - offset))

    async def _part(self, found: ReleaseFile, offset: int, length: int) -> AsyncIterator[bytes]:
        if not length:
            return
        first, skip = divmod(offset, PIECE_BYTES)
        left = length
        async for piece in self._rows.pieces(found.sha256, first=first, last=(offset + length - 1) // PIECE_BYTES):
            part = piece[skip : skip + left]
            skip, left = 0, left - len(part)
            yield part
        if left:
            raise Unavailable("The file is being withdrawn.")

    async def _keep(self, production: Production) -> None:
        """Keep the files by their digests, piece by piece: one large transaction would make everybody else wait."""
        for made in production.files:
            for place, piece in enumerate(made.pieces()):
                async with self._rows.transaction() as tx:
                    await tx.keep_piece(made.sha256, place, piece)

    async def _drop_unpublished(self, dataset: Dataset, production: Production) -> None:
        """Delete what was kept of files that no release came to have; where there is no database, it stays."""
        with suppress(Unavailable):
            async with self._rows.transaction() as tx:
                await tx.find_open_dataset(dataset.dataset)  # locked: nobody publishes the same bytes meanwhile
                await tx.drop_unpublished([each.sha256 for each in production.files])

    async def _publish(
        self,
        command: ProduceRelease,
        dataset: Dataset,
        period: tuple[date, date],
        production: Production,
        access: Access,
    ) -> Release:
        files = tuple(ReleaseFile(each.format, each.size, each.sha256) for each in production.files)
        digest = self._rows.digest(canonical({each.format.value: each.sha256 for each in files}))
        async with self._rows.transaction() as tx:
            now = await tx.find_open_dataset(dataset.dataset)
            if not await tx.first_sight(command.request_id):
                before = await tx.release_by_request(command.request_id)
                return _same(before, command)
            if not await tx.has_pieces({each.sha256: each.size for each in files}):
                raise Unavailable("Another production of the same bytes failed meanwhile.", retry_after_seconds=1)
            if now != dataset:
                raise DatasetChanged("The data set was changed meanwhile.", remedy="Produce the release again.")
            receipt = await tx.leaf(access._replace(outcome="published", digest=digest))
            release = Release(
                dataset=dataset.dataset,
                version=await tx.last_version(dataset.dataset) + 1,
                license=dataset.license,
                period_start=period[0],
                period_end=period[1],
                publish_time=self._clock(),
                rows=production.rows,
                k=production.k,
                diversity=production.diversity,
                suppressed=production.suppressed,
                rules=_rules(dataset, production),
                files=files,
                leaf_index=receipt.index,
                leaf_hash=receipt.leaf_hash.hex(),
            )
            await tx.add_release(release, request_id=command.request_id)
            await tx.record(ReleasePublished(release.dataset, release.version, dataset.resource))
        return release


class DatasetChanged(Refusal):
    """The rules are no longer those by which the release was made."""


def _access(dataset: Dataset) -> Access:
    """Begin the leaf of a production: no subject, since it is about everybody in the register."""
    return Access(
        operation="open_release",
        subject_id="",
        purpose=PURPOSE,
        basis=dataset.basis,
        fields=tuple(each.name for each in dataset.columns),
        resource=dataset.resource,
    )


def _rules(dataset: Dataset, production: Production) -> dict[str, object]:
    """What a reader needs to judge a release."""
    return {
        "about": dataset.about.value,
        "form": dataset.form.value,
        "k": dataset.k,
        "diversity": dataset.diversity,
        "suppress_percent_max": dataset.suppress_percent_max,
        "columns": [
            {"name": each.name, "role": each.role.value, "step": dict(production.steps[each.name])}
            for each in dataset.columns
        ],
        "revision": dataset.revision,
    }


def _period(command: ProduceRelease, now: datetime) -> tuple[date, date]:
    try:
        start, end = date.fromisoformat(command.period_start), date.fromisoformat(command.period_end)
    except ValueError:
        start, end = date.max, date.min
    if not start <= end <= now.date() or (end - start).days > PERIOD_DAYS_MAX:
        raise RequestInvalid(
            "The period can't be.", violations=[Violation("period_end", "YYYY-MM-DD, from start to today at most.")]
        )
    return start, end


def _same(made: Release | None, command: ProduceRelease) -> Release:
    asked = (command.dataset, command.period_start, command.period_end)
    if made is None or (made.dataset, made.period_start.isoformat(), made.period_end.isoformat()) != asked:
        raise RequestIdReused("This request id came before, with another request.")
    return made
