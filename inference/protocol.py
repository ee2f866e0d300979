"""The contract between the two halves of Easel, and its bytes.

Requests go from the bot to the inference process, events come back. Every message is a frozen, tagged
struct; on the socket it travels as one frame: four bytes of big-endian length, then MessagePack.

This is the only module of `inference` that `bot` imports, so it imports nothing but msgspec.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MAX_SEED = 2**64 - 1
"""Seeds are what `torch.Generator.manual_seed` takes without a sign: 0 to 2^64 - 1."""

MAX_FRAME_BYTES = 256 * 2**20
"""No honest message is larger: four 4096x4096 PNGs fit. A longer length prefix means a broken peer."""

FailureKind = Literal["invalid_input", "unsafe", "out_of_memory", "unavailable_model", "cancelled", "internal"]


class Variation(msgspec.Struct, frozen=True):
    """One step aside from a picture's noise: spherical interpolation towards the noise of another seed."""

    seed: int
    strength: float
    """0 leaves the noise as it is, 1 replaces it."""


class Imagine(msgspec.Struct, frozen=True, kw_only=True, tag="imagine"):
    """Paint `count` pictures from words. Every field is settled: nothing is left for the engine to choose.

    Picture `i` starts from the noise of seed `seed + i` (modulo 2^64). With `variations`, all pictures start
    from the noise of `seed`, the variations are applied in order, and the last one's seed counts up instead.
    """

    job: int
    model: str
    prompt: str
    negative: str = ""
    seed: int
    steps: int
    guidance: float
    sampler: str
    width: int
    height: int
    count: int = 1
    variations: tuple[Variation, ...] = ()

    @property
    def pass_key(self) -> tuple[object, ...]:
        """Equal for requests that can share one forward pass."""
        return (self.model, self.width, self.height, self.steps, self.sampler, self.guidance)


Request = Imagine
"""Every task a member can ask for (a union that grows with the commands)."""


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    """Requests to be run together, in one forward pass where they can share one."""

    requests: tuple[Request, ...]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop a job between two steps; it ends with `Failed(kind="cancelled")`. Unknown jobs are ignored."""

    job: int


Message = Batch | Cancel
"""Everything the bot sends."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one picture model can do, and its defaults; sizes in pixels."""

    name: str
    """The key in models.toml, which members type."""
    title: str
    family: str
    samplers: tuple[str, ...]
    sampler: str
    steps: int
    max_steps: int
    guidance: float
    max_guidance: float
    negative: bool
    """False where the model is distilled and a negative prompt changes nothing."""
    width: int
    height: int
    size_multiple: int
    min_size: int
    max_size: int
    max_pixels: int
    batch: int = 1
    """How many pictures of the default size share one forward pass; jobs that fill one ride along together."""
    upscale: int
    """The factor by which the model's upscaler enlarges what it paints before it is delivered; 1 without one."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """First event of every engine: what it can do. Choices and limits shown to members come from here."""

    models: tuple[ModelInfo, ...]
    default_model: str
    missing: tuple[str, ...]
    """Catalogue entries whose weights are not on this machine."""
    device: str
    max_count: int
    max_prompt_chars: int

    def model(self, name: str) -> ModelInfo | None:
        """The model of this name, or None where its weights are missing or nobody knows it."""
        return next((model for model in self.models if model.name == name), None)


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """A job moved on. `step` counts over all its pictures, from 0 to `steps`."""

    job: int
    step: int
    steps: int
    stage: Literal["loading", "painting", "finishing"] = "painting"


class Preview(msgspec.Struct, frozen=True, tag="preview"):
    """What a job's pictures look like so far: one small WebP, several pictures as a grid."""

    job: int
    image: bytes


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One output: a PNG that carries its recipe in its `parameters` text."""

    data: bytes
    width: int
    height: int
    seed: int
    """The seed that alone tells this picture from its neighbours (see `Imagine`)."""


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """The one good end of a job."""

    job: int
    pictures: tuple[Picture, ...]
    recipe: dict[str, Any]
    """Everything that made the pictures: request, model and revision, scheduler, versions, dtype, batch size."""
    seconds: float
    """Time the engine spent on this job, from its turn to its last byte."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The one bad end of a job. `message` is a sentence that may be shown to the member."""

    job: int
    kind: FailureKind
    message: str


Event = Ready | Progress | Preview | Finished | Failed
"""Everything the engine sends."""

_encoder = msgspec.msgpack.Encoder()
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def pack(message: Message | Event) -> bytes:
    """The message as one frame, length first."""
    payload = _encoder.encode(message)
    if len(payload) > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {len(payload)} bytes is over the frame limit of {MAX_FRAME_BYTES}")
    return len(payload).to_bytes(4, "big") + payload


def frame_bytes(header: bytes) -> int:
    """How many bytes follow this four-byte header. Raises ValueError where no honest peer wrote it."""
    length = int.from_bytes(header, "big")
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
    return length


def unpack_message(payload: bytes) -> Message:
    """What the bot sent. Raises msgspec.ValidationError or msgspec.DecodeError on anything else."""
    return _message_decoder.decode(payload)


def unpack_event(payload: bytes) -> Event:
    """What the engine sent. Raises msgspec.ValidationError or msgspec.DecodeError on anything else."""
    return _event_decoder.decode(payload)
