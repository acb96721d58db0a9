# SPDX-License-Identifier: Apache-2.0
"""What a person sets wrongly is told in one sentence that names it."""

import os
import socket
from pathlib import Path

import pytest

from sandbox.settings import Settings
from services.cli.folder import Folder
from services.cli.options import Options, Profile
from services.cli.ports import ROW, Ports
from services.cli.wiring import Wiring, embedded_stores, environment
from services.kit.errors import StartupError


def test_without_variables_everything_is_on_loopback() -> None:
    options = Options.read({})
    assert (options.host, options.http_port, options.grpc_port) == ("127.0.0.1", 8080, 50051)
    assert options.data == Path("var").absolute()
    assert not options.sandbox


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TONGBAN_HTTP_PORT", "0"),
        ("TONGBAN_HTTP_PORT", "65536"),
        ("TONGBAN_HTTP_PORT", "８０８０"),
        ("TONGBAN_HTTP_PORT", "eighty"),
        ("TONGBAN_GRPC_PORT", "65531"),
        ("TONGBAN_SANDBOX", "maybe"),
        ("TONGBAN_PEOPLE", "11"),
        ("TONGBAN_LOG_LEVEL", "loud"),
        ("TONGBAN_SAMPLE_RATIO", "1.1"),
        ("TONGBAN_SAMPLE_RATIO", "nan"),
    ],
)
def test_a_malformed_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(StartupError, match=name):
        Options.read({name: value})


@pytest.mark.parametrize(("name", "value"), [("TONGBAN_HTTP_PORT", "65535"), ("TONGBAN_GRPC_PORT", "65530")])
def test_the_last_port_that_fits_is_taken(name: str, value: str) -> None:
    Options.read({name: value})


def wiring(tmp_path: Path, **variables: str) -> Wiring:
    options = Options.read({"TONGBAN_DATA": str(tmp_path), "TONGBAN_SANDBOX": "1", **variables})
    folder = Folder.of(options.data, Profile.EMBEDDED)
    ports = Ports(options.host, options.http_port, options.grpc_port)
    return Wiring(options, Profile.EMBEDDED, folder, ports, embedded_stores(folder))


def test_any_setting_of_one_service_can_be_told(tmp_path: Path) -> None:
    told = wiring(tmp_path, TONGBAN_GATEWAY_LEASE_SECONDS="7")
    assert told.settings("gateway").model_dump()["lease_seconds"] == 7
    with pytest.raises(StartupError, match="TONGBAN_GATEWAY_LEASE_SECOND is not a setting of the gateway service"):
        wiring(tmp_path, TONGBAN_GATEWAY_LEASE_SECOND="7").settings("gateway")
    with pytest.raises(StartupError, match="TONGBAN_GATEWAY_HTTP_PORT can't be told"):
        wiring(tmp_path, TONGBAN_GATEWAY_HTTP_PORT="9000").settings("gateway")
    with pytest.raises(StartupError, match="TONGBAN_EXCHANGE_RPC_IN_FLIGHT_MAX is malformed"):
        wiring(tmp_path, TONGBAN_EXCHANGE_RPC_IN_FLIGHT_MAX="none").settings("exchange")


def test_the_few_residents_of_the_sandbox_may_submit_more_than_a_real_one(tmp_path: Path) -> None:
    city = wiring(tmp_path).settings("gateway").model_dump()
    assert (city["open_cases_max"], city["submissions_per_day"]) == (100, 1000)
    told = wiring(tmp_path, TONGBAN_GATEWAY_OPEN_CASES_MAX="3").settings("gateway").model_dump()
    assert (told["open_cases_max"], told["submissions_per_day"]) == (3, 1000)
    real = wiring(tmp_path, TONGBAN_SANDBOX="0", TONGBAN_AGENCIES="agencies.yaml").settings("gateway").model_dump()
    assert (real["open_cases_max"], real["submissions_per_day"]) == (5, 20)


def test_every_process_shows_the_token_that_the_receiver_of_traces_asks_for(tmp_path: Path) -> None:
    made, another = wiring(tmp_path), wiring(tmp_path)
    asked = made.settings("gateway").model_dump()["traces_token"]
    assert len(asked) >= 43
    assert asked != another.traces_token
    for shown in (made, wiring(tmp_path, TONGBAN_GATEWAY_TRACES_TOKEN="told")):
        asked = shown.settings("gateway").model_dump()["traces_token"]
        settings = [shown.settings(service) for service in ("identity", "licenses", "exchange", "gateway")]
        assert {each.otlp_token for each in settings} == {asked}
        assert Settings.load(shown.city().environment).otlp_token == asked
        assert not any(asked in repr(each) for each in (shown, *settings, Settings.load(shown.city().environment)))


def test_the_row_of_ports_is_that_of_the_readme(tmp_path: Path) -> None:
    ports = wiring(tmp_path).ports
    assert [ports.grpc_of(name) for name in ROW] == [50051, 50052, 50053, 50054, 50055, 50056]


def test_a_process_reads_back_the_settings_that_it_is_given(tmp_path: Path) -> None:
    for service in ("identity", "licenses", "exchange", "gateway"):
        settings = wiring(tmp_path).settings(service)
        assert type(settings).load(service, environment(service, settings)) == settings


def test_the_departments_read_back_the_settings_that_they_are_given(tmp_path: Path) -> None:
    given = wiring(tmp_path).city().environment
    assert Settings.load(given).environment() == given
    with pytest.raises(StartupError, match="SANDBOX_PEOPLES"):
        Settings.load({**given, "SANDBOX_PEOPLES": "1"})
    with pytest.raises(StartupError, match="SANDBOX_REST_PORT"):
        Settings.load({**given, "SANDBOX_REST_PORT": "x"})


def test_without_the_sandbox_the_agencies_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="TONGBAN_AGENCIES"):
        _ = wiring(tmp_path, TONGBAN_SANDBOX="0").agencies


def test_only_one_instance_uses_a_folder(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.in_use():
        assert folder.holder == os.getpid()
        with pytest.raises(StartupError, match=f"process {os.getpid()}"), folder.in_use():
            pass
    assert folder.holder is None


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(StartupError, match="can't be written"), Folder(in_the_way / "data").in_use():
        pass


def test_the_table_of_processes_is_read_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.known_processes() == {}
    folder.tell_processes({"departments": 7})
    assert folder.known_processes() == {"departments": 7}


@pytest.mark.enable_socket
def test_a_port_in_use_is_named_with_the_variable_that_moves_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"Port {port} .* TONGBAN_HTTP_PORT"):
            Ports("127.0.0.1", port, 20_000).check()
