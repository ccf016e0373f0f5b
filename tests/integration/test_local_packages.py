"""Programs from Debian packages: installed without a service starting, or unpacked without root."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.local import packages, unpacked
from deploy.local.errors import LocalServiceError
from deploy.local.packages import Installation, Package
from tests.support.eventually import eventually

INSTALLER = Path(packages.__file__).with_name("apt_install.sh")
# Notes what it was asked for and what the policy said at that moment.
APT_GET = """#!/bin/sh
echo "$1 $([ -e "$ROOT/usr/sbin/policy-rc.d" ] && sh "$ROOT/usr/sbin/policy-rc.d" || echo $?)" >> "$ROOT/calls"
[ "$1" != update ] || { mkdir -p "$ROOT/var/lib/apt/lists"; touch "$ROOT/var/lib/apt/lists/x_Packages.lz4"; }
[ "$1" != install ] || [ -e "$ROOT/installs" ]
"""
NOWHERE = Package("no-such-package", ("no/such/file",), seconds=1, otherwise="or do without")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root folder of a fresh machine, as far as the installer is concerned."""
    root = tmp_path / "root"
    (root / "usr/sbin").mkdir(parents=True)
    (root / "installs").touch()
    return root


def programs(folder: Path, scripts: Mapping[str, str]) -> dict[str, str]:
    """An environment in which these programs come first."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


def install(root: Path, apt_get: str = APT_GET) -> subprocess.Popen[bytes]:
    env = programs(root.parent / "bin", {"apt-get": apt_get}) | {"ROOT": str(root)}
    return subprocess.Popen(["sh", str(INSTALLER), str(root), "rabbitmq-server"], env=env, start_new_session=True)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {"installs", "calls"}


def test_while_packages_are_installed_no_service_may_start(root: Path) -> None:
    assert install(root).wait(60) == 0
    assert (root / "calls").read_text().splitlines() == ["update 101", "install 101"]
    assert files(root) == {"var/lib/apt/lists/x_Packages.lz4"}


def test_lists_that_are_there_are_not_fetched_again(root: Path) -> None:
    (root / "var/lib/apt/lists").mkdir(parents=True)
    (root / "var/lib/apt/lists/y_Packages").touch()
    assert install(root).wait(60) == 0
    assert (root / "calls").read_text().splitlines() == ["install 101"]


def test_an_installation_that_fails_is_tried_with_new_lists_and_leaves_nothing(root: Path) -> None:
    (root / "installs").unlink()
    (root / "var/lib/apt/lists").mkdir(parents=True)
    (root / "var/lib/apt/lists/y_Packages").touch()
    assert install(root).wait(60) != 0
    assert (root / "calls").read_text().splitlines() == ["install 101", "update 101", "install 101"]
    assert files(root) == {"var/lib/apt/lists/x_Packages.lz4", "var/lib/apt/lists/y_Packages"}


def test_a_policy_of_the_machine_stays_as_it_is(root: Path) -> None:
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    assert install(root).wait(60) == 0
    assert (root / "calls").read_text().splitlines() == ["update 104", "install 104"]
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_puts_the_policy_back(root: Path, how: signal.Signals) -> None:
    installer = install(root, f'#!/bin/sh\necho >> "{root}/calls"; exec sleep 86419\n')
    eventually((root / "calls").exists)
    assert "usr/sbin/policy-rc.d" in files(root)
    os.killpg(installer.pid, how)
    assert installer.wait(60) == 130
    assert files(root) == set()


def test_what_a_killed_installation_left_is_taken_away_by_the_next(root: Path) -> None:
    killed = install(root, f'#!/bin/sh\necho >> "{root}/calls"; exec sleep 86419\n')
    eventually((root / "calls").exists)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert "usr/sbin/policy-rc.d" in files(root)
    (root / "calls").unlink()
    (root.parent / "bin" / "apt-get").write_text(APT_GET)
    env = os.environ | {"PATH": f"{root.parent / 'bin'}:{os.environ['PATH']}", "ROOT": str(root)}
    subprocess.run(["sh", str(INSTALLER), str(root), "rabbitmq-server"], env=env, check=True)
    assert (root / "calls").read_text().splitlines() == ["update 101", "install 101"]
    assert files(root) == {"var/lib/apt/lists/x_Packages.lz4"}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Debian archive that holds one package with an Erlang in it, behind an apt-get that needs no network."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = "Package: greeter\nVersion: 1\nArchitecture: all\nMaintainer: nobody <x@example.com>\nDescription: x\n"
    (tree / "DEBIAN" / "control").write_text(control)
    launcher = tree / "usr/lib/erlang/erts-13/bin/erlexec"
    launcher.parent.mkdir(parents=True)
    launcher.write_text('#!/bin/sh\necho "$ROOTDIR $BINDIR" "$@"\n')
    launcher.chmod(0o755)
    deb = tmp_path / "greeter_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)
    apt_get = (
        f'#!/bin/sh\ncase " $* " in\n*" install "*) echo "Inst greeter (1)";;\n*" download "*) cp {deb} .;;\nesac\n'
    )
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", {"apt-get": apt_get})["PATH"])
    return deb


def test_a_package_is_unpacked_with_an_erlang_that_knows_where_it_is(archive: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "var" / "packages" / "greeter"
    unpacked.unpack("greeter", prefix)
    env = Installation(prefix).environment()
    said = subprocess.run(["sh", "-c", "erl -x"], env=env, capture_output=True, text=True, check=True).stdout
    erlang = prefix / "usr/lib/erlang"
    assert said == f"{erlang} {erlang / 'erts-13'}/bin -x\n"
    assert [path.name for path in prefix.parent.iterdir()] == ["greeter"]


def test_who_may_not_install_gets_it_unpacked(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "root_prefix", lambda: None)
    said: list[str] = []
    package = Package("greeter", ("usr/lib/erlang/erts-13/bin/erlexec",), seconds=1, otherwise="or do without")
    found = packages.ensure(package, var=tmp_path, tell=said.append)
    assert found == packages.ensure(package, var=tmp_path, tell=said.append)
    assert found.find("usr/lib/erlang/erts-*/bin/erlexec").is_relative_to(tmp_path / "packages" / "greeter")
    assert len(said) == 1


def test_a_package_that_does_not_exist_leaves_no_half_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_get = "#!/bin/sh\necho E: Unable to locate package\nexit 100\n"
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", {"apt-get": apt_get})["PATH"])
    monkeypatch.setattr(packages, "root_prefix", lambda: None)
    with pytest.raises(LocalServiceError, match=r"no-such-package is missing(.|\n)*Unable to locate package"):
        packages.ensure(NOWHERE, var=tmp_path / "var", tell=list[str]().append)
    assert [path.name for path in (tmp_path / "var" / "packages").iterdir()] == ["lock"]


def test_without_apt_get_the_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalServiceError) as error:
        packages.ensure(NOWHERE, var=tmp_path / "var", tell=list[str]().append)
    assert str(error.value) == (
        "no-such-package is missing and cannot be installed here (only root could, with apt-get): "
        "install it as root (apt-get install no-such-package), or do without."
    )


def test_who_has_no_broker_is_told_of_the_setting_that_names_one() -> None:
    assert "ENTRA_SMS_AMQP_URL" in packages.RABBITMQ.otherwise
