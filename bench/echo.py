# SPDX-License-Identifier: Apache-2.0
"""The baseline: a bare grpc.aio server that answers every Query with the same prepared message. No TLS, no control, nothing."""

import argparse

import grpc
import uvloop
from tongban.exchange.v1 import exchange_service_pb2 as pb

from bench.processes import say

METHOD = "/tongban.exchange.v1.ExchangeService/Query"


async def serve(answer: bytes) -> None:
    """Serves until it is terminated."""
    response = pb.QueryResponse.FromString(answer)

    async def query(_request: pb.QueryRequest, _context: object) -> pb.QueryResponse:
        return response

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "tongban.exchange.v1.ExchangeService",
                {
                    "Query": grpc.unary_unary_rpc_method_handler(
                        query,
                        request_deserializer=pb.QueryRequest.FromString,
                        response_serializer=pb.QueryResponse.SerializeToString,
                    )
                },
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    say(port=port)
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--answer", required=True, help="the response, hex")
    uvloop.run(serve(bytes.fromhex(parser.parse_args().answer)))
