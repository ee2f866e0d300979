"""`python -m bot`: the composition root.

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
import signal
import sys
from collections.abc import Mapping, Sequence

from bot import commands, doctor, folder, invitation, notices, presence, settings, upgrade, words
from bot.admission import Admission
from bot.app import Easel
from bot.background import Background
from bot.credentials import certificates
from bot.credentials.giving import Credentials
from bot.database import UNWRITTEN, open_database
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.engine import factory
from bot.engine.interface import Engine
from bot.errors import EngineDied, OperatorError
from bot.job import Job
from bot.jobs import Jobs
from bot.keeping import commands as keeping
from bot.keeping import soundness
from bot.localisation import Languages
from bot.log_channel import LogChannel
from bot.loras import operating
from bot.pictures.kept import Pictures
from bot.pictures.posted import Cdn
from bot.pictures.workers import Workshop
from bot.policies import operator
from bot.policies.kept import Policies
from bot.policies.policy import ALWAYS
from bot.posting import Posting
from bot.retention import Retention
from bot.serving import making
from bot.serving import server as programs
from bot.serving.entrance import Entrance, hang_up
from bot.serving.holders import Holders
from bot.serving.images import Images
from bot.settings import Settings
from bot.teaching.posts import Posts
from bot.training import making as training
from bot.watch import calls, page, probe, server
from bot.watch.disk import Disk
from bot.watch.health import Health
from bot.watch.metrics import Metrics
from bot.watch.recent import History
from bot.watch.standings import Standings
from bot.watch.status import Observatory
from bot.watch.watching import Watching
from bot.words.catalogues import ENGLISH
from inference.protocol import logs

log = logging.getLogger(__name__)

BESIDE = {**dict.fromkeys(keeping.COMMANDS, keeping.do), making.COMMAND: making.do, operating.COMMAND: operating.do}

CLOSE_WITHIN_S = 5.0
"""How long what is on its way to members may take at the end; the rest is delivered after the next start."""


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
            asyncio.run(_until_stopped(read, environ))
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


async def _until_stopped(read: Settings, environ: Mapping[str, str]) -> None:
    """Run until SIGINT or SIGTERM."""
    running = asyncio.create_task(_run(read, environ))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        log.info("stopped")
    except ExceptionGroup as errors:
        raise _for_the_operator(errors) or errors from None


async def _run(read: Settings, environ: Mapping[str, str]) -> None:
    """Put everything together, from the ground up, and let it run."""
    slices = commands.load()
    allowed = operator.read(read.easel_policy, slices.names - ALWAYS)
    pictures = Pictures(read.easel_data)
    try:
        pictures.prepare()
    except OSError as error:
        raise OperatorError(f"cannot write the pictures in {read.easel_data}: {error.strerror or error}") from error
    async with open_database(read.easel_data / folder.DATABASE) as database:
        upgrade.tell(read.easel_data)
        jobs = Jobs(database, pictures, audit_days=read.easel_audit_days)
        await jobs.members.load()
        await jobs.loras.load()
        jobs.keys.url = read.served_at
        policies = Policies(database, slices.commands_of_kinds, allowed, own_loras=jobs.loras.problem)
        await policies.load()
        engine = factory.build(read, environ)
        trained = training.runner(read, environ, engine, database, jobs.trainings)
        retention = Retention(database, jobs, policies, read.easel_keep_gb)
        certificate = certificates.of(read)
        background = Background()
        metrics = Metrics(slices.commands_of_kinds, slices.all_names)
        languages = Languages(read.easel_language, jobs.members.language)
        try:
            async with (
                Workshop(pictures.incoming.resolve()) as workshop,
                Easel(
                    jobs,
                    background,
                    read.discord_api_base,
                    languages,
                    direct_messages=read.easel_direct_messages,
                    by_members=read.easel_member_install,
                    observer=metrics,
                    trace=calls.trace(metrics),
                ) as client,
            ):
                posting = Posting(client)
                credentials = None
                if certificate is not None:
                    credentials = Credentials(workshop, pictures, certificate, read.easel_c2pa_tsa)
                delivery = Delivery(posting, background, jobs, slices.looks, workshop, languages, metrics, credentials)
                served = await jobs.counting.last_served()
                metrics.members |= served
                dispatcher = Dispatcher(jobs, engine, delivery, served, policies=policies, observer=metrics)
                admission = Admission(
                    jobs,
                    dispatcher,
                    posting,
                    delivery,
                    client.access,
                    workshop,
                    background,
                    Cdn(read.discord_api_base),
                    slices.commands_of_kinds,
                    policies,
                    max_waiting=read.easel_max_waiting,
                    max_waiting_per_member=read.easel_max_waiting_per_member,
                    observer=metrics,
                    credentials=credentials,
                )
                client.add(slices, admission)
                log_channel = LogChannel(client, database, admission, policies, posting, languages)
                disk = Disk(read.easel_data, pictures, log_channel.announce, read.easel_keep_gb)
                standings = Standings(
                    client, dispatcher, delivery, engine, disk, metrics, max_waiting=read.easel_max_waiting
                )
                observatory = Observatory(
                    client,
                    dispatcher,
                    engine,
                    disk,
                    History(database, slices.commands_of_kinds),
                    slices.commands_of_kinds,
                    max_waiting=read.easel_max_waiting,
                    shows_words=read.easel_watch_words,
                )
                watching = Watching(metrics, standings, Health(client, dispatcher, engine, database, disk), disk)
                images = Images(
                    admission, Holders(client, admission), Entrance(admission, background), read.easel_serve_url
                )
                served_to = programs.Server(images, jobs, languages, background.break_with, metrics).application()
                await admission.erasure.resume()
                await hang_up(jobs)
                # Before anybody can send more.
                unsettled = await jobs.unsettled()
                try:
                    async with (
                        server.serving(read.easel_watch, [*watching.routes(), *page.routes(observatory)]),
                        programs.serving(read.easel_serve, served_to),
                        asyncio.TaskGroup() as tasks,
                    ):
                        tasks.create_task(watching.keep())
                        tasks.create_task(_keep(engine, allowed))
                        tasks.create_task(doctor.at_start(read, client))
                        tasks.create_task(presence.keep(client, dispatcher))
                        tasks.create_task(background.broken())
                        tasks.create_task(client.stay_connected(read.discord_token.get_secret_value()))
                        tasks.create_task(_serve(client, dispatcher, admission, unsettled, credentials))
                        tasks.create_task(_tidy(jobs))
                        tasks.create_task(retention.keep())
                        tasks.create_task(log_channel.keep())
                        tasks.create_task(Posts(client, admission, posting, languages).keep())
                        if trained is not None:
                            tasks.create_task(trained.keep())
                        tasks.create_task(notices.keep(client, database, admission, posting, languages))
                finally:
                    delivery.close()
                    await background.close(CLOSE_WITHIN_S)
        finally:
            await engine.close()


async def _serve(
    client: Easel,
    dispatcher: Dispatcher,
    admission: Admission,
    unsettled: Sequence[Job],
    credentials: Credentials | None,
) -> None:
    """Take up old jobs and run new ones, once what is painted can be signed and there is somebody to answer."""
    if credentials is not None:
        await credentials.try_out()
    await client.wait_until_ready()
    await admission.erasure.go_on()
    await admission.delivery.pings.resume()
    await dispatcher.resume()
    await admission.resume(unsettled)
    await dispatcher.run()


async def _tidy(jobs: Jobs) -> None:
    """Remove what a kill has left over. That this fails is no reason to stop."""
    try:
        await jobs.tidy()
    except UNWRITTEN as error:
        log.warning("pictures that nobody uses could not be removed: %s", error)


async def _keep(engine: Engine, allowed: operator.Operator) -> None:
    """Start the engine, beside all else, and keep it. What is accepted meanwhile waits for it."""
    try:
        await engine.start()
    except EngineDied as error:
        raise OperatorError(f"the inference process did not start: {error}") from error
    for name, unknown in operator.strangers(allowed, engine.ready).items():
        log.warning("EASEL_POLICY: %s names what is not here: %s", name, ", ".join(unknown))
    await engine.keep()


def _for_the_operator(errors: BaseExceptionGroup[BaseException]) -> OperatorError | None:
    """What the operator must hear of, however deep it lies in the group; None where that is nothing of theirs."""
    found, _ = errors.split(OperatorError)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]  # type: ignore[assignment]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
