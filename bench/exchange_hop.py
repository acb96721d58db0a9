# SPDX-License-Identifier: Apache-2.0
"""What a peer's hop costs without any control: nginx with mutual TLS before the bare echo, beside the echo alone.

Needs Debian's `nginx-light`. The same call with every control is `exchange_query`: the difference between the two ratios is what the controls cost.
"""

import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.brokered import Side, alternate, echoing, loading, once, plan, query, result
from bench.processes import cores, program
from bench.result import Result
from bench.world import free_port, world

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream echo {{ server {echo}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} ssl http2; keepalive_requests 100000000; http2_max_concurrent_streams 1024;
    ssl_certificate {pki}/services/exchange/tls.crt; ssl_certificate_key {pki}/services/exchange/tls.key;
    ssl_client_certificate {pki}/ca.crt; ssl_verify_client on; ssl_verify_depth 3;
    location / {{ grpc_pass grpc://echo; }}
  }}
}}
"""


async def run() -> Result:
    """Measures and gives the figures."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise RuntimeError("This benchmark needs nginx: install Debian's nginx-light.")
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(world(folder))
            call = query(place)
            bare = await stack.enter_async_context(echoing(call, await once(place, call)))
            port = free_port()
            file = folder / "nginx.conf"
            file.write_text(CONFIGURATION.format(folder=folder, echo=bare.target, port=port, pki=place.pki))
            hop = await stack.enter_async_context(program(nginx, "-c", str(file), "-p", str(folder), core=cores()[0]))
            target = f"127.0.0.1:{port}"
            loader = await stack.enter_async_context(loading(plan(place, call, target=target), core=cores()[-1]))
            base, whole = await alternate(bare, Side(loader, (hop, *bare.servers), target))
    return result("exchange_hop", whole, base, "the same bare echo without the hop, same core")
