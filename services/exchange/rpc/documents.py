# SPDX-License-Identifier: Apache-2.0
"""DocumentService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import documents_service_pb2 as pb
from tongban.exchange.v1 import documents_service_pb2_grpc

from services.exchange.domain.document import DocumentFormat
from services.exchange.rpc.enums import Enum
from services.exchange.service.documents import DocumentService, Imported, Outcome
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]
FORMATS = Enum(pb.DocumentFormat, DocumentFormat, "DOCUMENT_FORMAT")
OUTCOMES = Enum(pb.ImportOutcome, Outcome, "IMPORT_OUTCOME")


class DocumentRpc(documents_service_pb2_grpc.DocumentServiceServicer):
    """Writes and reads the catalogue as documents."""

    def __init__(self, service: DocumentService) -> None:
        self._service = service

    async def ExportCatalogue(self, request: pb.ExportCatalogueRequest, context: Context) -> pb.ExportCatalogueResponse:
        """Write entries as a document."""
        content, token = await self._service.write(
            FORMATS.read(request.format, "format"),
            codes=tuple(request.codes),
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ExportCatalogueResponse(content=content, next_page_token=token)

    async def ImportCatalogue(self, request: pb.ImportCatalogueRequest, context: Context) -> pb.ImportCatalogueResponse:
        """Take the entries of a document in."""
        told = await self._service.read(
            request.request_id, FORMATS.read(request.format, "format"), request.content, current_caller()
        )
        return pb.ImportCatalogueResponse(entries=[_entry_to(each) for each in told])


def _entry_to(entry: Imported) -> pb.ImportedEntry:
    return pb.ImportedEntry(
        code=entry.code,
        outcome=OUTCOMES.write(entry.outcome),
        change_id=entry.change_id,
        reason=entry.reason,
        faults=[pb.ImportFault(field=each.field, description=each.description) for each in entry.faults],
    )
