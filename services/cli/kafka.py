# SPDX-License-Identifier: Apache-2.0
"""A Kafka broker of our own (KRaft, one node, loopback) for the full profile and for tests, from the jars of deploy/kafka.

Loopback belongs to everybody on the machine, so both listeners ask for a password, and nobody but its one holder may do
anything. It is made on first use and lies in the broker's folder, readable by its owner alone. Clients prove that they
know it and never send it (SCRAM): while the broker is away, anybody may sit on its port. The controller can't ask that
way, for it keeps those proofs itself; the broker signs in to it with a password (PLAIN) that each start makes anew, so
that one caught while another start failed opens nothing.
"""

import base64
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.kit.errors import StartupError

JARS: Final = Path(__file__).parents[2] / "deploy" / "kafka" / "libs"
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0
HEAP: Final = "384m"
USER: Final = "tongban"

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-256
sasl.mechanism.controller.protocol=PLAIN
listener.name.broker.sasl.enabled.mechanisms={mechanisms}
listener.name.broker.scram-sha-256.sasl.jaas.config={login}
listener.name.broker.plain.sasl.jaas.config={inner}
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={inner}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{user}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
num.partitions=6
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=4194304
"""
_LOGIN: Final = (
    'org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}" password="{password}";'
)
_INNER: Final = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required"
    ' username="{user}" password="{password}" user_{user}="{password}";'
)
"""The server knows its one user by the last option; clients read over that."""
_CLIENT: Final = """\
security.protocol=SASL_PLAINTEXT
sasl.mechanism={mechanism}
sasl.jaas.config={login}
"""
_LOG4J: Final = """\
status=error
appender.file.type=File
appender.file.name=file
appender.file.fileName={log}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %c{{1}} - %m%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
logger.server.name=kafka.server
logger.server.level=info
logger.server.appenderRef.file.ref=file
logger.server.additivity=false
"""


class KafkaMissing(StartupError):  # noqa: N818 - it states what is so
    """Java or the jars are not here."""


@dataclass(frozen=True)
class Kafka:
    """A running broker; it outlives the process that started it unless that stops it."""

    folder: Path
    port: int
    pid: int
    _password: str = field(repr=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False, compare=False)

    @property
    def client(self) -> Path:
        """What Kafka's own tools sign in with: `--command-config`, readable by the owner alone."""
        return self.folder / "client.properties"

    @property
    def url(self) -> str:
        """What a service's `events` setting says."""
        return f"kafka://{USER}:{self._password}@127.0.0.1:{self.port}"

    @classmethod
    def start(cls, folder: Path, *, port: int = 0, jars: Path = JARS) -> "Kafka":
        """Start the broker of this folder, formatted on first use, and wait until it serves.

        Args:
            folder: data, settings and log of the broker.
            port: where it listens on 127.0.0.1; 0 takes that of the last start, or a free one.
            jars: where `make` has put Kafka's jars.

        Raises:
            KafkaMissing: Java or the jars are not here.
            StartupError: it does not start; the sentence names its log.
        """
        java = _java(jars)
        folder = folder.resolve()
        (folder / "data").mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # The log segments hold what the password keeps.
        port, controller = _ports(folder, port)
        fresh = not (folder / "data" / "meta.properties").exists()
        behind = not fresh and not (folder / "scram").exists()
        if behind:
            if left := cls._left(folder):
                left.stop()
            (folder / "password").unlink(missing_ok=True)  # It has travelled.
        password = _password(folder)
        login = _LOGIN.format(user=USER, password=password)
        inner = _INNER.format(user=USER, password=secrets.token_urlsafe(32))
        (folder / "log4j2.properties").write_text(_LOG4J.format(log=folder / "kafka.log"))
        _write_secret(folder / "client.properties", _CLIENT.format(mechanism="SCRAM-SHA-256", login=login))
        _write_secret(
            folder / "server.properties",
            _PROPERTIES.format(
                port=port,
                controller=controller,
                data=folder / "data",
                user=USER,
                mechanisms="SCRAM-SHA-256,PLAIN" if behind else "SCRAM-SHA-256",
                login=login,
                inner=inner,
            ),
        )
        command = _command(java, folder, jars)
        if fresh:
            _format(command, folder, password)
        with (folder / "kafka.out").open("ab") as out:
            process = subprocess.Popen(
                [*command, "kafka.Kafka", "server.properties"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (folder / "kafka.pid").write_text(str(process.pid))
        _wait(process, folder, port)
        if behind:
            try:
                _enroll(command, folder, port, password, inner)
            except BaseException:
                process.kill()
                raise
        (folder / "scram").touch()
        return cls(folder=folder, port=port, pid=process.pid, _password=password, _process=process)

    @classmethod
    def running(cls, folder: Path) -> "Kafka | None":
        """The broker that runs on this folder, if one does and knows the password."""
        return cls._left(folder) if (folder / "scram").exists() else None

    @classmethod
    def _left(cls, folder: Path) -> "Kafka | None":
        try:
            pid = int((folder / "kafka.pid").read_text())
            port = int((folder / "ports").read_text().split()[0])
            password = (folder / "password").read_text()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        if b"kafka.Kafka" not in command:
            return None
        return cls(folder=folder, port=port, pid=pid, _password=password)

    def stop(self) -> None:
        """Shut down cleanly; by force after 20 s."""
        if _signal(self.pid, signal.SIGTERM) and not self._gone():
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        if _signal(self.pid, signal.SIGKILL):
            self._gone()

    def _gone(self) -> bool:
        """Whether the process ends in time; reaped where it is our child."""
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until:
            ended = self._process.poll() is not None if self._process else not Path(f"/proc/{self.pid}").exists()
            if ended:
                return True
            time.sleep(0.05)
        return False


def _java(jars: Path) -> str:
    java = shutil.which("java")
    if java is None:
        raise KafkaMissing("Java 17 or newer is needed for Kafka and is not on the PATH.")
    if not any(jars.glob("kafka_*.jar")):
        raise KafkaMissing(f"Kafka's jars are not in {jars}; `make stack` and `make setup` fetch them.")
    return java


def _ports(folder: Path, wanted: int) -> tuple[int, int]:
    """The ports of the last start where nothing else was asked for: clients find the broker again after a restart."""
    kept = folder / "ports"
    if kept.exists():
        port, controller = (int(each) for each in kept.read_text().split())
        if wanted in (0, port):
            return port, controller
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", wanted))
        two.bind(("127.0.0.1", 0))
        port, controller = one.getsockname()[1], two.getsockname()[1]
    kept.write_text(f"{port} {controller}\n")
    return port, controller


def _password(folder: Path) -> str:
    """The password of the last start, or a new one; URLs and Java's files take it as it is."""
    kept = folder / "password"
    if not kept.exists():
        _write_secret(kept, secrets.token_urlsafe(32))
    return kept.read_text()


def _write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, from its first moment on."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _command(java: str, folder: Path, jars: Path) -> list[str]:
    return [
        java,
        f"-Xmx{HEAP}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        "-cp",
        f"{jars.resolve()}/*",
    ]


def _format(command: list[str], folder: Path, password: str) -> None:
    """Format the storage with the password in it, told by standard input: command lines are everybody's to read."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties", "@/dev/stdin"]
    told = f"--add-scram\nSCRAM-SHA-256=[name={USER},password={password}]\n"
    if not _done(command + tool, folder, told):
        raise StartupError(f"Kafka's storage can't be formatted; see {folder / 'kafka.out'}.")


def _enroll(command: list[str], folder: Path, port: int, password: str, inner: str) -> None:
    """Teach the password to a storage from before SCRAM, by the one way in that this start of the broker adds for it."""
    once = folder / "once.properties"
    _write_secret(once, _CLIENT.format(mechanism="PLAIN", login=inner))
    tool = ["kafka.admin.ConfigCommand", "--bootstrap-server", f"127.0.0.1:{port}", "--command-config", once.name]
    change = ["--alter", "--entity-type", "users", "--entity-name", USER, "--add-config-file", "/dev/stdin"]
    try:
        if not _done(command + tool + change, folder, f"SCRAM-SHA-256=password={password}\n"):
            raise StartupError(f"Kafka's storage is from before SCRAM and can't learn it; see {folder / 'kafka.out'}.")
    finally:
        once.unlink()


def _done(command: list[str], folder: Path, told: str) -> bool:
    """Whether one of Kafka's tools did what it was asked; if not, its words are in a file."""
    done = subprocess.run(
        command, cwd=folder, input=told, capture_output=True, text=True, check=False, timeout=START_SECONDS
    )
    if done.returncode:
        with (folder / "kafka.out").open("a") as out:
            out.write(done.stdout + done.stderr)
    return not done.returncode


def _wait(process: "subprocess.Popen[bytes]", folder: Path, port: int) -> None:
    """Ready is when it says so: the port opens earlier, while requests still fail."""
    started = time.monotonic()
    log = folder / "kafka.log"
    begin = log.stat().st_size if log.exists() else 0
    while time.monotonic() - started < START_SECONDS:
        if process.poll() is not None:
            raise StartupError(f"Kafka ended while starting; see {log} and {folder / 'kafka.out'}.")
        if log.exists():
            with log.open("rb") as file:
                file.seek(begin)
                if b"Kafka Server started" in file.read():
                    return
        time.sleep(0.1)
    process.kill()
    raise StartupError(f"Kafka does not start on port {port}; see {log}.")


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
