"""A whole bot on the bare library, as a program: the command line's tests start it in Easel's place."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from typing import Any

from PIL import Image

from tests.sandbox.rawbot import IMAGINE, PREFIX, Gateway, RawBot

Json = dict[str, Any]
AGAIN = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Again", "custom_id": "again"}]}


async def main() -> None:
    url = os.environ["DISCORD_API_BASE"].removesuffix(PREFIX)
    async with RawBot(url, os.environ["DISCORD_TOKEN"]) as bot:
        await bot.register(IMAGINE)
        gateway = await bot.login(compress=True)
        await asyncio.gather(_beat(gateway), _answer(bot, gateway))


async def _beat(gateway: Gateway) -> None:
    while True:
        await gateway.send(1, gateway.sequence)
        await asyncio.sleep(gateway.hello["d"]["heartbeat_interval"] / 1000)


async def _answer(bot: RawBot, gateway: Gateway) -> None:
    while True:
        try:
            interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
        except TimeoutError:
            continue
        if interaction["type"] == 3:
            await bot.respond(interaction, {"type": 4, "data": {"content": "There is nothing more.", "flags": 64}})
            continue
        options = {option["name"]: option["value"] for option in interaction["data"]["options"]}
        if options["prompt"] == "withdrawn":
            await bot.respond(interaction, {"type": 4, "data": {"content": "no, sorry"}})
            await bot.webhook("DELETE", interaction, "/messages/@original")
            continue
        if options["prompt"] == "nothing":
            continue  # and let the three seconds pass
        await bot.respond(interaction, {"type": 5})
        await bot.webhook("PATCH", interaction, "/messages/@original", {"content": "50 %"}, {"preview.png": _red()})
        await asyncio.sleep(0.3)
        body = {"content": options["prompt"], "components": [AGAIN], "attachments": [{"id": 0}]}
        await bot.webhook("PATCH", interaction, "/messages/@original", body, {"red.png": _red()})


def _red() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    if "refuse" in sys.argv:
        print("The token is missing.", file=sys.stderr)
        sys.exit(2)
    asyncio.run(main())
