# SPDX-License-Identifier: Apache-2.0
from importlib.metadata import distributions
from importlib.util import find_spec


def test_the_trace_exporter_can_be_imported() -> None:
    """grpcio-admin brings xds-protos, which overwrites modules that the exporter needs (grpc/grpc#42926)."""
    names = {str(each.metadata["Name"]).lower() for each in distributions()}
    assert not names & {"grpcio-admin", "grpcio-csds", "xds-protos"}
    assert find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    assert OTLPSpanExporter.__name__ == "OTLPSpanExporter"
