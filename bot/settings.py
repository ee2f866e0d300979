"""What the operator sets, read from the environment and a `.env` file when asked, never on import."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot.errors import OperatorError
from bot.words.catalogues import ENGLISH, languages
from inference.protocol import AUTO, devices

DISCORD_API = "https://discord.com/api/v10"


def _engine(text: str) -> str:
    """The engine of this machine, or those of a Ray cluster: one made here, the one that runs here, one by address."""
    if not re.fullmatch(r"local|ray:local|ray:auto|ray:[^:/\s]+:\d+|ray://\S+", text):
        raise ValueError("set local, ray:local, ray:auto, ray:HOST:PORT or ray://HOST:PORT")
    return text


def _switch(text: str) -> bool:
    if text.strip().lower() not in ("on", "off"):
        raise ValueError("set on or off")
    return text.strip().lower() == "on"


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


WATCH = Address("127.0.0.1", 32735)
"""Where the bot can be looked at unless the operator says otherwise: EASEL on a telephone's keys."""


def _listen(text: str) -> Address | None:
    """A host and a port, or a port of this machine alone; None where nothing listens."""
    if text.strip().lower() == "off":
        return None
    found = re.fullmatch(r"(?:(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+\]):)?(?P<port>\d{1,5})", text.strip())
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ValueError("set HOST:PORT, a port alone, or off")
    return Address((found["host"] or WATCH.host).strip("[]"), int(found["port"]))


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise ValueError("set the address of a time stamp authority, such as http://timestamp.example.org")
    return text


def _train(text: str) -> str:
    """Whether LoRAs are trained, or the one device on which they are."""
    if not re.fullmatch(r"on|off|cpu|cuda:\d{1,3}", named := text.strip().lower()):
        raise ValueError("set on, off, or one device: cpu or cuda:1")
    return named


def _public(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text) or re.search(r"/v1/?$", text):
        raise ValueError("set what comes before /v1 in the address by which programs reach it, as https://HOST")
    return text.rstrip("/")


Place = Annotated[Path, AfterValidator(Path.absolute)]
"""From the root on: the processes that read and sign pictures work in another folder than the bot."""


class Settings(BaseSettings):
    """The settings, each named as its variable; `.env.example` explains them."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    discord_token: SecretStr
    discord_api_base: str = DISCORD_API
    easel_data: Annotated[Place, Field(validate_default=True)] = Path("data")
    easel_engine: Annotated[str, BeforeValidator(_engine)] = "local"
    easel_device: Annotated[tuple[str, ...], BeforeValidator(devices), Field(validate_default=False)] = (AUTO,)
    easel_log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"
    easel_log_format: Annotated[Literal["text", "json"], BeforeValidator(str.lower)] = "text"
    easel_engine_silence_s: Annotated[float, Field(gt=0)] = 300.0
    easel_language: str = ENGLISH
    easel_direct_messages: Annotated[bool, BeforeValidator(_switch), Field(validate_default=False)] = True
    easel_member_install: Annotated[bool, BeforeValidator(_switch), Field(validate_default=False)] = False
    easel_c2pa: Annotated[bool, BeforeValidator(_switch), Field(validate_default=False)] = True
    easel_c2pa_cert: Place | None = None
    easel_c2pa_key: Place | None = None
    easel_c2pa_tsa: Annotated[str, BeforeValidator(_address)] | None = None
    easel_policy: Path | None = None
    easel_keep_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    easel_audit_days: Annotated[int, Field(ge=1, le=3650)] = 90
    easel_watch: Annotated[Address | None, BeforeValidator(_listen), Field(validate_default=False)] = WATCH
    easel_serve: Annotated[Address | None, BeforeValidator(_listen), Field(validate_default=False)] = None
    easel_serve_url: Annotated[str, BeforeValidator(_public)] | None = None
    easel_watch_words: Annotated[bool, BeforeValidator(_switch), Field(validate_default=False)] = False
    easel_train: Annotated[str, BeforeValidator(_train)] = "on"
    easel_max_waiting: Annotated[int, Field(ge=1)] = 200
    easel_max_waiting_per_member: Annotated[int, Field(ge=1)] = 5

    @property
    def served_at(self) -> str | None:
        """The address that programs are to use, without the API's version; None where none are served."""
        return None if self.easel_serve is None else self.easel_serve_url or f"http://{self.easel_serve}"

    @property
    def cluster(self) -> str | None:
        """The address of the Ray cluster that the engines are in, as Ray has it, or `local`; None without one."""
        if self.easel_engine.startswith("ray://"):
            return self.easel_engine
        return self.easel_engine.removeprefix("ray:") if self.easel_engine.startswith("ray:") else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `read` passes: the environment is a parameter here."""
        return (init_settings,)


def environment(dotenv: Path = Path(".env")) -> dict[str, str]:
    """The process's environment over the `.env` file's lines: one mapping for both halves of Easel.

    Raises OperatorError where the file cannot be read.
    """
    try:
        lines = {name: value for name, value in dotenv_values(dotenv).items() if value}
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{dotenv} cannot be read ({error}): save it as UTF-8 text") from error
    return {**lines, **os.environ}


def data_folder(environ: Mapping[str, str]) -> Path:
    """Where everything is kept, for what can be done before there is a token."""
    return Path(environ.get("EASEL_DATA", "").strip() or Settings.model_fields["easel_data"].default).absolute()


def read(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`; an empty variable counts as unset. Raises OperatorError with one line."""
    given = {name.lower(): value for name, value in environ.items() if value.strip()}
    if "discord_token" not in given:
        raise OperatorError(
            "DISCORD_TOKEN is not set: copy .env.example to .env and put your bot's token there"
            " (or run `make demo`, which needs none)"
        )
    try:
        settings = Settings.model_validate({name: given[name] for name in Settings.model_fields if name in given})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        problem = first["msg"].removeprefix("Value error, ")
        raise OperatorError(f"{name} is {first['input']!r}: {problem[0].lower()}{problem[1:]}") from error
    if settings.cluster is not None and settings.easel_device not in ((AUTO,), ("cuda",), ("cpu",)):
        raise OperatorError(
            f"EASEL_DEVICE is {given['easel_device']!r}: a Ray cluster gives each engine its card, so set auto, or cpu"
        )
    if (settings.easel_c2pa_cert is None) is not (settings.easel_c2pa_key is None):
        raise OperatorError("EASEL_C2PA_CERT and EASEL_C2PA_KEY belong together: set both, or neither")
    if settings.easel_serve_url is not None and settings.easel_serve is None:
        raise OperatorError(
            "EASEL_SERVE_URL says where programs are served, and EASEL_SERVE that none are: set that, too"
        )
    if settings.easel_language not in languages():
        known = ", ".join(languages())
        raise OperatorError(f"EASEL_LANGUAGE is {settings.easel_language!r}: choose one of {known}")
    if not settings.discord_api_base.startswith(("http://", "https://")):
        raise OperatorError(
            f"DISCORD_API_BASE is {settings.discord_api_base!r}: it must begin with http:// or https://"
        )
    return settings
