"""docker-compose.yml, Dockerfile and deploy/ against the settings table, the Compose schema and what can be run here.

No container engine is needed: what only an engine can show is listed in docs/deployment.md.
"""

import ast
import base64
import hashlib
import http.server
import json
import os
import re
import shlex
import shutil
import ssl
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pika
import pytest
import trustme
import yaml

from common import config, topology
from console.serve import ANSWER_SECONDS
from deploy import demo_tenant, health
from deploy.local import packages, rabbitmq
from deploy.local.broker import Broker
from deploy.local.errors import LocalServiceError
from deploy.local.ports import Reservation
from deploy.local.processes import AT_ONCE
from deploy.local.rabbitmq import Node
from deploy.local.runs import Run
from tests.support.documented_commands import trouble_with
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DEMO = yaml.safe_load((ROOT / "deploy" / "demo.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name for name, service in SERVICES.items() if "build" in service}
RABBITMQ_PASSWORDS = {
    rabbitmq.PROCESSES: "rabbitmq_password",
    rabbitmq.OPERATOR: "rabbitmq_operator_password",
    rabbitmq.MONITOR: "rabbitmq_monitor_password",
}
PACKAGES = ("common", "webhook", "worker", "console", "simulator")


def _environment(service: str, *, demo: bool = False) -> dict[str, str]:
    overlay = DEMO["services"].get(service, {}).get("environment", {}) if demo else {}
    return SERVICES[service].get("environment", {}) | overlay


def _secrets_of(service: str) -> dict[str, str]:
    """Name of each secret of a service -> the path at which it is mounted."""
    entries = [{"source": entry} if isinstance(entry, str) else entry for entry in SERVICES[service].get("secrets", [])]
    return {entry["source"]: entry.get("target", f"/run/secrets/{entry['source']}") for entry in entries}


def _seconds(duration: str) -> float:
    match = re.fullmatch(r"(\d+)(s|m)", duration)
    assert match, f"{duration!r} is no duration that this test knows"
    return int(match[1]) * {"s": 1, "m": 60}[match[2]]


class TestCompose:
    @pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/demo.yml"])
    def test_the_file_is_valid_by_the_schema_of_the_compose_specification(self, name: str) -> None:
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_the_services_are_those_of_the_system_and_the_simulator_belongs_to_the_demo_alone(self) -> None:
        assert set(SERVICES) == {"webhook", "worker", "api", "rabbitmq", "postgres", "simulator"}
        assert {name: service.get("profiles") for name, service in SERVICES.items() if "profiles" in service} == {
            "api": ["api"],
            "simulator": ["demo"],
        }
        assert set(DEMO["services"]) <= set(SERVICES)

    @pytest.mark.parametrize("name", SERVICES)
    def test_every_service_has_a_health_check_and_limits_and_gives_up_every_privilege(self, name: str) -> None:
        service = SERVICES[name]
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert service["restart"] == "unless-stopped"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}
        assert "privileged" not in service
        assert "network_mode" not in service

    @pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"rabbitmq"}))
    def test_every_file_system_but_that_of_rabbitmq_is_read_only(self, name: str) -> None:
        assert SERVICES[name]["read_only"] is True
        assert "/tmp" in SERVICES[name]["tmpfs"]  # noqa: S108 - in the container

    def test_nothing_but_the_webhook_is_published_beyond_loopback(self) -> None:
        published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
        assert published.pop("webhook") == ["${WEBHOOK_PUBLISH:-8080}:8080"]
        assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports), published
        assert not any("ports" in service for service in DEMO["services"].values())

    def test_the_webhook_alone_is_in_front_and_cannot_reach_the_database(self) -> None:
        members = {
            network: {name for name, service in SERVICES.items() if network in service["networks"]}
            for network in COMPOSE["networks"]
        }
        assert members["front"] == {"webhook"}
        assert members["data"] == {"worker", "api", "postgres"}
        assert members["api"] == {"api"}
        assert COMPOSE["networks"]["data"]["internal"] is True

    @pytest.mark.parametrize("name", SERVICES)
    def test_every_image_is_named_without_a_host_and_pinned_to_a_line_of_versions(self, name: str) -> None:
        image, _, tag = SERVICES[name]["image"].partition(":")
        assert "/" not in image
        assert re.match(r"\d+(\.\d+)*(-|$)", tag) if name not in OWN else tag == "local"

    @pytest.mark.parametrize("name", SERVICES)
    def test_nobody_is_root(self, name: str) -> None:
        user = SERVICES[name].get("user") or _instructions("USER")[-1]
        assert user.partition(":")[0] not in ("root", "0", "")

    @pytest.mark.parametrize("name", sorted(OWN))
    def test_every_setting_is_in_the_table_and_every_secret_comes_from_a_file(self, name: str) -> None:
        for variable in _environment(name, demo=True):
            field = variable.removeprefix(config.PREFIX).lower()
            secret = field.removesuffix("_file")
            assert field in config.Settings.model_fields or secret in config.SECRET_NAMES, variable
            assert field not in config.SECRET_NAMES, f"{name}: {variable} would show the secret in the environment"

    @pytest.mark.parametrize("name", SERVICES)
    def test_every_file_of_a_secret_is_mounted_where_the_variable_says(self, name: str) -> None:
        named = {value for variable, value in _environment(name).items() if variable.endswith("_FILE")}
        mounted = set(_secrets_of(name).values())
        assert named <= mounted
        assert {path for path in mounted if path.startswith("/run/secrets/")} <= named, "mounted, and nobody reads it"

    @pytest.mark.parametrize("name", SERVICES)
    def test_no_variable_but_a_file_name_looks_like_a_password(self, name: str) -> None:
        for variable, value in _environment(name, demo=True).items():
            if re.search("PASSWORD|SECRET|TOKEN|_URL$", variable):
                assert variable.endswith("_FILE") or "@" not in value, variable

    def test_what_is_declared_is_used_and_what_is_used_is_declared(self) -> None:
        used: dict[str, set[str]] = {"secrets": set(), "configs": set(), "volumes": set(), "networks": set()}
        for name, service in SERVICES.items():
            used["secrets"] |= set(_secrets_of(name))
            used["configs"] |= {entry["source"] for entry in service.get("configs", [])}
            used["networks"] |= set(service["networks"])
            used["volumes"] |= {mount.partition(":")[0] for mount in service.get("volumes", [])}
            assert set(service.get("depends_on", {})) <= set(SERVICES)
        assert {kind: set(COMPOSE[kind]) for kind in used} == used
        for service in DEMO["services"].values():
            assert {mount.partition(":")[0] for mount in service["volumes"]} <= set(COMPOSE["volumes"])

    def test_a_service_starts_after_those_that_it_needs_are_healthy(self) -> None:
        conditions = [
            (set(service["depends_on"]), condition)
            for service in (*SERVICES.values(), *DEMO["services"].values())
            for condition in service.get("depends_on", {}).values()
        ]
        assert all(condition == {"condition": "service_healthy"} for _, condition in conditions)
        assert set(SERVICES["webhook"]["depends_on"]) == {"rabbitmq"}
        assert set(SERVICES["worker"]["depends_on"]) == {"rabbitmq", "postgres"}
        assert set(SERVICES["api"]["depends_on"]) == {"postgres"}

    def test_a_stop_waits_longer_than_the_process_takes_at_most(self) -> None:
        settings = config.Settings()
        assert _seconds(SERVICES["webhook"]["stop_grace_period"]) > _gunicorn_setting("graceful_timeout")
        assert _seconds(SERVICES["worker"]["stop_grace_period"]) > 2 * settings.graph_timeout_seconds
        assert _seconds(SERVICES["api"]["stop_grace_period"]) > ANSWER_SECONDS

    def test_the_files_that_are_mounted_exist_or_are_made_by_the_script(self, made_secrets: Path) -> None:
        for entry in COMPOSE["configs"].values():
            assert (ROOT / entry["file"]).is_file()
        for entry in COMPOSE["secrets"].values():
            path = Path(entry["file"])
            assert path.parent == Path("deploy/secrets")
            assert (made_secrets / path.name).is_file()


class TestProcesses:
    """What Compose would start, with what it would give to it."""

    @pytest.mark.parametrize("demo", [False, True], ids=["production", "demo"])
    @pytest.mark.parametrize("name", ["webhook", "worker"])
    def test_the_settings_are_accepted(self, name: str, demo: bool, made_secrets: Path, tmp_path: Path) -> None:
        settings = config.load(_as_here(_environment(name, demo=demo), made_secrets, tmp_path))
        assert len(settings.require_secret_key()) == 64
        assert settings.amqp_url.get_secret_value().endswith("@rabbitmq:5672/%2F")
        if name == "worker":
            assert "@postgres:5432/" in settings.database_url.get_secret_value()

    def test_the_webhook_listens_on_the_port_that_is_published(self) -> None:
        port = _environment("webhook")["ENTRA_SMS_WEBHOOK_BIND"].rpartition(":")[2]
        assert SERVICES["webhook"]["ports"][0].endswith(f":{port}")
        assert _instructions("EXPOSE") == [port]

    def test_the_api_needs_the_database_alone_and_listens_on_the_port_that_is_published(
        self, made_secrets: Path, tmp_path: Path
    ) -> None:
        settings = config.load(_as_here(_environment("api"), made_secrets, tmp_path))
        assert "@postgres:5432/" in settings.database_url.get_secret_value()
        assert SERVICES["api"]["ports"] == [f"127.0.0.1:8720:{settings.api_bind.rpartition(':')[2]}"]
        assert trouble_with(SERVICES["api"]["command"]) is None

    def test_gunicorn_accepts_the_command_of_the_webhook(self, made_secrets: Path, tmp_path: Path) -> None:
        command = [str(BIN / SERVICES["webhook"]["command"][0]), "--check-config", *SERVICES["webhook"]["command"][1:]]
        _run(command, _as_here(_environment("webhook"), made_secrets, tmp_path))

    def test_the_command_of_the_worker_is_one(self) -> None:
        assert SERVICES["worker"]["command"][0] == "python"
        _run([sys.executable, *SERVICES["worker"]["command"][1:], "--help"], {})

    def test_the_simulator_accepts_its_options(self) -> None:
        from simulator.cli import main

        shell, flag, script = SERVICES["simulator"]["command"]
        assert (shell, flag) == ("sh", "-c")
        words = shlex.split(script)
        middle = words.index("&&")
        assert words[:3] == ["python", "-m", "simulator"]
        assert words[middle + 1 : middle + 5] == ["exec", "python", "-m", "simulator"]
        main.commands["certificate"].make_context("certificate", words[4:middle])
        context = main.make_context("simulator", words[middle + 5 :], resilient_parsing=False)
        assert context.params["port"] == health.SIMULATOR_PORT
        assert DEMO["services"]["worker"]["environment"]["ENTRA_SMS_GRAPH_URL"] == (
            f"https://{context.params['public_host']}:{context.params['port']}"
        )

    def test_the_demo_reads_the_files_that_the_simulator_writes(self, tmp_path: Path) -> None:
        _run(
            [sys.executable, "-m", "simulator", "certificate", "--state-directory", str(tmp_path), "--name", "webhook"]
        )
        mounted = {
            Path(value).name
            for name in DEMO["services"]
            for value in DEMO["services"][name]["environment"].values()
            if value.startswith("/run/simulator/")
        }
        assert mounted == {"webhook.pem", "webhook.key", "ca.pem"}
        assert all((tmp_path / name).is_file() for name in mounted)

    def test_the_demo_adds_its_tenant_by_a_command_that_exists(self) -> None:
        tenant = {"tenant_id": "t", "domain": "nordwind.example", "client_id": "c", "client_secret": "hidden"}
        command = demo_tenant.command(tenant)
        assert trouble_with(command) is None
        assert "hidden" not in command, "every process of the machine could read it"

    @pytest.mark.parametrize("name", sorted(OWN))
    def test_the_health_check_asks_for_the_process_that_it_belongs_to(self, name: str) -> None:
        assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "deploy/health.py", name]
        timeout = _seconds(SERVICES[name]["healthcheck"]["timeout"])
        assert timeout > health.ANSWER_SECONDS

    @pytest.mark.parametrize("demo", [False, True], ids=["production", "demo"])
    def test_the_health_check_asks_where_the_settings_say(self, demo: bool) -> None:
        scheme = "https" if demo else "http"
        assert health.address("webhook", _environment("webhook", demo=demo)) == f"{scheme}://127.0.0.1:8080/health/live"
        assert health.address("worker", _environment("worker", demo=demo)) == "http://127.0.0.1:9100/health/live"
        assert health.address("api", _environment("api", demo=demo)) == "http://127.0.0.1:8720/health/live"


class TestHealth:
    def test_an_answer_is_health(self) -> None:
        with _server(200) as port:
            assert health.trouble(f"http://127.0.0.1:{port}/health/live") is None

    def test_an_answer_by_tls_is_health_whatever_the_certificate_names(self) -> None:
        certificate = trustme.CA().issue_cert("sync.example.com")
        with _server(200, certificate) as port:
            assert health.trouble(f"https://127.0.0.1:{port}/health/live") is None

    def test_an_error_is_none(self) -> None:
        with _server(503) as port:
            assert "503" in (health.trouble(f"http://127.0.0.1:{port}/health/live") or "")

    def test_no_answer_is_none_and_the_command_says_so(self) -> None:
        with Reservation(1) as reservation:
            environment = os.environ | {"ENTRA_SMS_METRICS_BIND": f"127.0.0.1:{reservation.ports[0]}"}
            command = [sys.executable, "deploy/health.py", "worker"]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "refused" in done.stderr


class TestSecrets:
    def test_the_folder_is_closed_and_its_files_can_be_read_by_the_users_of_the_containers(
        self, made_secrets: Path
    ) -> None:
        assert stat.S_IMODE(made_secrets.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in made_secrets.iterdir()} == {0o644}

    def test_passwords_agree_and_are_not_used_twice(self, made_secrets: Path) -> None:
        read = {path.name: path.read_text().strip() for path in made_secrets.iterdir()}
        assert f":{read['postgres_password']}@" in read["database_url"]
        assert f":{read['rabbitmq_password']}@" in read["amqp_url"]
        passwords = [read[name] for name in read if name == "secret_key" or name.endswith("_password")]
        assert len(set(passwords)) == len(passwords) == 5
        assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] in read["database_url"]

    def test_rabbitmq_gets_hashes_with_a_salt_each_and_no_password(self, made_secrets: Path) -> None:
        accounts = (made_secrets / "rabbitmq_accounts.json").read_text()
        hashes = [base64.b64decode(user["password_hash"]) for user in json.loads(accounts)["users"]]
        assert len({found[:4] for found in hashes}) == len(hashes) == 3
        for name, found in zip(RABBITMQ_PASSWORDS.values(), hashes, strict=True):
            password = (made_secrets / name).read_text().strip()
            assert found[4:] == hashlib.sha256(found[:4] + password.encode()).digest()
            assert password not in accounts

    def test_what_is_there_already_stays(self, made_secrets: Path) -> None:
        before = {path.name: path.read_text() for path in made_secrets.iterdir()}
        assert _run(["sh", str(made_secrets.parent / "make-secrets.sh")]) == ""
        assert {path.name: path.read_text() for path in made_secrets.iterdir()} == before

    def test_git_ignores_them(self) -> None:
        names = ["deploy/secrets/secret_key", "deploy/entra-sms.env"]
        assert _run(["git", "check-ignore", *names]).split() == names


class TestRabbitmq:
    def test_a_node_takes_the_configuration_and_the_accounts(self, made_secrets: Path) -> None:
        """With the fragments and definitions in folders of their own, as the image reads them."""
        installation = packages.ensure(packages.RABBITMQ)
        with Run.claim("test-deployment", several=True) as run, Reservation(4) as reservation:
            folder = run.directory / "rabbitmq"
            shutil.rmtree(folder, ignore_errors=True)
            node = Node.at(folder, reservation.ports, password=None)
            rabbitmq.write_configuration(node, folder)
            mounted = _mounted_in_rabbitmq(made_secrets, folder)
            environment = rabbitmq.environment(node, folder, installation) | {
                "RABBITMQ_CONFIG_FILES": str(mounted / "conf.d" / "*.conf")
            }
            epmd = rabbitmq.epmd_command(node, installation)
            run.start("epmd", epmd, env=environment, cwd=folder, mark=" ".join(epmd[1:]), ending=AT_ONCE)
            command = rabbitmq.node_command(folder, installation)
            run.start("rabbitmq", command, env=environment, cwd=folder, ending=AT_ONCE)
            brokers = {name: _broker(node, made_secrets, name) for name in RABBITMQ_PASSWORDS}
            monitor = brokers[rabbitmq.MONITOR]
            eventually(monitor.is_ready, within_seconds=90, what="the broker")
            who = eventually(
                lambda: monitor.management.call("GET", "whoami"),
                within_seconds=90,
                what="the account",
                despite=(LocalServiceError,),
            )
            assert who["tags"] == rabbitmq.ACCOUNTS[rabbitmq.MONITOR]
            assert brokers[rabbitmq.OPERATOR].management.call("GET", "whoami")["tags"] == ["monitoring"]
            with pytest.raises(LocalServiceError, match="401"):  # no tag: its password opens no pages
                brokers[rabbitmq.PROCESSES].management.call("GET", "whoami")
            address = (made_secrets / "amqp_url").read_text().strip()
            here = address.replace("@rabbitmq:5672", f"@127.0.0.1:{node.amqp_port}")
            with pika.BlockingConnection(pika.URLParameters(here)) as connection:
                topology.declare(connection.channel())
            overview = monitor.management.call("GET", "overview")
            assert overview["cluster_name"] == "entra-sms"
            limit = eventually(
                lambda: monitor.management.call("GET", "nodes")[0]["mem_limit"],
                within_seconds=30,
                what="the first look at its memory",
                despite=(KeyError,),
            )
            assert limit == 600 * 1024**2
            bound = eventually(
                lambda: monitor.management.call("GET", f"queues/%2F/{topology.REQUESTS}")[
                    "effective_policy_definition"
                ],
                what="the policy of the requests",
                despite=(KeyError,),
            )
            assert bound == {"max-length": 1_000_000}

    def test_the_accounts_here_are_those_of_a_deployment(self, made_secrets: Path) -> None:
        made = json.loads((made_secrets / "rabbitmq_accounts.json").read_text())["users"]
        assert {user["name"]: user["tags"] for user in made} == rabbitmq.ACCOUNTS
        permissions = json.loads(rabbitmq.DEFINITIONS.read_text())["permissions"]
        assert {entry["user"] for entry in permissions} == set(rabbitmq.ACCOUNTS)


class TestDockerfile:
    def test_every_stage_begins_with_the_python_that_the_project_is_made_for(self) -> None:
        images = {line.split()[0] for line in _instructions("FROM")}
        assert images == {"python:3.11-slim-bookworm"}

    def test_every_source_that_is_copied_exists_and_gets_past_the_ignore_file(self) -> None:
        sources = [
            source for line in _instructions("COPY") if not line.startswith("--from=") for source in line.split()[:-1]
        ]
        allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        assert all((ROOT / source).exists() for source in sources), sources
        assert set(sources) == allowed

    def test_a_stage_copies_from_stages_that_exist(self) -> None:
        names = {line.split()[2] for line in _instructions("FROM") if " AS " in line}
        copied = {line.split()[0].removeprefix("--from=") for line in _instructions("COPY") if "--from=" in line}
        assert copied == names

    def test_everything_is_installed_by_hash_or_without_network_and_nothing_is_compiled(self) -> None:
        installs = [line for line in _instructions("RUN") if re.search(r"pip( --python \S+)? (install|wheel) ", line)]
        assert len(installs) == 4
        for line in installs:
            by_hash = "--require-hashes" in line and "--only-binary :all:" in line
            assert by_hash or ("--no-index" in line and "--no-deps" in line), line
        assert not re.search(r"apt-get|curl|wget", (ROOT / "Dockerfile").read_text())

    def test_the_build_backend_is_among_what_is_pinned(self) -> None:
        backend = re.search(r'requires = \["(.+)"\]', (ROOT / "pyproject.toml").read_text())
        assert backend
        assert f"\n{backend[1]} \\" in (ROOT / "requirements-dev.txt").read_text()

    def test_the_last_stage_runs_as_a_user_with_a_fixed_number_and_cannot_install(self) -> None:
        last = _stages()[-1]
        assert ("USER", "10001:10001") in last
        assert any(name == "RUN" and "pip uninstall --yes" in value for name, value in last)
        assert not any(name == "RUN" and re.search(r"pip .*install --no", value) for name, value in last)

    def test_the_last_stage_holds_the_files_that_the_commands_name(self) -> None:
        copied = {
            Path(source).name
            for name, value in _stages()[-1]
            if name == "COPY" and not value.startswith("--from=")
            for source in value.split()[:-1]
        }
        named = {
            Path(word).name
            for service in OWN
            for word in [*SERVICES[service]["command"], *SERVICES[service]["healthcheck"]["test"]]
            if word.startswith("deploy/")
        }
        assert named | {"demo_tenant.py"} == copied

    def test_the_package_holds_every_file_of_the_tree(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.mkdir()
        for name in PACKAGES:
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        expected = {str(path.relative_to(source)) for name in PACKAGES for path in (source / name).rglob("*.*")}
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q"]
        _run([*pip, "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)])
        (wheel,) = tmp_path.glob("*.whl")
        assert expected <= set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def made_secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that deploy/make-secrets.sh makes, beside a copy of the script."""
    deploy = tmp_path_factory.mktemp("deploy")
    shutil.copy(ROOT / "deploy/make-secrets.sh", deploy)
    _run(["sh", str(deploy / "make-secrets.sh")])
    return deploy / "secrets"


def _mounted_in_rabbitmq(secrets: Path, folder: Path) -> Path:
    """A folder with all that Compose mounts into /etc/rabbitmq of the service."""
    service, etc = SERVICES["rabbitmq"], folder / "etc"
    files = {entry["target"]: ROOT / COMPOSE["configs"][entry["source"]]["file"] for entry in service["configs"]}
    named = {entry["target"]: COMPOSE["secrets"][entry["source"]]["file"] for entry in service["secrets"]}
    files |= {target: secrets / Path(file).name for target, file in named.items()}
    for target, file in files.items():
        path = etc / Path(target).relative_to("/etc/rabbitmq")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.read_text().replace("/etc/rabbitmq/", f"{etc}/"))
    return etc


def _broker(node: Node, secrets: Path, account: str) -> Broker:
    password = (secrets / RABBITMQ_PASSWORDS[account]).read_text().strip()
    return replace(Broker.of(node), user=account, password=password)


def _as_here(environment: dict[str, str], secrets: Path, mounts: Path) -> dict[str, str]:
    """The environment with the paths that mean the same on this machine."""
    here = {}
    for name, value in environment.items():
        text = value.replace("/run/secrets", str(secrets))
        if value.startswith("/run/simulator/"):
            text = str(mounts / Path(value).name)
            Path(text).touch()
        here[name] = text
    return here


def _run(command: list[str], settings: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | (settings or {}), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage of the Dockerfile: name and the rest of the line."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in lines:
        name, _, value = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, value))
    return stages


def _instructions(name: str) -> list[str]:
    return [value for stage in _stages() for instruction, value in stage if instruction == name]


def _gunicorn_setting(name: str) -> float:
    for node in ast.parse((ROOT / "deploy/gunicorn.conf.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return float(ast.literal_eval(node.value))
    raise AssertionError(f"deploy/gunicorn.conf.py sets no {name}")


@contextmanager
def _server(status: int, certificate: trustme.LeafCert | None = None) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
