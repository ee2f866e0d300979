"""What the operator sets for the inference process, read from an environment mapping and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.errors import SettingsError
from inference.protocol import AUTO, devices, logs

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_LEVEL = "INFO"
"""Unless the operator says another: the bot's own as well."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    models: Path
    """The catalogue, models.toml."""
    device: str
    """`auto`, `cpu`, `cuda` or `cuda:N`; the first where several are named, of which the bot gives each process one."""
    vram_budget_bytes: int | None
    """How much of the device's memory resident weights may take; None leaves it to the store."""
    host_cache_bytes: int | None
    """How much of the machine's own memory may hold what left a card; None leaves it to `device.host_share_bytes`."""
    threads: int | None
    """CPU threads of one operation; None is all cores but one."""
    log_level: str
    log_format: str
    """One of `protocol.logs.FORMATS`."""
    watermark: bool
    """Whether painted pictures bear the invisible watermark."""


def read(environment: Mapping[str, str]) -> Settings:
    """The settings in this environment, usually `os.environ`.

    Raises SettingsError, naming the variable, what it holds and what it may hold.
    """
    wanted = environment.get("EASEL_DEVICE") or AUTO
    try:
        device = devices(wanted)[0]
    except ValueError as error:
        raise SettingsError(f"EASEL_DEVICE={wanted!r} {error}") from error
    log_level = (environment.get("EASEL_LOG_LEVEL") or LOG_LEVEL).upper()
    if log_level not in LOG_LEVELS:
        raise SettingsError(f"EASEL_LOG_LEVEL={log_level!r} is no level: set one of {', '.join(LOG_LEVELS)}")
    log_format = (environment.get("EASEL_LOG_FORMAT") or logs.FORMATS[0]).lower()
    if log_format not in logs.FORMATS:
        raise SettingsError(f"EASEL_LOG_FORMAT={log_format!r} is no format: set one of {', '.join(logs.FORMATS)}")
    watermark = (environment.get("EASEL_WATERMARK") or "on").lower()
    if watermark not in ("on", "off"):
        raise SettingsError(f"EASEL_WATERMARK={environment['EASEL_WATERMARK']!r} must be on or off")
    budget_gb = _positive(environment, "EASEL_VRAM_BUDGET_GB", "a number of gigabytes such as 10 or 7.5")
    cache_gb = _positive(environment, "EASEL_HOST_CACHE_GB", "a number of gigabytes such as 16, 0 for none", least=0.0)
    threads = _positive(environment, "EASEL_THREADS", "a whole number of threads such as 4")
    if threads is not None and threads != int(threads):
        raise SettingsError(f"EASEL_THREADS={environment['EASEL_THREADS']!r} must be a whole number such as 4")
    return Settings(
        models=Path(environment.get("EASEL_MODELS") or "models.toml"),
        device=device,
        vram_budget_bytes=None if budget_gb is None else int(budget_gb * 1e9),
        host_cache_bytes=None if cache_gb is None else int(cache_gb * 1e9),
        threads=None if threads is None else int(threads),
        log_level=log_level,
        log_format=log_format,
        watermark=watermark == "on",
    )


def _positive(environment: Mapping[str, str], name: str, what: str, least: float = 1e-9) -> float | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number < 1e6:
        raise SettingsError(f"{name}={text!r} must be {what}, or be left out")
    return number
