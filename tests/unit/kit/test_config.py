# SPDX-License-Identifier: Apache-2.0
import pytest
from pydantic import Field, ValidationError

from services.kit.config import Common, SettingsInvalid

REQUIRED = {
    "LICENSES_DATABASE": "sqlite:////var/x.sqlite",
    "LICENSES_EVENTS": "kafka://127.0.0.1:9092",
    "LICENSES_PKI": "/var/pki",
    "LICENSES_KEYS": "/var/keys",
}


class Settings(Common, frozen=True):
    """As a service writes it."""

    codes: tuple[str, ...] = Field(default=(), description="Some codes.")


def load(**extra: str) -> Settings:
    return Settings.load("LICENSES", {**REQUIRED, **{f"LICENSES_{name}": value for name, value in extra.items()}})


def test_text_is_read_by_the_type_of_the_knob() -> None:
    settings = load(
        GRPC_PORT="50052", SANDBOX="true", PEERS="identity=127.0.0.1:50051, gateway=127.0.0.1:50054", CODES="a, b"
    )
    assert (settings.grpc_port, settings.sandbox, settings.codes) == (50052, True, ("a", "b"))
    assert settings.peers == {"identity": "127.0.0.1:50051", "gateway": "127.0.0.1:50054"}


def test_other_services_variables_are_nobodys_business() -> None:
    environ = {**REQUIRED, "IDENTITY_NONSENSE": "1", "PATH": "/bin", "LICENSESX": "1"}
    assert Settings.load("licenses", environ).grpc_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NONSENSE", "1"),
        ("Database", "x"),
        ("GRPC_PORT", "high"),
        ("GRPC_PORT", "65536"),
        ("DATABASE", "mysql://x"),
        ("DATABASE", "sqlite:///"),
        ("EVENTS", "file.sqlite"),
        ("SAMPLE_RATIO", "1.1"),
        ("REGION", "99010"),
        ("PEERS", "identity"),
        ("LOG_FORMAT", "xml"),
        ("DRAIN_SECONDS_MAX", "0"),
        ("WORKER", "a b"),
    ],
)
def test_an_unknown_or_malformed_variable_is_named_and_its_value_is_not(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load(**{name: value})
    assert f"LICENSES_{name}" in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_malformed_secret_is_not_repeated() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load(DATABASE="mysql://user:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(SettingsInvalid, match="LICENSES_DATABASE must be set"):
        Settings.load("LICENSES", {})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load().grpc_port = 1  # type: ignore[misc]


def test_every_knob_has_a_sentence() -> None:
    assert all(field.description for field in Common.model_fields.values())
