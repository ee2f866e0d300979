"""Weighed, long and broken prompts as tensors: compel, with parts and weights that `protocol.weigh_words` has read.

What fits into one window of the text encoders and weighs nothing never comes here (`prompts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from compel import EmbeddingsProvider, ReturnedEmbeddingsType, SplitLongTextMode

from inference.families.words import Weighing
from inference.protocol import WeighedWords, chunks


class Weigher:
    """The text encoders of one pipeline whose states are weighed."""

    def __init__(self, pipeline: Any, weighing: Weighing, skipped: int = 0) -> None:
        """`skipped` is how many layers earlier than usual the states are taken."""
        self._providers = [
            _Provider(
                skipped,
                getattr(pipeline, tokenizer),
                getattr(pipeline, encoder),
                # Its own would be wrong for one that waits elsewhere until it works.
                device=pipeline._execution_device,
                truncate=False,
                returned_embeddings_type=ReturnedEmbeddingsType[weighing.states],
                split_long_text_mode=SplitLongTextMode.PHRASES,
            )
            for tokenizer, encoder in weighing.encoders
            if getattr(pipeline, encoder) is not None
        ]

    def encode(self, parts: Sequence[WeighedWords]) -> torch.Tensor:
        """The states of a prompt's windows one after another: (1, windows x window, features)."""
        return torch.cat([self._chunk(chunk) for chunk in chunks(parts)], dim=1)

    def empty(self) -> torch.Tensor:
        """The states of a window that holds no words: (1, window, features)."""
        return torch.cat([provider.empty_z for provider in self._providers], dim=-1)

    def _chunk(self, parts: Sequence[WeighedWords]) -> torch.Tensor:
        states = [self._encode(provider, parts) for provider in self._providers]
        # Tokenizers could cut the same words into different numbers of windows.
        longest = max(each.shape[1] for each in states)
        padded = [pad(each, provider.empty_z, longest) for each, provider in zip(states, self._providers, strict=True)]
        return torch.cat(padded, dim=-1)

    def _encode(self, provider: EmbeddingsProvider, parts: Sequence[WeighedWords]) -> torch.Tensor:
        # compel looks every part up among the tokens, and cannot find one that has none.
        said = [part for part in parts if provider.get_token_ids([part.text], include_start_and_end_markers=False)[0]]
        if not said:
            nothing: torch.Tensor = provider.empty_z
            return nothing
        states: torch.Tensor = provider.get_embeddings_for_weighted_prompt_fragments(
            [[part.text for part in said]], [[part.weight for part in said]], device=provider.device
        )
        return states


class _Provider(EmbeddingsProvider):  # type: ignore[misc]
    """compel's, which can take the states of an earlier layer."""

    def __init__(self, skipped: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._skipped = skipped

    def _encode_token_ids_to_embeddings(
        self, token_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        if not self._skipped:
            usual: torch.Tensor = super()._encode_token_ids_to_embeddings(token_ids, attention_mask)
            return usual
        last = self.returned_embeddings_type == ReturnedEmbeddingsType.LAST_HIDDEN_STATES_NORMALIZED
        output = self.text_encoder(token_ids, attention_mask, output_hidden_states=True, return_dict=True)
        states: torch.Tensor = output.hidden_states[-self._skipped - (1 if last else 2)]
        # The norm that would have come after the last layer, as it was trained.
        own: Any = getattr(self.text_encoder, "text_model", self.text_encoder)
        return own.final_layer_norm(states) if last else states


def pad(states: torch.Tensor, window: torch.Tensor, length: int) -> torch.Tensor:
    """The states followed by as many copies of a window as make them so long."""
    missing = (length - states.shape[1]) // window.shape[1]
    return torch.cat([states, *[window.to(states)] * missing], dim=1)
