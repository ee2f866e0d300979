"""`python -m bot`: what it can be asked for, and who does it.

python -m bot                run the bot
python -m bot invite         print the links that bring it into a server
python -m bot cluster        show the nodes and engines of the Ray cluster that it uses, and its queue
python -m bot doctor         look whether all is there that it needs
python -m bot health         ask the bot that runs whether it is well
python -m bot key            make a key for a program, also while the bot runs
python -m bot lora           list and decide about LoRAs of members, also while the bot runs
python -m bot backup DIR     make one more backup in this folder, while the bot runs
python -m bot restore DIR    bring the newest backup in this folder back, or this very one, while no bot runs
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import os
import sys
from collections.abc import Mapping, Sequence

from bot import assembly, doctor, folder, invitation, settings, words
from bot.errors import OperatorError
from bot.keeping import commands as keeping
from bot.keeping import soundness
from bot.loras import operating
from bot.serving import making
from bot.settings import Settings
from bot.watch import probe
from bot.words.catalogues import ENGLISH
from inference.protocol import logs

log = logging.getLogger(__name__)

BESIDE = {**dict.fromkeys(keeping.COMMANDS, keeping.do), making.COMMAND: making.do, operating.COMMAND: operating.do}


def main(arguments: Sequence[str] = ()) -> int:
    """Run the bot until it is told to stop, or do what else is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bot", description="Easel's bot.")
    others = parser.add_subparsers(dest="what", metavar="WHAT", help="do that instead, and end")
    others.add_parser("cluster", help="show the Ray cluster and the queue")
    others.add_parser("invite", help="print the links that bring the bot into a server")
    others.add_parser("doctor", help="look whether all is there that it needs; status 1 where something is wrong")
    others.add_parser("health", help="ask the bot that runs whether it is well; status 1 where it is not")
    keeping.add_commands(others)
    making.add_command(others)
    operating.add_command(others)
    asked = parser.parse_args(arguments)
    # What Easel keeps is for its operator alone.
    os.umask(0o077)
    form = "text"
    try:
        environ = settings.environment()
        if asked.what in BESIDE:
            BESIDE[asked.what](asked, settings.data_folder(environ))
            return 0
        read = settings.read(environ)
        form = read.easel_log_format
        logs.begin(read.easel_log_level, form)
        faulthandler.enable()
        if asked.what == "cluster":
            return _show_cluster(read)
        if asked.what == "invite":
            return _invite(read)
        if asked.what == "health":
            return probe.ask(read.easel_watch)
        if asked.what == "doctor":
            with words.speaking(ENGLISH):
                return asyncio.run(_examine(read, environ))
        with folder.held(read.easel_data), words.speaking(read.easel_language):
            soundness.check(read.easel_data)
            asyncio.run(assembly.until_stopped(read, environ))
    except OperatorError as error:
        if form == "json":
            log.critical("%s", error)
        else:
            print(f"easel: {error}", file=sys.stderr)
        return 2
    return 0


def _show_cluster(read: Settings) -> int:
    """Print what the bot's cluster is and does, and the queue; returns the exit status."""
    if read.cluster is None:
        raise OperatorError("EASEL_ENGINE names no Ray cluster: the engines are on this machine (docs/scaling.md)")
    # Imported here: it brings Ray, which the bot's own process is kept free of.
    from bot.engine.cluster import showing

    for line in showing.tables(read.cluster, read.easel_data):
        print(line)
    print()
    for line in showing.queue(read.easel_data / folder.DATABASE):
        print(line)
    return 0


def _invite(read: Settings) -> int:
    """Print the links by which Easel comes into a server, and to a member; returns the exit status."""
    token, api_base = read.discord_token.get_secret_value(), read.discord_api_base
    for link in invitation.links(asyncio.run(invitation.application_of(token, api_base)), read.easel_member_install):
        print(link)
    return 0


async def _examine(read: Settings, environ: Mapping[str, str]) -> int:
    """Print what is well and what is not; returns the exit status."""
    wrong = False
    async for finding in doctor.examine(read, environ):
        print(finding, flush=True)
        wrong = wrong or not finding.well
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
