"""The operator's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import doctor
from bot.errors import OperatorError
from bot.settings import data_folder, environment, read


def test_empty_variables_count_as_unset() -> None:
    settings = read({"DISCORD_TOKEN": "t", "EASEL_DATA": "", "DISCORD_API_BASE": " "})
    assert settings.easel_data == Path("data").absolute()
    assert settings.discord_api_base == "https://discord.com/api/v10"


def test_places_are_said_from_the_root_on_for_processes_that_work_elsewhere() -> None:
    own = {"EASEL_C2PA_CERT": "chain.pem", "EASEL_C2PA_KEY": "key.pem"}
    settings = read({"DISCORD_TOKEN": "t", "EASEL_DATA": "kept", **own})
    said = (settings.easel_data, settings.easel_c2pa_cert, settings.easel_c2pa_key)
    assert said == tuple(Path.cwd() / place for place in ("kept", "chain.pem", "key.pem"))
    assert data_folder({"EASEL_DATA": "kept"}) == settings.easel_data
    assert data_folder({}) == Path.cwd() / "data"


def test_token_is_not_shown_by_accident() -> None:
    assert "secret" not in repr(read({"DISCORD_TOKEN": "secret"}))


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "DISCORD_TOKEN is not set"),
        ({"DISCORD_TOKEN": " "}, "DISCORD_TOKEN is not set"),
        ({"DISCORD_TOKEN": "t", "EASEL_MAX_WAITING": "many"}, "EASEL_MAX_WAITING is 'many'"),
        ({"DISCORD_TOKEN": "t", "EASEL_MAX_WAITING": "0"}, "EASEL_MAX_WAITING is '0'"),
        ({"DISCORD_TOKEN": "t", "EASEL_KEEP_GB": "0"}, "EASEL_KEEP_GB is '0'"),
        ({"DISCORD_TOKEN": "t", "EASEL_KEEP_GB": "inf"}, "EASEL_KEEP_GB is 'inf'"),
        ({"DISCORD_TOKEN": "t", "EASEL_AUDIT_DAYS": "0"}, "EASEL_AUDIT_DAYS is '0'"),
        ({"DISCORD_TOKEN": "t", "EASEL_AUDIT_DAYS": "4000"}, "EASEL_AUDIT_DAYS is '4000'"),
        ({"DISCORD_TOKEN": "t", "EASEL_LOG_LEVEL": "LOUD"}, "EASEL_LOG_LEVEL is 'LOUD'"),
        ({"DISCORD_TOKEN": "t", "EASEL_C2PA": "maybe"}, "EASEL_C2PA is 'maybe': set on or off"),
        ({"DISCORD_TOKEN": "t", "EASEL_C2PA_CERT": "alone.pem"}, "EASEL_C2PA_CERT and EASEL_C2PA_KEY belong together"),
        ({"DISCORD_TOKEN": "t", "EASEL_C2PA_KEY": "alone.pem"}, "EASEL_C2PA_CERT and EASEL_C2PA_KEY belong together"),
        ({"DISCORD_TOKEN": "t", "EASEL_C2PA_TSA": "ftp://stamp"}, "EASEL_C2PA_TSA is 'ftp://stamp': set the address"),
        ({"DISCORD_TOKEN": "t", "EASEL_LANGUAGE": "xx"}, "EASEL_LANGUAGE is .xx.: choose one of en, en-XA"),
        ({"DISCORD_TOKEN": "t", "EASEL_ENGINE": "steam"}, "EASEL_ENGINE is 'steam': set local, ray:local"),
        ({"DISCORD_TOKEN": "t", "EASEL_ENGINE": "ray:nowhere"}, "EASEL_ENGINE is 'ray:nowhere'"),
        ({"DISCORD_TOKEN": "t", "EASEL_DEVICE": "cuda:0,toaster"}, "EASEL_DEVICE is 'cuda:0,toaster': names no device"),
        ({"DISCORD_TOKEN": "t", "EASEL_DEVICE": "auto,cpu"}, "EASEL_DEVICE is 'auto,cpu': names no device"),
        (
            {"DISCORD_TOKEN": "t", "EASEL_ENGINE": "ray:auto", "EASEL_DEVICE": "cuda:0,cuda:1"},
            "EASEL_DEVICE is 'cuda:0,cuda:1': a Ray cluster gives each engine its card",
        ),
        ({"DISCORD_TOKEN": "t", "DISCORD_API_BASE": "discord.com"}, "DISCORD_API_BASE is 'discord.com'"),
        (
            {"DISCORD_TOKEN": "t", "EASEL_SERVE": "9000", "EASEL_SERVE_URL": "https://easel.example.org/v1"},
            "EASEL_SERVE_URL is 'https://easel.example.org/v1': set what comes before /v1",
        ),
        ({"DISCORD_TOKEN": "t", "EASEL_SERVE": "9000", "EASEL_SERVE_URL": "easel.example.org"}, "EASEL_SERVE_URL is"),
        ({"DISCORD_TOKEN": "t", "EASEL_SERVE_URL": "https://easel.example.org"}, "EASEL_SERVE that none are: set that"),
        ({"DISCORD_TOKEN": "t", "EASEL_WATCH": "on"}, "EASEL_WATCH is 'on': set HOST:PORT, a port alone, or off"),
        ({"DISCORD_TOKEN": "t", "EASEL_WATCH": "0"}, "EASEL_WATCH is '0': set HOST:PORT, a port alone, or off"),
        (
            {"DISCORD_TOKEN": "t", "EASEL_WATCH": "127.0.0.1:65536"},
            "EASEL_WATCH is '127.0.0.1:65536': set HOST:PORT, a port alone, or off",
        ),
        (
            {"DISCORD_TOKEN": "t", "EASEL_WATCH": "http://localhost:9000"},
            "EASEL_WATCH is 'http://localhost:9000': set HOST:PORT, a port alone, or off",
        ),
    ],
)
def test_bad_settings_name_the_variable_in_one_line(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(OperatorError, match=sentence) as caught:
        read(environ)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, None),
        ({"EASEL_SERVE": "32736"}, "http://127.0.0.1:32736"),
        ({"EASEL_SERVE": "0.0.0.0:9", "EASEL_SERVE_URL": "https://example.org/easel/"}, "https://example.org/easel"),
    ],
)
def test_programs_are_told_the_address_that_leads_here(given: dict[str, str], url: str | None) -> None:
    assert read({"DISCORD_TOKEN": "t", **given}).served_at == url


def test_environment_wins_over_the_dotenv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DISCORD_TOKEN=from-file\nEASEL_DEVICE=cpu\nEASEL_DATA=\n")
    monkeypatch.setenv("DISCORD_TOKEN", "from-environment")
    found = environment(tmp_path / ".env")
    assert (found["DISCORD_TOKEN"], found["EASEL_DEVICE"]) == ("from-environment", "cpu")
    assert "EASEL_DATA" not in found


def test_dotenv_that_is_no_text_is_the_operators(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("DISCORD_TOKEN=é".encode("latin-1"))
    with pytest.raises(OperatorError, match="UTF-8"):
        environment(tmp_path / ".env")


@pytest.mark.parametrize(
    ("engine", "cluster"),
    [
        ("local", None),
        ("ray:local", "local"),
        ("ray:auto", "auto"),
        ("ray:10.0.0.2:6379", "10.0.0.2:6379"),
        ("ray://10.0.0.2:10001", "ray://10.0.0.2:10001"),
    ],
)
def test_cluster_is_named_as_ray_names_it(engine: str, cluster: str | None) -> None:
    assert read({"DISCORD_TOKEN": "t", "EASEL_ENGINE": engine}).cluster == cluster


@pytest.mark.parametrize(
    ("given", "devices"),
    [("", ("auto",)), ("cpu,cpu", ("cpu", "cpu")), (" cuda:0, cuda:3 ,", ("cuda:0", "cuda:3")), ("cuda", ("cuda",))],
)
def test_devices_are_a_list_with_one_engine_on_each(given: str, devices: tuple[str, ...]) -> None:
    assert read({"DISCORD_TOKEN": "t", "EASEL_DEVICE": given}).easel_device == devices


@pytest.mark.parametrize(
    ("serve", "url", "well"),
    [
        ("127.0.0.1:9", "", True),
        ("localhost:9", "", True),
        ("[::1]:9", "", True),
        ("0.0.0.0:9", "", False),
        ("10.0.0.2:9", "https://example.org", True),
        ("0.0.0.0:9", "http://127.0.0.1:9", True),
        ("127.0.0.1:9", "http://example.org", False),
    ],
)
def test_doctor_warns_where_programs_are_served_unencrypted(serve: str, url: str, well: bool) -> None:
    finding = doctor._programs(read({"DISCORD_TOKEN": "t", "EASEL_SERVE": serve, "EASEL_SERVE_URL": url}))
    assert finding.well is well
    assert well or "EASEL_SERVE_URL" in finding.line
