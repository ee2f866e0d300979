"""The bot put together, from the ground up, and kept running until it is told to stop: the composition root."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence

from bot import commands, doctor, folder, notices, presence, upgrade
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
from bot.localisation import Languages
from bot.log_channel import LogChannel
from bot.pictures.kept import Pictures
from bot.pictures.posted import Cdn
from bot.pictures.workers import Workshop
from bot.policies import operator
from bot.policies.kept import Policies
from bot.policies.policy import ALWAYS
from bot.posting import Posting
from bot.retention import Retention
from bot.serving import server as programs
from bot.serving.entrance import Entrance, hang_up
from bot.serving.holders import Holders
from bot.serving.images import Images
from bot.settings import Settings
from bot.teaching.posts import Posts
from bot.training import making as training
from bot.watch import calls, page, server
from bot.watch.disk import Disk
from bot.watch.health import Health
from bot.watch.metrics import Metrics
from bot.watch.recent import History
from bot.watch.standings import Standings
from bot.watch.status import Observatory
from bot.watch.watching import Watching

log = logging.getLogger(__name__)

CLOSE_WITHIN_S = 5.0
"""How long what is on its way to members may take at the end; the rest is delivered after the next start."""


async def until_stopped(read: Settings, environ: Mapping[str, str]) -> None:
    """Run until SIGINT or SIGTERM."""
    running = asyncio.create_task(_run(read, environ))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        log.info("stopped")
    except ExceptionGroup as errors:
        raise for_the_operator(errors) or errors from None


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


def for_the_operator(errors: BaseExceptionGroup[BaseException]) -> OperatorError | None:
    """What the operator must hear of, however deep it lies in the group; None where that is nothing of theirs."""
    found, _ = errors.split(OperatorError)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]  # type: ignore[assignment]
    return found
