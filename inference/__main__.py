"""`python -m inference`: the engine process, and what the operator does about models.

    python -m inference --fd N --data DIR      serve the bot over the inherited socket N, with pictures in this folder
    python -m inference models list            what the catalogue has, what is on this machine, and what card it needs
    python -m inference models fetch NAME …    download weights from where the catalogue says, their partners' too; what
                                               broke off goes on
    python -m inference models fetch NAME@COMMIT   its weights alone, as they were in a commit of the hub
    python -m inference models check           read what is here, and compare it with the hashes that are known
    python -m inference models add PLACE       what this file or folder is; its entry goes into models.toml, with the
                                               weights that suit the card here, or one with so much --memory
    python -m inference models profile NAME --data DIR   how many pictures pay in a pass of this model on this card
    python -m inference models convert PLACE   safetensors beside a pickle, or beside those of a folder
    python -m inference evaluate --model NAME  paint a fixed set of prompts, and say how good and how dear it is
    python -m inference train look PICTURES    whether a folder of pictures, captions and card.toml can be trained on
    python -m inference train run PICTURES --model NAME --to RUN   a LoRA of it; the same command goes on
    python -m inference train choose RUN EPOCH   let another epoch be what came of it

Exit status: 0 when the bot hung up or all is well, 1 when the engine died and should be started again or weights are
broken, 2 when the operator must act (one line on stderr says how), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from contextlib import closing, suppress
from pathlib import Path

from inference import settings
from inference.catalog import fingerprint, profiles, reading, weights
from inference.errors import DeviceLost, OperatorError, PeerBroken, PeerGone, SettingsError
from inference.exchange import words
from inference.exchange.channel import Channel
from inference.exchange.joining import bots_socket
from inference.operating import commands
from inference.protocol import INCOMING, LORAS, PICTURES, Waking, logs

COMPILED = "compiled"
"""In the bot's data folder, what was compiled for models; it may be deleted while nothing runs."""


def main(arguments: list[str]) -> int:
    """Run one of these and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference", description="Easel's inference process.")
    parser.add_argument("--fd", type=int, help="serve the bot over this inherited socket: the bot itself says so")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the bot's data folder, with --fd")
    of = parser.add_subparsers(dest="of", metavar="models|train|evaluate", help="what the operator does")
    commands.add_commands(of)
    try:
        _refuse_old(arguments)
        asked = parser.parse_args(arguments)
        if (asked.of is None) == (asked.fd is None):
            parser.error("say either `models list`, `models fetch NAME`, `evaluate` and so on, or --fd")
        if asked.data is not None and asked.of is not None and asked.what != "profile":
            parser.error("--data goes with --fd, or with models profile")
        # With it torch would run what is pickled into a file of weights.
        os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
        if asked.of is not None:
            os.environ.update(commands.environment(os.environ))
        if asked.of is None or asked.what != "fetch":
            # Only `models fetch` uses the network; the Hugging Face libraries read this when they are first imported.
            os.environ["HF_HUB_OFFLINE"] = "1"
            for secret in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
                os.environ.pop(secret, None)
        configured = settings.read(os.environ)
        # The bot reads what is said on its behalf, and may be slow or gone.
        for_the_bot = asked.fd is not None or "bot" in asked
        logs.begin(configured.log_level, configured.log_format, words.unhindered() if for_the_bot else None)
        if asked.of is not None:
            return commands.do(asked, configured, lambda: _quieten_libraries(configured.log_level))
        _serve(configured, reading.load(configured.models), asked.fd, asked.data)
    except OperatorError as error:
        print(f"easel: {error}", file=sys.stderr)
        return 2
    except (PeerBroken, DeviceLost) as error:
        logging.getLogger(__name__).critical("the engine ends: %s", error)
        return 1
    return 0


def _refuse_old(arguments: list[str]) -> None:
    """Raise SettingsError, with what is written now, where commands stand there as they were called once."""
    said = arguments[0].partition("=")[0] if arguments else ""
    if said in ("--list", "--fetch", "--add", "--convert", "--profile"):
        raise SettingsError(f"{said} is written `python -m inference models {said.removeprefix('--')}` now")


def _serve(configured: settings.Settings, known: reading.Catalog, fd: int, data: Path | None) -> None:
    if data is None or not all((data / folder).is_dir() for folder in (PICTURES, INCOMING)):
        raise SettingsError(f"--data {data or ''} names no data folder of a bot: the bot starts this process itself")
    channel = Channel(bots_socket(fd))
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
            loras=data / LORAS,
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
