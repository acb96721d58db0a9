# SPDX-License-Identifier: Apache-2.0
"""The catalogue of open data against the shapes that SEMIC published for DCAT-AP 3.0.1."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pyshacl
import pytest
from rdflib import DCAT, DCTERMS, RDF, SH, Graph, Literal, URIRef

from services.exchange.adapters.opendata.dcat import DcatWriter
from services.exchange.domain.metadata import Opening, UpdateCycle
from services.exchange.domain.opendata.dataset import License, Theme
from services.exchange.domain.opendata.release import Format, Release, ReleaseFile
from services.exchange.service.opencatalogue import CatalogueFormat, Entry
from tests.support.opendata import dataset, people
from tests.support.vectors import vectors

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
BASE = "https://open.example.org"


def release(version: int) -> Release:
    return Release(
        dataset="people-by-month",
        version=version,
        license=License.CC_BY_4,
        period_start=date(2026, 1, 1),
        period_end=date(2026, 6, 30),
        publish_time=NOW.replace(day=version),
        rows=12,
        k=7,
        diversity=1,
        suppressed=5,
        rules={},
        files=tuple(ReleaseFile(each, 100, f"{version:064x}") for each in Format),
        leaf_index=version,
        leaf_hash="ab" * 32,
    )


def entries() -> list[Entry]:
    """Two versions, one without any, and every word that a data set may have."""
    made = [Entry(dataset(), people(), "公安局", [release(2), release(1)])]
    made.append(Entry(dataset(dataset="nothing-yet", keywords=()), people(), "119901", []))
    for index, theme in enumerate(Theme):
        cycle, license_ = list(UpdateCycle)[index % len(UpdateCycle)], list(License)[index % len(License)]
        opening = Opening.CONDITIONAL if index % 2 else Opening.UNCONDITIONAL
        given = dataset(dataset=f"no-{index}", theme=theme, cycle=cycle, license=license_, opening=opening)
        made.append(Entry(given, people(), "公安局", [replace(release(1), dataset=f"no-{index}", license=license_)]))
    return made


def written(notation: CatalogueFormat, given: list[Entry] | None = None) -> Graph:
    content = DcatWriter(BASE).write(entries() if given is None else given, NOW, notation)
    return Graph().parse(data=content, format="turtle" if notation is CatalogueFormat.TURTLE else "json-ld")


@pytest.mark.parametrize(
    "shapes",
    [
        "shapes.ttl",
        "range.ttl",
        "mdr-vocabularies.shape.ttl",
        "deprecateduris.ttl",
        "shapes_recommended.ttl",
        "dcat-ap-SHACL.ttl",
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_the_published_shapes_find_no_violation(shapes: str, empty: bool) -> None:
    graph = written(CatalogueFormat.TURTLE, [] if empty else None)
    rules = Graph().parse(vectors("dcat-ap-3.0.1") / shapes, format="turtle")
    for shape in set(rules.objects(None, SH.property)) - set(rules.subjects(SH.path)):
        rules.remove(
            (None, SH.property, shape)
        )  # Published without a path, which SHACL does not know: nothing to check.
    conforms, report, text = pyshacl.validate(graph, shacl_graph=rules, allow_warnings=True, advanced=True)
    assert isinstance(report, Graph)
    assert conforms, text


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # rdflib's own reader of JSON-LD uses it.
def test_both_notations_say_the_same() -> None:
    turtle, json_ld = written(CatalogueFormat.TURTLE), written(CatalogueFormat.JSON_LD)
    assert turtle.isomorphic(json_ld)


def test_every_word_of_the_catalogue_guide_has_its_place() -> None:
    graph = written(CatalogueFormat.TURTLE)
    node = URIRef(f"{BASE}/api/v1/opendata/datasets/people-by-month")
    assert (node, RDF.type, DCAT.Dataset) in graph
    assert (node, DCTERMS.identifier, Literal("307009/000001#people-by-month")) in graph
    assert (node, DCTERMS.title, Literal("按月统计", lang="zh")) in graph
    addresses = {str(each) for each in graph.objects(None, DCAT.downloadURL)}
    assert f"{BASE}/api/v1/opendata/datasets/people-by-month/releases/2/data.csv" in addresses
    assert len(list(graph.objects(node, DCAT.distribution))) == 6
