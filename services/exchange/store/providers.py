# SPDX-License-Identifier: Apache-2.0
"""Rows of providers: how answers may be treated, what is promised, maintenance, days as counted."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    delete,
    func,
    select,
    text,
)

from services.exchange.domain.providers import AnswerPolicy, Day, Maintenance, ServiceLevel
from services.exchange.domain.refusals import MaintenanceNotFound
from services.exchange.service.providers.ports import Changed, Probe
from services.exchange.store.rows import Row
from services.exchange.store.tables import metadata, resource
from services.kit.store import Store, Tx, UtcDateTime

answer_policy = Table(
    "answer_policy",
    metadata,
    Column("resource", String(64), ForeignKey("resource.code"), primary_key=True),
    Column("idempotent", Boolean, nullable=False),
    Column("cache_seconds", Integer, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Index("answer_policy_by_update", "update_time"),
)

service_level = Table(
    "service_level",
    metadata,
    Column("provider", String(18), primary_key=True),
    Column("availability_percent", Float, nullable=False),
    Column("latency_ms", Integer, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
)

maintenance = Table(
    "maintenance",
    metadata,
    Column("maintenance_id", String(36), primary_key=True),
    Column("provider", String(18), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("begin_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime, nullable=False),
    Column("grounds", String(500), nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Index("maintenance_by_provider", "provider", "end_time"),
    Index("maintenance_by_update", "update_time"),
)

provider_count = Table(
    "provider_count",
    metadata,
    Column("provider", String(18), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Index("provider_count_by_day", "day"),
)

provider_probe = Table(
    "provider_probe",
    metadata,
    Column("provider", String(18), primary_key=True),
    Column("probe_time", UtcDateTime, nullable=False),
    Column("healthy", Boolean, nullable=False),
)

Index("resource_by_provider", resource.c.provider, resource.c.code)

# From one provider to the next by the index: the catalogue has a hundred thousand resources, and few providers.
_PROVIDERS = text("""
WITH RECURSIVE found(code) AS (
  SELECT (SELECT min(provider) FROM resource WHERE provider > :after)
  UNION ALL
  SELECT (SELECT min(provider) FROM resource WHERE provider > found.code) FROM found WHERE found.code IS NOT NULL
)
SELECT code FROM found WHERE code IS NOT NULL LIMIT :most
""")


class ProviderRows(Tx):
    """What a transaction reads and writes of providers."""

    async def save_policy(self, policy: AnswerPolicy, *, now: datetime) -> None:
        """Insert or replace."""
        await self._replace(answer_policy, "resource", asdict(policy) | {"update_time": now})

    async def save_level(self, level: ServiceLevel, *, now: datetime) -> None:
        """Insert or replace."""
        await self._replace(service_level, "provider", asdict(level) | {"update_time": now})

    async def find_maintenance(self, maintenance_id: str) -> Maintenance | None:
        """Read and lock, None where there is none."""
        query = select(maintenance).where(maintenance.c.maintenance_id == maintenance_id).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        return None if row is None else _window(row)

    async def maintenance(self, maintenance_id: str) -> Maintenance:
        """Read and lock. Raises MaintenanceNotFound."""
        found = await self.find_maintenance(maintenance_id)
        if found is None:
            raise MaintenanceNotFound("There is no such maintenance.")
        return found

    async def save_maintenance(self, window: Maintenance, *, now: datetime) -> None:
        """Insert or replace."""
        await self._replace(maintenance, "maintenance_id", asdict(window) | {"update_time": now})

    async def windows_to_come(self, provider: str, *, now: datetime) -> int:
        """Count windows that are not over."""
        query = select(func.count()).where(
            maintenance.c.provider == provider, maintenance.c.end_time > now, maintenance.c.cancelled.is_(False)
        )
        return int(await self.connection.scalar(query) or 0)

    async def count(self, provider: str, day: date, counts: Mapping[str, int]) -> None:
        """Add to the counts of a day."""
        insert = self.insert(provider_count)
        await self.connection.execute(
            insert.on_conflict_do_update(
                index_elements=["provider", "day", "name"],
                set_={"calls": provider_count.c.calls + insert.excluded.calls},
            ),
            [{"provider": provider, "day": day, "name": name, "calls": counts[name]} for name in sorted(counts)],
        )

    async def save_probe(self, probe: Probe) -> None:
        """Insert or replace."""
        await self._replace(provider_probe, "provider", asdict(probe))

    async def drop_days(self, *, before: date) -> None:
        """Delete the counts of days before this one."""
        await self.connection.execute(delete(provider_count).where(provider_count.c.day < before))

    async def _replace(self, table: Table, key: str, row: dict[str, object]) -> None:
        insert = self.insert(table).values(row)
        changed = {name: insert.excluded[name] for name in row if name != key}
        await self.connection.execute(insert.on_conflict_do_update(index_elements=[key], set_=changed))


class ProviderReads(Store[ProviderRows]):
    """What is read of providers outside a change."""

    async def terms_since(self, moment: datetime | None, *, now: datetime) -> Changed:
        """Give policies and windows written since; for None every policy, and every window not over."""
        policies, windows = select(answer_policy), select(maintenance)
        if moment is None:
            windows = windows.where(maintenance.c.end_time > now, maintenance.c.cancelled.is_(False))
        else:
            policies = policies.where(answer_policy.c.update_time >= moment)
            windows = windows.where(maintenance.c.update_time >= moment, maintenance.c.end_time > now)
        async with self.reading() as connection:
            found = (await connection.execute(policies)).mappings().all()
            planned = (await connection.execute(windows)).mappings().all()
        return Changed(
            [AnswerPolicy(row["resource"], row["idempotent"], row["cache_seconds"]) for row in found],
            [_window(row) for row in planned],
        )

    async def provides(self, provider: str) -> bool:
        """Tell whether the catalogue has a resource of this provider."""
        async with self.reading() as connection:
            found = await connection.execute(select(resource.c.code).where(resource.c.provider == provider).limit(1))
        return found.first() is not None

    async def providers_after(self, provider: str, *, limit: int) -> Sequence[str]:
        """Give codes of providers of the catalogue, in order."""
        async with self.reading() as connection:
            found = await connection.execute(_PROVIDERS, {"after": provider, "most": limit})
        return tuple(found.scalars())

    async def levels(self, providers: Sequence[str]) -> Mapping[str, ServiceLevel]:
        """Give what providers promise."""
        async with self.reading() as connection:
            found = await connection.execute(select(service_level).where(service_level.c.provider.in_(providers)))
        return {
            row["provider"]: ServiceLevel(row["provider"], row["availability_percent"], row["latency_ms"])
            for row in found.mappings()
        }

    async def probes(self, providers: Sequence[str]) -> Mapping[str, Probe]:
        """Give the last look at providers."""
        async with self.reading() as connection:
            found = await connection.execute(select(provider_probe).where(provider_probe.c.provider.in_(providers)))
        return {row["provider"]: Probe(**row) for row in found.mappings()}

    async def days(self, providers: Sequence[str], *, since: date) -> Mapping[str, Sequence[Day]]:
        """Give the days of providers, newest first."""
        query = select(provider_count).where(provider_count.c.provider.in_(providers), provider_count.c.day >= since)
        counted: dict[str, dict[date, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        async with self.reading() as connection:
            for row in (await connection.execute(query)).mappings():
                counted[row["provider"]][row["day"]][row["name"]] = row["calls"]
        return {
            provider: tuple(Day(day, days[day]) for day in sorted(days, reverse=True))
            for provider, days in counted.items()
        }

    async def windows(self, providers: Sequence[str], *, now: datetime) -> Mapping[str, Sequence[Maintenance]]:
        """Give windows of providers that are on or to come, by their begin."""
        query = select(maintenance).where(
            maintenance.c.provider.in_(providers), maintenance.c.end_time > now, maintenance.c.cancelled.is_(False)
        )
        found: dict[str, list[Maintenance]] = defaultdict(list)
        async with self.reading() as connection:
            for row in (await connection.execute(query.order_by(maintenance.c.begin_time))).mappings():
                found[row["provider"]].append(_window(row))
        return found


def _window(row: Row) -> Maintenance:
    return Maintenance(
        maintenance_id=row["maintenance_id"],
        provider=row["provider"],
        resource=row["resource"],
        begin_time=row["begin_time"],
        end_time=row["end_time"],
        grounds=row["grounds"],
        cancelled=row["cancelled"],
    )
