# SPDX-License-Identifier: Apache-2.0
"""The catalogue through its public doors, on both profiles: found, changed, announced, demanded, written out."""

from tongban.exchange.v1 import catalogue_service_pb2 as entries
from tongban.exchange.v1 import changes_pb2, demands_pb2
from tongban.exchange.v1 import changes_service_pb2 as changes
from tongban.exchange.v1 import demands_service_pb2 as demands
from tongban.exchange.v1 import documents_service_pb2 as documents
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import metadata_pb2 as metadata
from tongban.exchange.v1 import search_service_pb2 as search

from services.kit.ids import new_id
from tests.support.exchange_city import HOUSEHOLD, OPERATOR, POLICE, City, city
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

METADATA = metadata.CoreMetadata(
    provider_name="市公安局",
    abstract_zh="常住人口登记",
    format=metadata.RESOURCE_FORMAT_DATABASE,
    sharing_methods=[metadata.SHARING_METHOD_INTERFACE],
    opening=metadata.OPENING_CLOSED,
    update_cycle=metadata.UPDATE_CYCLE_REAL_TIME,
    publish_date="2026-01-05",
)


async def stocked(town: City) -> None:
    """The register with its metadata, a grant on it, and agencies with their parts in this."""
    town.identity.rights[HOSPITAL] = (True, ("exchange.query", "exchange.read", "exchange.demand"))
    town.identity.rights[POLICE] = (True, ("exchange.provide", "exchange.read", "exchange.catalogue"))
    await town.stock()
    resource = town.household()
    resource.name_zh = "常住人口户籍"
    resource.metadata.CopyFrom(METADATA)
    for each in resource.fields:
        each.data_type = metadata.DATA_TYPE_TEXT
    await town.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=resource))


async def test_the_catalogue_works_through_its_doors(profile: Profile) -> None:
    async with city(profile) as town:
        await stocked(town)
        await found(town)
        await changed(town)
        await demanded(town)
        await written(town)


async def found(town: City) -> None:
    hits = (await town.call(HOSPITAL, "SearchResources", search.SearchResourcesRequest(words="户籍"))).hits
    assert [each.resource.code for each in hits] == [HOUSEHOLD]
    assert not hits[0].resource.adapter_settings.fields
    by_theme = search.SearchResourcesRequest(theme="307", sharing_class=nouns.SHARING_CLASS_CONDITIONAL)
    assert len((await town.call(HOSPITAL, "SearchResources", by_theme)).hits) == 1
    holders = await town.call(HOSPITAL, "FindHolders", search.FindHoldersRequest(fields=["address", "学历"]))
    assert [[each.resource for each in one.holders] for one in holders.fields] == [[HOUSEHOLD], []]
    measure = metadata.QualityMeasure(
        measure_date="2026-01-05", completeness=0.9, timeliness=1, accuracy=0.95, sample=10
    )
    request = entries.RecordQualityRequest(request_id=new_id(), code=HOUSEHOLD, measure=measure)
    await town.call(POLICE, "RecordQuality", request)
    read = await town.call(HOSPITAL, "GetResource", pb.GetResourceRequest(code=HOUSEHOLD))
    assert (read.quality[0].measured_by, read.resource.classification.group) == (POLICE, "07")
    assert read.resource.metadata == METADATA


async def changed(town: City) -> None:
    resource = (await town.call(POLICE, "GetResource", pb.GetResourceRequest(code=HOUSEHOLD))).resource
    narrower = nouns.Resource()
    narrower.CopyFrom(resource)
    del narrower.fields[:]
    narrower.fields.extend(each for each in resource.fields if each.name != "address")
    preview = await town.call(POLICE, "PreviewChange", changes.PreviewChangeRequest(resource=narrower))
    assert [(each.grantee, list(each.fields)) for each in preview.losses] == [(HOSPITAL, ["address"])]
    propose = changes.ProposeChangeRequest(request_id=new_id(), resource=narrower)
    change = (await town.call(POLICE, "ProposeChange", propose)).change
    review = changes.ReviewChangeRequest(request_id=new_id(), change_id=change.change_id, publish=True)
    scheduled = (await town.call(OPERATOR, "ReviewChange", review)).change
    assert scheduled.state == changes_pb2.CHANGE_STATE_SCHEDULED
    inbox = await town.call(HOSPITAL, "ListNotices", changes.ListNoticesRequest(open_only=True))
    notice = next(each for each in inbox.notices if each.change_id == change.change_id)
    assert (list(notice.lost_fields), notice.state) == (["address"], changes_pb2.NOTICE_STATE_ANNOUNCED)
    note = changes.AcknowledgeNoticeRequest(request_id=new_id(), change_id=change.change_id)
    assert (await town.call(HOSPITAL, "AcknowledgeNotice", note)).notice.HasField("acknowledge_time")
    withdraw = changes.WithdrawChangeRequest(request_id=new_id(), change_id=change.change_id)
    await town.call(POLICE, "WithdrawChange", withdraw)
    listed = await town.call(POLICE, "ListChanges", changes.ListChangesRequest())
    assert [each.state for each in listed.changes] == [changes_pb2.CHANGE_STATE_WITHDRAWN]
    one = await town.call(POLICE, "GetChange", changes.GetChangeRequest(change_id=change.change_id))
    assert one.change == listed.changes[0]
    versions = await town.call(HOSPITAL, "ListResourceVersions", entries.ListResourceVersionsRequest(code=HOUSEHOLD))
    assert [each.resource.revision for each in versions.versions] == [2, 1]
    assert versions.versions[0].changed_by == "operator"
    compare = entries.CompareResourceVersionsRequest(code=HOUSEHOLD, from_revision=1, to_revision=2)
    told = (await town.call(HOSPITAL, "CompareResourceVersions", compare)).differences
    assert ("name_zh", "资源", "常住人口户籍") in [(each.path, each.before, each.after) for each in told]
    earlier = await town.call(HOSPITAL, "GetResource", pb.GetResourceRequest(code=HOUSEHOLD, revision=1))
    assert earlier.resource.name_zh == "资源"


async def demanded(town: City) -> None:
    ask = demands.FileDemandRequest(
        request_id=new_id(),
        title="户籍地址",
        needs="户籍",
        fields=["address"],
        scene="birth",
        basis="Order 809 art. 19",
    )
    demand = (await town.call(HOSPITAL, "FileDemand", ask)).demand
    assert demand.HasField("due_time")
    assert demand.derivation_zh
    suggest = demands.SuggestResourcesRequest(demand_id=demand.demand_id)
    hits = (await town.call(HOSPITAL, "SuggestResources", suggest)).hits
    assert [each.resource.code for each in hits] == [HOUSEHOLD]

    async def go(who: str, verb: str, **said: str) -> "demands_pb2.DemandState.ValueType":
        request = getattr(demands, f"{verb}DemandRequest")
        asked = request(request_id=new_id(), demand_id=demand.demand_id, **said)
        state: demands_pb2.DemandState.ValueType = (await town.call(who, f"{verb}Demand", asked)).demand.state
        return state

    assert await go(OPERATOR, "Assign", provider=POLICE) == demands_pb2.DEMAND_STATE_ASSIGNED
    assert await go(POLICE, "Decline", reason="Later.") == demands_pb2.DEMAND_STATE_DECLINED
    assert await go(OPERATOR, "Assign", provider=POLICE) == demands_pb2.DEMAND_STATE_ASSIGNED
    assert await go(POLICE, "Accept", resource=HOUSEHOLD) == demands_pb2.DEMAND_STATE_ACCEPTED
    assert await go(HOSPITAL, "Fulfil") == demands_pb2.DEMAND_STATE_FULFILLED
    listed = await town.call(POLICE, "ListDemands", demands.ListDemandsRequest(providing=True))
    assert [each.demand_id for each in listed.demands] == [demand.demand_id]


async def written(town: City) -> None:
    export = documents.ExportCatalogueRequest(format=documents.DOCUMENT_FORMAT_XML)
    content = (await town.call(HOSPITAL, "ExportCatalogue", export)).content
    assert "常住人口户籍".encode() in content
    renamed = content.replace("常住人口户籍".encode(), "户籍信息".encode())
    bring = documents.ImportCatalogueRequest(request_id=new_id(), format=documents.DOCUMENT_FORMAT_XML, content=renamed)
    told = (await town.call(OPERATOR, "ImportCatalogue", bring)).entries
    assert [each.outcome for each in told] == [documents.IMPORT_OUTCOME_CHANGED]
    read = await town.call(OPERATOR, "GetResource", pb.GetResourceRequest(code=HOUSEHOLD))
    assert read.resource.name_zh == "户籍信息"
    assert read.resource.adapter == nouns.ADAPTER_KIND_SQL, "a document leaves how a provider is reached"
