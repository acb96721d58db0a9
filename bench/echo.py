# SPDX-License-Identifier: Apache-2.0
"""The baseline: a bare grpc.aio server that answers every call with the same prepared message. No TLS, no control, nothing."""

import argparse

import grpc
import uvloop
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from tongban.exchange.v1 import exchange_service_pb2  # noqa: F401 - puts the contract into the pool

from bench.processes import say


async def serve(path: str, answer: bytes) -> None:
    """Serves until it is terminated; reads and writes the messages of the method, as any server must."""
    service, _, method = path.strip("/").rpartition("/")
    contract = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    asks, answers = (message_factory.GetMessageClass(each) for each in (contract.input_type, contract.output_type))
    response = answers.FromString(answer)

    async def handle(_request: Message, _context: object) -> Message:
        return response

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                service,
                {
                    method: grpc.unary_unary_rpc_method_handler(
                        handle,
                        request_deserializer=asks.FromString,
                        response_serializer=answers.SerializeToString,
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
    parser.add_argument("--method", required=True, help="/package.Service/Method")
    parser.add_argument("--answer", required=True, help="the response, hex")
    told = parser.parse_args()
    uvloop.run(serve(told.method, bytes.fromhex(told.answer)))
