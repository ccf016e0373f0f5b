"""One private RabbitMQ node on disk: its configuration, its environment and its command lines.

Nothing of the machine's own service is read or used: own node name, data, ports, cookie and port mapper (epmd). The
node is set up like that of a deployment (deploy/rabbitmq) and has its accounts with their permissions. One account
more, `local`, may do everything, such as making vhosts for tests.
"""

import hashlib
import json
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from deploy.local.packages import Installation
from deploy.local.paths import ROOT

SETTINGS = ROOT / "deploy" / "rabbitmq" / "entra-sms.conf"
DEFINITIONS = ROOT / "deploy" / "rabbitmq" / "definitions.json"
PROCESSES, OPERATOR, MONITOR = "entra_sms", "operator", "monitor"
ACCOUNTS: dict[str, list[str]] = {PROCESSES: [], OPERATOR: ["monitoring"], MONITOR: ["monitoring"]}
"""The accounts of a deployment (deploy/make-secrets.sh) and their tags. Here they share the password of the node."""

_CONFIGURATION = """\
{settings}
# Different here; what stands last counts.
listeners.tcp.1 = 127.0.0.1:{amqp_port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
load_definitions = {definitions}
vm_memory_high_watermark.absolute = 1GiB
disk_free_limit.absolute = 50MB
log.console = false
log.file.level = warning
"""
_PLUGINS = "[rabbitmq_management].\n"


@dataclass(frozen=True)
class Node:
    """What a node is called, where it listens and who may log in. Ports change from start to start, the rest stays."""

    name: str
    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    password: str
    user: str = "local"

    @classmethod
    def at(cls, folder: Path, ports: list[int], *, password: str | None) -> Self:
        """A node for a folder: the folder's hash makes the name unique among clones, purposes and runs."""
        digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
        name = f"entra-sms-{folder.parent.name}-{digest}@localhost"
        amqp, management, distribution, epmd = ports
        return cls(name, amqp, management, distribution, epmd, password=password or secrets.token_hex(12))

    def fields(self) -> dict[str, str | int]:
        return asdict(self)


def write_configuration(node: Node, folder: Path) -> None:
    definitions = folder / "definitions.d"
    for path in (folder / "mnesia", folder / "log", definitions):
        path.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    here = _CONFIGURATION.format(**node.fields(), settings=SETTINGS.read_text(), definitions=definitions)
    (folder / "rabbitmq.conf").write_text(here)
    (folder / "enabled_plugins").write_text(_PLUGINS)
    (definitions / "10-accounts.json").write_text(json.dumps(_accounts(node)))
    shutil.copy(DEFINITIONS, definitions / "20-entra-sms.json")


def _accounts(node: Node) -> dict[str, Any]:
    tags = ACCOUNTS | {node.user: ["administrator"]}
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [{"name": name, "password": node.password, "tags": tags[name]} for name in tags],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": node.user, "vhost": "/", **everything}],
    }


def environment(node: Node, folder: Path, installation: Installation) -> dict[str, str]:
    """The whole environment of the node; of ours it inherits nothing."""
    return installation.environment() | {
        "HOME": str(folder),  # the cookie lands there
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": node.name,
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # else the machine's own settings would be read
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(node.distribution_port),
        "ERL_EPMD_PORT": str(node.epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RUNNING_UNDER_SYSTEMD": "true",  # makes the script exec, so that its pid is the node's
    }


def epmd_command(node: Node, installation: Installation) -> list[str]:
    """Erlang's port mapper as a child of ours; a node that finds none would leave a daemon behind."""
    epmd = installation.find("usr/lib/erlang/erts-*/bin/epmd")
    return [str(epmd), "-port", str(node.epmd_port), "-address", "127.0.0.1"]


def node_command(folder: Path, installation: Installation) -> list[str]:
    """The server without Debian's wrapper, which would change to the user of the system's service.

    Erlang ignores flags it does not know: the last one marks the process, from the shell script to the node.
    """
    server = installation.find("usr/lib/rabbitmq/bin/rabbitmq-server")
    loopback_only = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
    return [str(server), *loopback_only, "-entra_sms_folder", str(folder)]
