# SPDX-License-Identifier: Apache-2.0
"""Anybody reads what the city opens, through the public door alone."""

import asyncio
import csv
import hashlib
import io

import httpx
import pyarrow.parquet
from rdflib import DCAT, Graph

from tests.support.system import System

ROOT = "/api/v1/opendata"
DATASETS = {"births-by-month", "registered-firms", "residents-by-street"}
PATIENCE_SECONDS = 60


async def published(client: httpx.AsyncClient, name: str) -> dict[str, object]:
    """The newest release; the city publishes its first ones after it has moved in."""
    for _ in range(PATIENCE_SECONDS):
        response = await client.get(f"{ROOT}/datasets/{name}/releases")
        if response.status_code == 200 and response.json()["releases"]:
            release: dict[str, object] = response.json()["releases"][0]
            return release
        await asyncio.sleep(1)
    raise AssertionError(f"{name} was not published.")


async def test_anybody_reads_what_the_city_opens(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.url, timeout=30) as client:
        releases = {name: await published(client, name) for name in DATASETS}
        listed = (await client.get(f"{ROOT}/datasets")).json()["datasets"]
        assert {each["dataset"] for each in listed} >= DATASETS
        for name, release in releases.items():
            files = {each["format"]: each for each in release["files"]}  # type: ignore[attr-defined] # a list of files
            contents = {form: (await client.get(each["href"])).content for form, each in files.items()}
            for form, content in contents.items():
                assert hashlib.sha256(content).hexdigest() == files[form]["sha256"]
            rows = list(csv.DictReader(io.StringIO(contents["csv"].decode())))
            assert pyarrow.parquet.read_table(io.BytesIO(contents["parquet"])).num_rows == len(rows) == release["rows"]
            if name != "registered-firms":
                assert min(int(row["count"]) for row in rows) >= 5
        catalogue = Graph().parse(data=(await client.get(f"{ROOT}/catalog.ttl")).content, format="turtle")
        for address in catalogue.objects(None, DCAT.downloadURL):
            part = await client.get(str(address), headers={"range": "bytes=0-9"})
            assert (part.status_code, len(part.content)) == (206, 10)
