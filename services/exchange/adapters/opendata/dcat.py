# SPDX-License-Identifier: Apache-2.0
"""Writes the catalogue of open data by DCAT-AP 3.0.1 (SEMIC), with the published shapes as its test.

Words of the catalogue guide of 2017 in DCAT: name dct:title, abstract dct:description, code dct:identifier, provider
dct:publisher, classification dcat:theme, format dct:format, cycle dct:accrualPeriodicity, date dct:issued, opening
dct:accessRights, items dct:conformsTo, relation dct:relation, interface dcat:DataService.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from services.exchange.domain.metadata import Opening, UpdateCycle
from services.exchange.domain.opendata.dataset import Dataset, License
from services.exchange.domain.opendata.release import MEDIA_TYPES, Format, Release, ReleaseFile
from services.exchange.service.opencatalogue import CatalogueFormat, Entry

if TYPE_CHECKING:
    from rdflib import Graph

ROOT: Final = "/api/v1/opendata"
_AUTHORITY: Final = "http://publications.europa.eu/resource/authority"
_LICENSES: Final = {
    License.CC_BY_4: (f"{_AUTHORITY}/licence/CC_BY_4_0", "Attribution"),
    License.CC0: (f"{_AUTHORITY}/licence/CC0", "PublicDomain"),
}
_CYCLES: Final = {
    UpdateCycle.REAL_TIME: "UPDATE_CONT",
    UpdateCycle.DAILY: "DAILY",
    UpdateCycle.WEEKLY: "WEEKLY",
    UpdateCycle.MONTHLY: "MONTHLY",
    UpdateCycle.QUARTERLY: "QUARTERLY",
    UpdateCycle.YEARLY: "ANNUAL",
    UpdateCycle.IRREGULAR: "IRREG",
}
_RIGHTS: Final = {Opening.UNCONDITIONAL: "PUBLIC", Opening.CONDITIONAL: "RESTRICTED"}
_CHINA: Final = "CHN"
_SERIALIZED: Final = {CatalogueFormat.TURTLE: "turtle", CatalogueFormat.JSON_LD: "json-ld"}
_SHA256: Final = "https://spdx.org/rdf/terms#checksumAlgorithm_sha256"


class DcatWriter:
    """Writes for one public address; rdflib is loaded with the first catalogue that somebody asks for."""

    def __init__(self, base: str, *, owner: tuple[str, str] = ("通办开放数据", "Tongban open data")) -> None:
        self._base = base.rstrip("/")
        self._owner = owner

    def write(self, entries: Sequence[Entry], now: datetime, notation: CatalogueFormat) -> bytes:
        """Write the catalogue."""
        made = _Catalogue(self._base, self._owner)
        made.describe(entries, now)
        return bytes(made.graph.serialize(format=_SERIALIZED[notation], encoding="utf-8"))


class _Catalogue:
    """One graph under construction."""

    def __init__(self, base: str, owner: tuple[str, str]) -> None:
        import rdflib  # noqa: PLC0415 - 20 MB that only this needs
        from rdflib import namespace  # noqa: PLC0415 - the same

        self._rdf = rdflib
        self._ns: Any = namespace
        self._spdx = rdflib.Namespace("http://spdx.org/rdf/terms#")
        self._adms = rdflib.Namespace("http://www.w3.org/ns/adms#")
        self._dcatap = rdflib.Namespace("http://data.europa.eu/r5r/")
        self._vcard = rdflib.Namespace("http://www.w3.org/2006/vcard/ns#")
        self.graph: Graph = rdflib.Graph(bind_namespaces="none")
        for prefix, known in {
            "dcat": namespace.DCAT, "dct": namespace.DCTERMS, "foaf": namespace.FOAF, "skos": namespace.SKOS,
            "xsd": namespace.XSD, "spdx": self._spdx, "adms": self._adms, "dcatap": self._dcatap, "vcard": self._vcard,
            "rdfs": namespace.RDFS,
        }.items():  # fmt: skip
            self.graph.bind(prefix, known)
        self._base = base
        self._owner = owner

    def describe(self, entries: Sequence[Entry], now: datetime) -> None:
        """Describe the catalogue, its service and every data set."""
        dcat, dct, foaf = self._ns.DCAT, self._ns.DCTERMS, self._ns.FOAF
        catalogue, service = self._iri("/catalog"), self._iri("/service")
        owner = self._agent("", *self._owner)
        moments = [release.publish_time for each in entries for release in each.releases]
        self._add(catalogue, self._ns.RDF.type, [dcat.Catalog])
        self._words(catalogue, dct.title, *self._owner)
        self._words(catalogue, dct.description, "本节点向社会开放的数据集。", "What this node opens to everybody.")
        self._add(catalogue, dct.publisher, [owner])
        self._add(catalogue, dct.language, self._languages())
        self._add(catalogue, dct.license, [self._license(License.CC_BY_4)])
        self._add(catalogue, dct.issued, [self._moment(min(moments, default=now))])
        self._add(catalogue, dct.modified, [self._moment(max(moments, default=now))])
        self._add(
            catalogue, dct.spatial, [self._concept("country", _CHINA, "中国", "China", self._ns.DCTERMS.Location)]
        )
        self._add(catalogue, foaf.homepage, [self._page(self._base + "/docs")])
        self._add(catalogue, dcat.themeTaxonomy, [self._themes()])
        self._add(catalogue, dcat.service, [service])
        self._service(service, owner, entries)
        for each in entries:
            self._add(catalogue, dcat.dataset, [self._dataset(each)])

    def _service(self, service: Any, owner: Any, entries: Sequence[Entry]) -> None:
        dcat, dct = self._ns.DCAT, self._ns.DCTERMS
        self._add(service, self._ns.RDF.type, [dcat.DataService])
        self._words(service, dct.title, "开放数据接口", "Open data interface")
        self._words(service, dct.description, "无需账号。", "Without an account; rate limited.")
        self._add(service, dcat.endpointURL, [self._resource(self._base + ROOT)])
        self._add(service, dcat.endpointDescription, [self._resource(self._base + "/openapi.json")])
        self._add(service, dct.publisher, [owner])
        self._add(service, dct.accessRights, [self._rights(Opening.UNCONDITIONAL)])
        self._add(service, dct.license, [self._license(License.CC_BY_4)])
        self._add(service, dcat.contactPoint, [self._contact(*self._owner)])
        self._add(service, dcat.servesDataset, [self._iri(f"/datasets/{each.dataset.dataset}") for each in entries])

    def _dataset(self, entry: Entry) -> Any:
        dcat, dct, dataset = self._ns.DCAT, self._ns.DCTERMS, entry.dataset
        node = self._iri(f"/datasets/{dataset.dataset}")
        self._add(node, self._ns.RDF.type, [dcat.Dataset])
        self._words(node, dct.title, dataset.title_zh, dataset.title_en)
        self._words(node, dct.description, dataset.description_zh, dataset.description_en)
        self._add(node, dct.identifier, [self._rdf.Literal(f"{dataset.resource}#{dataset.dataset}")])
        self._add(node, dcat.keyword, [self._rdf.Literal(each) for each in dataset.keywords])
        self._add(node, dcat.theme, [self._theme(dataset)])
        self._add(node, dct.publisher, [self._agent(entry.resource.provider, entry.publisher, entry.publisher)])
        self._add(node, dcat.contactPoint, [self._contact(entry.publisher, entry.publisher)])
        self._add(node, dct.accessRights, [self._rights(dataset.opening)])
        self._add(node, dct.accrualPeriodicity, [self._frequency(dataset)])
        self._add(node, dct.language, self._languages())
        self._add(node, dct.spatial, [self._concept("country", _CHINA, "中国", "China", self._ns.DCTERMS.Location)])
        self._add(node, dcat.landingPage, [self._page(str(node))])
        self._add(node, dct.conformsTo, [self._schema(dataset)])
        self._add(node, dct.provenance, [self._provenance(entry)])
        for release in entry.releases:
            self._add(node, dct.temporal, [self._period(release)])
            for each in release.files:
                self._add(node, dcat.distribution, [self._distribution(dataset, release, each)])
        if entry.releases:
            newest = entry.releases[0]
            self._add(node, self._rdf.URIRef(str(dcat) + "version"), [self._rdf.Literal(str(newest.version))])
            self._add(node, dct.issued, [self._moment(entry.releases[-1].publish_time)])
            self._add(node, dct.modified, [self._moment(newest.publish_time)])
        return node

    def _distribution(self, dataset: Dataset, release: Release, each: ReleaseFile) -> Any:
        dcat, dct, literal, xsd = self._ns.DCAT, self._ns.DCTERMS, self._rdf.Literal, self._ns.XSD
        path = f"/datasets/{dataset.dataset}/releases/{release.version}/data.{each.format.value}"
        node = self._iri(path + "#distribution")
        address = self._resource(self._base + ROOT + path)
        self._add(node, self._ns.RDF.type, [dcat.Distribution])
        name = f"{release.version} · {each.format.value.upper()}"
        self._words(node, dct.title, f"{dataset.title_zh} {name}", f"{dataset.title_en} {name}")
        told = f"k = {release.k}, l = {release.diversity}"
        self._words(node, dct.description, f"{release.rows} 行，{told}", f"{release.rows} rows, {told}")
        self._add(node, dcat.accessURL, [address])
        self._add(node, dcat.downloadURL, [address])
        self._add(node, dcat.mediaType, [self._media_type(each.format)])
        self._add(node, dct["format"], [self._file_type(each.format.value.upper())])
        self._add(node, dcat.byteSize, [literal(each.size, datatype=xsd.nonNegativeInteger)])
        self._add(node, dct.license, [self._license(release.license)])
        self._add(node, dct.issued, [self._moment(release.publish_time)])
        self._add(node, dct.language, self._languages())
        self._add(
            node, self._dcatap.availability, [self._concept("planned-availability", "AVAILABLE", "可用", "Available")]
        )
        self._add(node, self._spdx.checksum, [self._checksum(each)])
        return node

    # ---- small things -----------------------------------------------------------------------------------------------

    def _iri(self, path: str) -> Any:
        return self._rdf.URIRef(self._base + ROOT + path)

    def _add(self, subject: Any, predicate: Any, values: Iterable[Any]) -> None:
        for value in values:
            self.graph.add((subject, predicate, value))

    def _words(self, subject: Any, predicate: Any, chinese: str, english: str) -> None:
        literal = self._rdf.Literal
        self._add(subject, predicate, [literal(chinese, lang="zh"), literal(english, lang="en")])

    def _moment(self, moment: datetime) -> Any:
        return self._rdf.Literal(moment.isoformat(timespec="seconds"), datatype=self._ns.XSD.dateTime)

    def _resource(self, address: str) -> Any:
        node = self._rdf.URIRef(address)
        self._add(node, self._ns.RDF.type, [self._ns.RDFS.Resource])
        return node

    def _page(self, address: str) -> Any:
        node = self._rdf.URIRef(address)
        self._add(node, self._ns.RDF.type, [self._ns.FOAF.Document])
        return node

    def _concept(self, scheme: str, code: str, chinese: str, english: str, also: Any = None) -> Any:
        """Name a concept of the EU's lists, and say enough of it to be checked without asking them."""
        skos = self._ns.SKOS
        node, lists = self._rdf.URIRef(f"{_AUTHORITY}/{scheme}/{code}"), self._rdf.URIRef(f"{_AUTHORITY}/{scheme}")
        self._add(node, self._ns.RDF.type, [skos.Concept, *([] if also is None else [also])])
        self._add(node, skos.inScheme, [lists])
        self._words(node, skos.prefLabel, chinese, english)
        return node

    def _languages(self) -> list[Any]:
        linguistic = self._ns.DCTERMS.LinguisticSystem
        return [
            self._concept("language", "ZHO", "中文", "Chinese", linguistic),
            self._concept("language", "ENG", "英文", "English", linguistic),
        ]

    def _themes(self) -> Any:
        node = self._rdf.URIRef(f"{_AUTHORITY}/data-theme")
        self._add(node, self._ns.RDF.type, [self._ns.SKOS.ConceptScheme])
        self._words(node, self._ns.DCTERMS.title, "数据主题", "Data theme")
        return node

    def _theme(self, dataset: Dataset) -> Any:
        code = dataset.theme.value.upper()
        return self._concept("data-theme", code, code, code)

    def _frequency(self, dataset: Dataset) -> Any:
        code = _CYCLES[dataset.cycle]
        return self._concept("frequency", code, code, code, self._ns.DCTERMS.Frequency)

    def _file_type(self, code: str) -> Any:
        return self._concept("file-type", code, code, code, self._ns.DCTERMS.MediaTypeOrExtent)

    def _rights(self, opening: Opening) -> Any:
        code = _RIGHTS[opening]
        return self._concept("access-right", code, code, code, self._ns.DCTERMS.RightsStatement)

    def _license(self, license: License) -> Any:
        dct, skos = self._ns.DCTERMS, self._ns.SKOS
        address, kind = _LICENSES[license]
        node = self._rdf.URIRef(address)
        self._add(node, self._ns.RDF.type, [dct.LicenseDocument])
        scheme = "http://purl.org/adms/licencetype/"
        concept = self._rdf.URIRef(scheme + kind)
        self._add(concept, self._ns.RDF.type, [skos.Concept])
        self._add(concept, skos.inScheme, [self._rdf.URIRef(scheme + "1.0")])
        self._words(concept, skos.prefLabel, kind, kind)
        self._add(node, dct.type, [concept])
        return node

    def _agent(self, uscc: str, chinese: str, english: str) -> Any:
        node = self._iri(f"/agencies/{uscc}" if uscc else "/owner")
        self._add(node, self._ns.RDF.type, [self._ns.FOAF.Agent])
        names = [(chinese, "zh")] if chinese == english else [(chinese, "zh"), (english, "en")]
        self._add(node, self._ns.FOAF.name, [self._rdf.Literal(name, lang=lang) for name, lang in names])
        return node

    def _contact(self, chinese: str, english: str) -> Any:
        node = self._rdf.BNode()
        self._add(node, self._ns.RDF.type, [self._vcard.Organization, self._vcard.Kind])
        self._add(
            node, self._vcard.fn, [self._rdf.Literal(chinese if chinese == english else f"{chinese} · {english}")]
        )
        return node

    def _media_type(self, form: Format) -> Any:
        name = MEDIA_TYPES[form].partition(";")[0]
        node = self._rdf.URIRef(f"https://www.iana.org/assignments/media-types/{name}")
        self._add(node, self._ns.RDF.type, [self._ns.DCTERMS.MediaType])
        return node

    def _checksum(self, each: ReleaseFile) -> Any:
        node, algorithm = self._rdf.BNode(), self._rdf.URIRef(_SHA256)
        self._add(algorithm, self._ns.RDF.type, [self._spdx.ChecksumAlgorithm])
        self._add(node, self._ns.RDF.type, [self._spdx.Checksum])
        self._add(node, self._spdx.algorithm, [algorithm])
        value = self._rdf.Literal(each.sha256, datatype=self._ns.XSD.hexBinary)
        self._add(node, self._spdx.checksumValue, [value])
        return node

    def _period(self, release: Release) -> Any:
        node, dcat = self._rdf.BNode(), self._ns.DCAT
        self._add(node, self._ns.RDF.type, [self._ns.DCTERMS.PeriodOfTime])
        ends: Mapping[Any, Any] = {dcat.startDate: release.period_start, dcat.endDate: release.period_end}
        for predicate, day in ends.items():
            self._add(node, predicate, [self._rdf.Literal(day.isoformat(), datatype=self._ns.XSD.date)])
        return node

    def _schema(self, dataset: Dataset) -> Any:
        node = self._iri(f"/datasets/{dataset.dataset}#columns")
        self._add(node, self._ns.RDF.type, [self._ns.DCTERMS.Standard])
        names = "; ".join(f"{each.name}: {each.label_zh} {each.label_en}" for each in dataset.columns)
        self._add(node, self._ns.DCTERMS.title, [self._rdf.Literal(names)])
        return node

    def _provenance(self, entry: Entry) -> Any:
        node, dataset = self._rdf.BNode(), entry.dataset
        self._add(node, self._ns.RDF.type, [self._ns.DCTERMS.ProvenanceStatement])
        told = f"{dataset.resource}; {dataset.basis}; k >= {dataset.k}, l >= {dataset.diversity}"
        leaves = ", ".join(f"{each.version}: {each.leaf_index}" for each in entry.releases)
        self._add(node, self._ns.RDFS.label, [self._rdf.Literal(f"{told}; leaves {leaves}" if leaves else told)])
        return node
