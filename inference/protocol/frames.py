"""Messages as bytes: each a frame of four bytes of big-endian length, then MessagePack."""

from __future__ import annotations

import msgspec

from inference.protocol.events import Event
from inference.protocol.requests import Message
from inference.protocol.training import TrainerEvent, TrainerMessage

MAX_FRAME_BYTES = 16 * 2**20
"""No honest message is larger: pictures travel as files. A longer length prefix means a broken peer."""


class FrameTooLarge(ValueError):
    """A message is larger than any peer takes. Whoever made it ends its job, or refuses it."""


_encoder = msgspec.msgpack.Encoder()
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_trainer_message_decoder: msgspec.msgpack.Decoder[TrainerMessage] = msgspec.msgpack.Decoder(TrainerMessage)
_trainer_event_decoder: msgspec.msgpack.Decoder[TrainerEvent] = msgspec.msgpack.Decoder(TrainerEvent)


def pack(message: Message | Event | TrainerMessage | TrainerEvent) -> bytes:
    """The message as one frame, length first. Raises FrameTooLarge."""
    payload = _encoder.encode(message)
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"a message of {len(payload)} bytes is over the frame limit of {MAX_FRAME_BYTES}")
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


def unpack_trainer_message(payload: bytes) -> TrainerMessage:
    """What the bot told a trainer. Raises as the others do."""
    return _trainer_message_decoder.decode(payload)


def unpack_trainer_event(payload: bytes) -> TrainerEvent:
    """What a trainer said. Raises as the others do."""
    return _trainer_event_decoder.decode(payload)
