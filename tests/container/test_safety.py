"""What the container may do, who it runs as, and what it says when it cannot start."""

import re

import pytest

from tests.container.engine import HARDENED, ROOT, Contained, Engine

LARGEST = 600_000_000  # bytes
AS_ROOT = (*HARDENED, "--user", "0:0", "--cap-add", "CHOWN", "--cap-add", "SETUID", "--cap-add", "SETGID")


def test_nothing_is_allowed_and_nothing_but_the_volumes_can_be_written(service: Contained) -> None:
    status = service.shell("cat /proc/1/status /proc/self/status")
    sets = re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\w+)$", status, re.MULTILINE)

    assert len(sets) == 10
    assert {int(held, 16) for held in sets} == {0}
    assert re.findall(r"^NoNewPrivs:\s+(\d)$", status, re.MULTILINE) == ["1", "1"]
    assert set(re.findall(r"^Uid:\s+(.+)$", status, re.MULTILINE)) == {"10001\t10001\t10001\t10001"}
    for folder in ("/", "/opt/rolltape", "/usr/local/bin", "/etc"):
        assert service.shell(f"touch {folder}/x 2>&1 || true").endswith("Read-only file system"), folder
    for folder in ("/data", "/recordings", "/config", "/log", "/artwork", "/tmp"):
        service.shell(f"touch {folder}/x && rm {folder}/x")


def test_its_health_is_that_of_the_service(service: Contained) -> None:
    asked = '"Test":["CMD","rolltape-alive"]'
    shown = service.engine.ask("image", "inspect", "--format", "{{json .Config.Healthcheck}}", service.image)
    well = service.engine.run("exec", service.name, "rolltape-alive")
    same = service.command("health", "--live")
    elsewhere = service.engine.run("exec", "--env", "ROLLTAPE_PORT=1", service.name, "rolltape-alive")

    assert asked in shown
    assert (well.returncode, well.stdout) == (0, "ok\n")
    assert same.returncode == 0
    assert elsewhere.returncode == 1
    assert elsewhere.stderr == "The service does not answer: [Errno 111] Connection refused\n"


@pytest.mark.parametrize("folder", ["data", "recordings", "config", "artwork"])
def test_a_volume_of_root_is_told_in_a_sentence(fresh: Contained, folder: str) -> None:
    fresh.in_volumes(f"chown 0:0 /{folder}")

    fresh.create()

    assert fresh.wait_for_end() == 1
    assert fresh.log.startswith(
        f"/{folder} cannot be written by user 10001, who Rolltape runs as; it belongs to user 0."
    )
    assert "chown -R 10001:10001" in fresh.log
    assert "Traceback" not in fresh.log


def test_a_database_of_another_user_is_told_in_a_sentence(fresh: Contained) -> None:
    fresh.in_volumes("touch /data/rolltape.db && chmod 600 /data/rolltape.db")

    fresh.create()

    assert fresh.wait_for_end() == 1
    assert fresh.log.startswith("/data/rolltape.db cannot be written by user 10001")


def test_a_log_folder_of_root_stops_nothing(fresh: Contained) -> None:
    fresh.in_volumes("chown 0:0 /log")

    fresh.start()

    assert fresh.status == "running"


@pytest.mark.parametrize("options", [AS_ROOT, ("--user", "0:0")], ids=["hardened", "plain"])
def test_started_as_root_it_becomes_the_user_that_is_named(fresh: Contained, options: tuple[str, ...]) -> None:
    fresh.in_volumes("chown 0:0 /data /recordings /config /log /artwork")
    fresh.options = options
    fresh.env = {"PUID": "1234", "PGID": "2345"}

    fresh.start()
    fresh.make_token()

    service = fresh.shell("cat /proc/$(cut -d' ' -f1 /proc/1/task/1/children)/status")
    assert re.findall(r"^[UG]id:\s+(.+)$", service, re.MULTILINE) == ["\t".join(["1234"] * 4), "\t".join(["2345"] * 4)]
    assert re.findall(r"^Groups:[ \t]*(.*)$", service, re.MULTILINE) == [""]
    assert re.findall(r"^CapEff:\s+(\w+)$", service, re.MULTILINE) == ["0" * 16]
    assert re.findall(r"^NoNewPrivs:\s+(\d)$", service, re.MULTILINE) == ["1"]
    owners = fresh.in_volumes("stat -c %u:%g /data /recordings /config /log /artwork /data/* /log/*")
    assert set(owners.split()) == {"1234:2345"}


@pytest.mark.parametrize("user", ["0", "-1", "root", "1000;id", "010"])
def test_it_does_not_become_somebody_else_than_a_number(fresh: Contained, user: str) -> None:
    fresh.options = AS_ROOT
    fresh.env = {"PUID": user}

    fresh.create()

    assert fresh.wait_for_end() == 1
    assert fresh.log.startswith(f"PUID={user}, PGID={user}: these are numbers of a user and a group other than root")


def test_root_without_any_right_is_told_which_ones_it_needs(fresh: Contained) -> None:
    fresh.options = (*HARDENED, "--user", "0:0")
    fresh.env = {"PUID": "1234"}

    fresh.create()

    assert fresh.wait_for_end() == 1
    assert "it needs --cap-add SETUID --cap-add SETGID" in fresh.log
    assert "Or start it with --user 1234:1234." in fresh.log


def test_any_user_will_do_when_the_volumes_are_theirs(fresh: Contained) -> None:
    fresh.in_volumes("chown 4321:4321 /data /recordings /config /log /artwork")
    fresh.options = (*HARDENED, "--user", "4321:4321")

    fresh.start()
    fresh.make_token()

    assert fresh.call("GET", "/api/streams")["items"] == []


def test_a_setting_that_cannot_be_used_is_told(fresh: Contained) -> None:
    fresh.env = {"ROLLTAPE_BASE_PATH": "radio"}

    fresh.create()

    assert fresh.wait_for_end() == 1
    assert fresh.log.strip() == "ROLLTAPE_BASE_PATH: radio: a base path begins with /, like /radio"


def test_the_image_is_small_and_says_what_it_is(engine: Engine, image: str) -> None:
    size = int(engine.ask("image", "inspect", "--format", "{{.Size}}", image))
    told = engine.ask("image", "inspect", "--format", "{{json .Config}}", image)
    told += engine.ask("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    licence = engine.ask("run", "--rm", *engine.run_options(), "--entrypoint", "sh", image, "-c",
        "cat /usr/share/doc/libavcodec61/copyright /var/lib/dpkg/status.d/libavcodec61",
    )  # fmt: skip

    assert size < LARGEST
    assert '"org.opencontainers.image.title":"Rolltape"' in told
    assert '"org.opencontainers.image.licenses":"GPL-3.0-or-later"' in told
    assert '"User":"10001:10001"' in told
    assert str(ROOT) not in told
    assert "GNU General Public License" in licence
    assert "Version: " in licence


def test_no_program_in_the_image_lacks_a_library(engine: Engine, image: str) -> None:
    find = (
        "find /opt/rolltape/lib /usr/bin/ffmpeg /usr/lib/*/libav* -type f \\( -name '*.so*' -o -name ffmpeg \\) "
        "| xargs ldd 2>/dev/null | grep 'not found' || true"
    )
    missing = engine.ask("run", "--rm", *engine.run_options(), "--entrypoint", "sh", image, "-c", find)

    assert missing == ""


def test_nothing_in_the_recipe_is_for_one_architecture_or_one_machine() -> None:
    recipe = "\n".join(
        file.read_text()
        for file in (
            ROOT / "Dockerfile", ROOT / "docker-compose.yml", ROOT / ".env.example", *ROOT.glob("deploy/container/*")
        )
    )  # fmt: skip

    assert re.findall(r"amd64|x86_64|aarch64|--platform", recipe.replace("for amd64 and arm64", "")) == []
    assert re.findall(r"https?://(?!localhost)\S+", recipe) == []
    assert str(ROOT) not in recipe
