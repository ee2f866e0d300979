"""`python -m inference`: the engine process, and what the operator does about models.

    python -m inference --fd N --data DIR     serve the bot over the inherited socket N, with pictures in this folder
    python -m inference --list                which models the catalogue has, and which are on this machine
    python -m inference --fetch NAME          download its weights from where the catalogue says, its partners' too
    python -m inference --fetch NAME@COMMIT   its weights alone, as they were in a commit of the hub
    python -m inference --add PLACE           what this file or folder is; its entry goes into models.toml, with the
                                              weights that suit the card here, or one with so much --memory
    python -m inference --profile NAME --data DIR   how many pictures pay in a pass of this model on this card
    python -m inference --convert PLACE       safetensors beside a pickle, or beside those of a folder

Exit status: 0 when the bot hung up, 1 when the engine died and should be started again, 2 when the operator must act
(one line on stderr says how).
"""

from __future__ import annotations

import argparse
import datetime
import gc
import logging
import os
import re
import signal
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from inference import settings
from inference.catalog import adding, fetching, fingerprint, headers, looking, profiles, reading, weights
from inference.catalog.entries import Entry, FileEntry, ModelEntry, UpscalerEntry
from inference.errors import DeviceLost, OperatorError, PeerBroken, PeerGone, SettingsError, TaskError
from inference.exchange import words
from inference.exchange.channel import Channel
from inference.protocol import INCOMING, PICTURES, Waking, logs

COMPILED = "compiled"
"""In the bot's data folder, what was compiled for models; it may be deleted while nothing runs."""


def main(arguments: list[str]) -> int:
    """Run one of these and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference", description="Easel's inference process.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--fd", type=int, help="serve the bot over this inherited socket")
    what.add_argument("--list", action="store_true", help="list what the catalogue has")
    what.add_argument("--fetch", metavar="NAME[@COMMIT]", help="download the weights of this entry")
    what.add_argument("--add", type=Path, metavar="PLACE", help="write an entry for this file or folder of weights")
    what.add_argument("--convert", type=Path, metavar="PLACE", help="make safetensors of pickled weights")
    what.add_argument("--profile", metavar="NAME", help="measure how many pictures pay in a pass of this model here")
    parser.add_argument("--name", help="what the entry is called; with --add")
    parser.add_argument("--config", type=Path, metavar="DIR", help="its configurations, for odd sizes; with --add")
    parser.add_argument("--memory", type=_memory_bytes, metavar="8GB", help="what the card has; with --add")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the bot's data folder; needed with --fd and --profile"
    )
    asked = parser.parse_args(arguments)
    if asked.add is None and (asked.name or asked.config or asked.memory):
        parser.error("--name, --config and --memory go with --add")
    # With it torch would run what is pickled into a file of weights.
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    if asked.fetch is None:
        # Only --fetch uses the network; the Hugging Face libraries read this when they are first imported.
        os.environ["HF_HUB_OFFLINE"] = "1"
        for secret in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            os.environ.pop(secret, None)
    try:
        configured = settings.read(os.environ)
        # The bot reads what is said on its behalf, and may be slow or gone.
        logs.begin(configured.log_level, configured.log_format, None if asked.fd is None else words.unhindered())
        if asked.convert is not None:
            return _convert(asked.convert)
        known = reading.load(configured.models)
        if asked.add is not None:
            return _add(configured, known, asked)
        if asked.list:
            return _list(known)
        if asked.profile is not None:
            return _profile(configured, known, asked.profile, asked.data)
        if asked.fetch is not None:
            _fetch(known, asked.fetch, configured.log_level)
        else:
            _serve(configured, known, asked.fd, asked.data)
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    except (PeerBroken, DeviceLost) as error:
        logging.getLogger(__name__).critical("the engine ends: %s", error)
        return 1
    return 0


def _list(known: reading.Catalog) -> int:
    """Print the table, then a line for everything that is here and cannot be used, and return the exit status."""
    here = weights.inventory(known)
    defects = weights.defects(known)
    rows = [("NAME", "FAMILY", "HERE", "WHERE FROM")]
    for kind in reading.KINDS:
        for name, entry in known.entries(kind).items():
            match entry:
                case ModelEntry():
                    family, source = str(entry.family), entry.url or entry.path or entry.repo
                case UpscalerEntry():
                    family, source = entry.arch or kind, entry.url or entry.path
                case FileEntry():
                    family, source = kind, entry.url or entry.path
                case _:
                    family, source = kind, entry.path or entry.repo
            if not isinstance(entry, FileEntry) and entry.repo is not None:
                # The commit that is here; else what would be fetched.
                source = f"{entry.repo}@{weights.commit(entry) or entry.revision or 'main'}"
            found = "broken" if (kind, name) in defects else "yes" if name in here[kind] else "no"
            rows.append((name, family, found, str(source)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip())
    for kind in reading.KINDS:
        for name in known.entries(kind):
            if (kind, name) not in defects and (reason := weights.reason(known, kind, name)) is not None:
                print(f"[{kind}s.{name}] {reason}")
    for (kind, name), reason in defects.items():
        print(f"easel: [{kind}s.{name}] {reason}", file=sys.stderr)
    return 2 if defects else 0


def _add(configured: settings.Settings, known: reading.Catalog, asked: argparse.Namespace) -> int:
    """Say what lies there and write its entry, and return the exit status."""
    place, pickled = asked.add, None
    if place.is_file() and place.suffix in headers.PICKLES:
        # Imported here: torch takes seconds, and only a pickle needs it.
        from inference.models import converting

        pickled = converting.shapes(place)
    found = looking.look(place, known, pickled, asked.config)
    if found.kind == "embedding":
        # It is small, and which tensors are one is known to what reads it.
        from inference.models import vectors

        vectors.read(found.place, found.title)
    found, told = _advised(configured, found, asked.memory)
    called = adding.add(configured.models, found, asked.name)
    print(f"{found.place} is {found.words}: it is [{found.kind}s.{called}] in {configured.models} now")
    print(told, end="")
    return 0


def _advised(configured: settings.Settings, found: looking.Look, memory_bytes: int | None) -> tuple[looking.Look, str]:
    """What was found, with the weights that suit a card of this memory, or the card that is here, and why in a line.

    Where neither is there, as it was.
    """
    if found.assembly is None:
        return found, ""
    # Imported here: torch takes seconds.
    from inference import device

    if memory_bytes is None:
        here = device.choose(configured.device, configured.threads)
        if not here.is_cuda:
            return found, "There is no card here: --memory 8GB chooses weights for one that has so much.\n"
        memory_bytes = here.memory_bytes
    _quieten_libraries(configured.log_level)
    from inference.models import advice
    from inference.models.store import BUDGET_SHARE

    budget_bytes = configured.vram_budget_bytes or int(memory_bytes * BUDGET_SHARE)
    entry = ModelEntry(title=found.title, path=str(found.place), **found.fields)
    advised = advice.advise(found.assembly, entry, memory_bytes, budget_bytes)
    fields = found.fields if advised.weights == "full" else {**found.fields, "weights": advised.weights}
    return replace(found, fields=fields, remarks=(*found.remarks, advised.why)), f"{advised.why}\n"


def _memory_bytes(said: str) -> int:
    """What is meant by "8GB", "7.5 GB", "900MB" or "8"."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?(GB|MB)?", said.strip(), re.IGNORECASE | re.ASCII)
    number = 0 if found is None else int(float(found[1]) * (1e6 if (found[2] or "").upper() == "MB" else 1e9))
    if not 0 < number < 1e14:
        raise argparse.ArgumentTypeError(f"{said!r} is no memory of a card: write 8GB or 7.5GB")
    return number


def _convert(place: Path) -> int:
    """Print what was made of the pickles there, and return the exit status."""
    # Imported here: torch takes seconds.
    from inference.models import converting

    for made in converting.convert(place):
        print(made)
    return 0


def _fetch(known: reading.Catalog, wanted: str, log_level: str) -> None:
    name, _, revision = wanted.partition("@")
    if any(_is_of_hub(entry) for entry in fetching.wanted(known, name)):
        _quieten_libraries(log_level)
    for place in fetching.fetch(known, name, revision or None):
        print(place)
    if revision:
        print(f"easel: to use it, write revision = {revision!r} into models.toml", file=sys.stderr)


def _is_of_hub(entry: Entry) -> bool:
    return not isinstance(entry, FileEntry) and entry.repo is not None


def _profile(configured: settings.Settings, known: reading.Catalog, name: str, data: Path | None) -> int:
    """Measure, print and keep how many pictures share a pass of this model, and return the exit status."""
    if data is None or not data.is_dir():
        raise SettingsError(
            f"--data {data or ''} names no data folder of a bot: --profile keeps there what it measures"
        )
    if name not in known.models:
        raise SettingsError(f"--profile {name}: there is no [models.{name}] in {configured.models}")
    _quieten_libraries(configured.log_level)
    # Imported here: torch and diffusers take seconds that the mistakes above need not wait for.
    from inference import device, profiling, recipes

    chosen, entry = device.choose(configured.device, configured.threads), known.models[name]
    taken: dict[int, float] = {}
    try:
        for batch, seconds in profiling.measure(known, name, chosen, profiling.by_clock):
            taken[batch] = seconds
            print(f"{batch:2} in a pass: {seconds:8.3f} s, {batch / seconds:7.3f} pictures a second", flush=True)
    except TaskError as error:
        raise SettingsError(f"--profile {name}: it could not be painted with ({error})") from error
    best = profiling.choose(taken)
    if not chosen.is_cuda:
        print(f"{best} would pay; nothing is kept, for on a CPU it is `cpu_batch` in {configured.models} that counts")
        return 0
    profiles.keep(
        data,
        profiles.Profile(
            model=name,
            device=chosen.name,
            width=entry.width,
            height=entry.height,
            batch=best,
            seconds=taken,
            versions=dict(recipes.versions()),
            date=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        ),
    )
    print(f"{best} in a pass from the next start of the bot on, kept in {data / profiles.FILE}; it was {entry.batch}")
    if best != entry.batch:
        print("the same seeds will give the same pictures but for their last bits")
    return 0


def _serve(configured: settings.Settings, known: reading.Catalog, fd: int, data: Path | None) -> None:
    if data is None or not all((data / folder).is_dir() for folder in (PICTURES, INCOMING)):
        raise SettingsError(f"--data {data or ''} names no data folder of a bot: the bot starts this process itself")
    # What is written for the bot is nobody else's to read.
    os.umask(0o077)
    try:
        channel = Channel.from_fd(fd)
    except OSError as error:
        raise SettingsError(f"--fd {fd} is no open socket: the bot starts this process itself") from error
    # Ctrl-C in a terminal reaches this process too; the bot hears it and hangs up when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with closing(channel), suppress(PeerGone):
        here = weights.require(known)
        told = [configured.device, configured.vram_budget_bytes, configured.threads]
        channel.send(Waking(fingerprint.of(known, here, told)))
        # Half a million objects come with the libraries, and stay: to look for garbage meanwhile takes a fifth longer.
        gc.disable()
        # Before they are imported: torchao and bitsandbytes, where they are installed, say things then.
        _quieten_libraries(configured.log_level)
        # Imported here: torch and diffusers take seconds that the mistakes above need not wait for.
        from inference import device, engine, recipes
        from inference.marks.marking import Marks
        from inference.models import placement
        from inference.models.store import Store

        chosen = device.choose(configured.device, configured.threads)
        if chosen.is_cuda:
            known = profiles.applied(known, data, chosen.name, recipes.versions())
        models = {name: known.models[name] for name in here["model"]}
        placement.require(models, chosen)
        placement.keep_compiled(models, data / COMPILED, chosen)
        cache_bytes = configured.host_cache_bytes
        store = Store(
            catalog=known,
            device=chosen,
            vram_budget_bytes=configured.vram_budget_bytes,
            host_cache_bytes=device.host_share_bytes() if cache_bytes is None else cache_bytes,
        )
        marks = Marks(watermark=configured.watermark)
        ready = engine.readiness(known, here, chosen, marks, configured.vram_budget_bytes)
        engine.Engine(known, store, channel, data, marks).serve(ready)


def _quieten_libraries(level: str) -> None:
    """Let diffusers and transformers log as everybody else does, their advice only to who asks for details."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_default_handler()
        library.enable_propagation()
        library.disable_progress_bar()
        if level != "DEBUG":
            library.set_verbosity_error()
    if level != "DEBUG":
        # By which the hub's library asks: they tell of every single request.
        for name in ("httpx", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # What torchao and bitsandbytes want to be told of by whoever develops them.
        for name in ("torch.utils._pytree", "bitsandbytes"):
            logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
