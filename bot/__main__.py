"""`python -m bot`: the composition root."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping

from bot import commands, settings
from bot.app import Easel
from bot.database import open_database
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.engine import Engine, LocalEngine
from bot.errors import EngineDied, OperatorError
from bot.jobs import Jobs
from bot.pictures import Pictures
from bot.queue import Queue
from bot.settings import Settings
from inference.protocol import Ready, Request


def main() -> int:
    """Run the bot until it is told to stop; returns the exit status."""
    try:
        environ = settings.environment()
        read = settings.read(environ)
        logging.basicConfig(level=read.easel_log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        asyncio.run(_until_stopped(read, environ))
    except OperatorError as error:
        if str(error):
            print(f"easel: {error}", file=sys.stderr)
        return 2
    return 0


async def _until_stopped(read: Settings, environ: Mapping[str, str]) -> None:
    """Run until SIGINT or SIGTERM."""
    running = asyncio.create_task(_run(read, environ))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("stopped")


async def _run(read: Settings, environ: Mapping[str, str]) -> None:
    """Put everything together, from the ground up, and let it run."""
    async with open_database(read.easel_data / "easel.sqlite3") as database:
        jobs = Jobs(database, Pictures(read.easel_data / "pictures"))
        engine = LocalEngine(environ)
        try:
            await _start(engine)
            served = await jobs.last_served()
            queue, quick_queue = (Queue(lambda request: _capacity(engine.ready, request), served) for _ in range(2))
            async with Easel(jobs, read.discord_api_base) as client:
                delivery = Delivery(client, jobs, commands.looks())
                dispatcher = Dispatcher(
                    jobs,
                    queue,
                    quick_queue,
                    engine,
                    delivery,
                    max_waiting=read.easel_max_waiting,
                    max_waiting_per_member=read.easel_max_waiting_per_member,
                )
                client.add(commands.load(dispatcher))
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(client.stay_connected(read.discord_token.get_secret_value()))
                        tasks.create_task(_serve(client, dispatcher))
                except* OperatorError as errors:
                    raise errors.exceptions[0] from None
                finally:
                    await delivery.close()
        finally:
            await engine.close()


async def _serve(client: Easel, dispatcher: Dispatcher) -> None:
    """Take up old jobs and run new ones, once there is somebody to answer."""
    await client.wait_until_ready()
    await dispatcher.resume()
    await dispatcher.run()


def _capacity(ready: Ready, request: Request) -> int:
    """How many pictures like this request's share a forward pass."""
    model = ready.model(request.model)
    return model.batch if model is not None else 1


async def _start(engine: Engine) -> None:
    try:
        await engine.start()
    except EngineDied as error:
        raise OperatorError(f"the inference process did not start: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
