"""What can be asked for: pictures from words or from pictures, the models that there are, a picture by its address.

Each is given the key by which it is asked, but for the last, whose address is enough.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from bot import permits
from bot.admission import Admission
from bot.job import Reply
from bot.keys import Key
from bot.pictures import masks
from bot.pictures.decoding import Upload
from bot.pictures.posted import Sent
from bot.requests import painting
from bot.requests.painting import STRENGTH
from bot.serving import asked, forms, links
from bot.serving.answers import Answers, Wanted
from bot.serving.asked import Edit, Generate
from bot.serving.entrance import Entrance
from bot.serving.holders import Holders
from bot.serving.links import SUFFIXES
from bot.serving.refusals import Refusal
from bot.words import say
from inference.protocol import Imagine, Input, ModelInfo, Ready

UPLOADS_AT_ONCE = 8
"""So many forms are received at a time: that bounds what they take of the disk."""

OWNER = "easel"

Handler = Callable[[web.Request, Key], Awaitable[web.StreamResponse]]


class Images:
    """Answers programs."""

    def __init__(self, admission: Admission, holders: Holders, entrance: Entrance, url: str | None = None) -> None:
        """`url` is how programs reach it where that is not as their requests say, as behind a proxy."""
        self._admission = admission
        self._holders = holders
        self._entrance = entrance
        self._answers = Answers(admission.delivery.outgoing)
        self._receiving = asyncio.Semaphore(UPLOADS_AT_ONCE)
        self._url = url
        self._began_at = int(time.time())

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """What needs a key, by its method and path."""
        return {
            ("POST", "/v1/images/generations"): self.generate,
            ("POST", "/v1/images/edits"): self.edit,
            ("GET", "/v1/models"): self.models,
            ("GET", "/v1/models/{model}"): self.model,
        }

    async def generate(self, request: web.Request, key: Key) -> web.StreamResponse:
        """Pictures from words."""
        wanted = asked.of_json(await forms.body(request))
        reply = await self._holders.reply_of(key, "imagine", lasts=wanted.as_url)
        options, ready, _ = self._settled(wanted, reply)

        def build() -> Imagine:
            return painting.resolve(options, ready)

        async with self._entrance.asked(reply, build, {}, None, ExitStack()) as (_, caller):
            how = Wanted(key, wanted, self._origin(request), "image_generation")
            return await self._answers.answer(request, caller, how)

    async def edit(self, request: web.Request, key: Key) -> web.StreamResponse:
        """Pictures from pictures: what is transparent in a mask is painted anew or, by a model that is told what to do,
        all of it as the words say; without a mask the picture is where painting begins."""
        # Before anything is received: who may not ask for it sends nothing.
        reply = await self._holders.reply_of(key, "edit")
        with ExitStack() as desks:
            with self._admission.room.held(key.member_id):
                async with self._receiving:
                    form = await forms.receive(request, desks.enter_context(self._admission.workshop.desk()))
            wanted = asked.of_fields(form.fields)
            if not form.images:
                raise Refusal(400, say("{param} is missing.", param=forms.IMAGE), param=forms.IMAGE)
            reply = replace(reply, lasts=wanted.as_url)
            kept = desks.pop_all()
        first, *others = form.images
        pictures: dict[str, Sent] = {"image": first}
        if form.mask is not None:
            pictures["mask"] = form.mask
        pictures |= {f"reference{number}": other for number, other in enumerate(others)}
        try:
            build = self._editing(wanted, reply, masked=form.mask is not None)
        except BaseException:
            kept.close()
            raise
        async with self._entrance.asked(reply, build, pictures, self._prepared, kept) as (_, caller):
            how = Wanted(key, wanted, self._origin(request), "image_edit")
            return await self._answers.answer(request, caller, how)

    async def models(self, _: web.Request, key: Key) -> web.Response:
        """The models that may paint here."""
        reply = await self._holders.reply_of(key, "imagine")
        return web.json_response({"object": "list", "data": [self._model(one) for one in self._allowed(reply)]})

    async def model(self, request: web.Request, key: Key) -> web.Response:
        """One of them."""
        reply, name = await self._holders.reply_of(key, "imagine"), request.match_info["model"]
        for one in self._allowed(reply):
            if one.name == name:
                return web.json_response(self._model(one))
        painting.model_of(name, self._admission.ready)
        text = say("The model {model} is not allowed here.", model=name)
        raise Refusal(403, text, code="not_allowed", param="model")

    async def picture(self, request: web.Request) -> web.Response:
        """A picture by its address."""
        gone = Refusal(404, say("This address is not good any more: ask for the picture again."), code="gone")
        if (parsed := links.parse(request.match_info["link"])) is None:
            raise gone
        linked, mac = parsed
        key, job = await self._admission.jobs.keys.find(linked.key_id), None
        if key is not None and links.holds(linked, mac, key):
            job = await self._admission.jobs.find(linked.job_id)
        if job is None or job.reply.key_id != linked.key_id or not linked.index < len(job.pictures):
            raise gone
        data = await self._answers.file(job, linked.index, linked.format, linked.quality)
        named = f'inline; filename="easel-{job.id}-{linked.index + 1}.{SUFFIXES[linked.format]}"'
        return web.Response(body=data, content_type=f"image/{linked.format}", headers={"Content-Disposition": named})

    def _settled(self, wanted: Generate, reply: Reply) -> tuple[painting.Options, Ready, ModelInfo]:
        """What is asked for, with what is set for its member where it says nothing, as in Discord. Raises Refusal,
        MemberError."""
        policy = permits.policy_of(self._admission, reply)
        ready = permits.offers_to(self._admission, reply)
        options = wanted.options()
        model = painting.model_of(options.model, ready)
        negative = permits.negative_of(self._admission, reply.member_id, options.negative, model)
        return replace(options, negative=negative, style=policy.styled(options.style, model)), ready, model

    def _editing(self, wanted: Edit, reply: Reply, *, masked: bool) -> Callable[..., Imagine]:
        options, ready, model = self._settled(wanted, reply)
        options = replace(options, strength=wanted.strength)

        def build(image: Input, mask: Input | None = None, **others: Input) -> Imagine:
            if mask is None and model.fills and not image.sha256:
                # Until the picture has been read: it may be transparent.
                mask = Input("", image.width, image.height)
            if mask is not None and not mask.sha256:
                # It has its picture's size, or is refused when it is read.
                mask = Input("", image.width, image.height)
            whole = mask is None and not model.references and not others
            given = replace(options, strength=STRENGTH) if whole and options.strength is None else options
            return painting.edit(given, image, mask, others.values(), ready, in_part=mask is not None or masked)

        return build

    async def _prepared(
        self, folder: Path, image: Upload, mask: Upload | None = None, **others: Upload
    ) -> Mapping[str, Upload]:
        prepared = await self._admission.workshop.uploads.run(masks.of_holes, folder, image, mask)
        return {**prepared, **others}

    def _allowed(self, reply: Reply) -> list[ModelInfo]:
        policy = self._admission.policies.of(reply)
        return [one for one in self._admission.ready.models if policy.admits(one.name)]

    def _origin(self, request: web.Request) -> str:
        """What addresses of pictures begin with. What a proxy says of it in headers anybody could say."""
        return self._url or str(request.url.origin())

    def _model(self, model: ModelInfo) -> dict[str, Any]:
        return {"id": model.name, "object": "model", "created": self._began_at, "owned_by": OWNER}
