"""ComfyUI's graphs: which of their nodes painted the picture, and with what.

Two are written: the one that was run (`prompt`: nodes by number, each with its `class_type` and `inputs`; an input is a
value, or the number of a node and which of its outputs), and the one that was drawn (`workflow`), for looking at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Node = Mapping[str, Any]
Graph = Mapping[str, Any]

MAX_NODES = 5000
"""That are looked at; the largest that people draw have some hundreds."""

SAMPLING = ("steps", "seed", "noise_seed")
"""The inputs by which a node that paints is told from others."""

WANTED: Mapping[str, Sequence[str]] = {
    "steps": ("steps",),
    "sampler_name": ("sampler_name",),
    "cfg": ("cfg", "guidance"),
    "seed": ("seed", "noise_seed"),
    "model": ("ckpt_name", "unet_name", "model_name"),
    "width": ("width",),
    "height": ("height",),
}
"""Settings, and the inputs in which nodes take them."""

TEXTS = ("text", "prompt", "text_g", "clip_l", "t5xxl", "string", "value")
"""The inputs in which nodes take words."""


def is_graph(value: Mapping[str, Any] | None) -> bool:
    """Whether this is a graph that was run."""
    return bool(value) and any(isinstance(node, dict) and "class_type" in node for node in (value or {}).values())


def is_workflow(value: Mapping[str, Any] | None) -> bool:
    """Whether this is a graph that was drawn."""
    nodes = (value or {}).get("nodes")
    return isinstance(nodes, list) and any(isinstance(node, dict) and "type" in node for node in nodes)


def settings(graph: Graph) -> dict[str, Any]:
    """What the first node that paints was given: its settings and, where its inputs lead to them, the words, the size
    and the model. Empty where no node is known to paint."""
    for node in list(graph.values())[:MAX_NODES]:
        inputs = _inputs(node)
        if "positive" in inputs and any(name in inputs for name in SAMPLING):
            break
        if "noise" in inputs and "guider" in inputs:
            # Later nodes paint with what others hold: the noise, the steps and the words stand apart.
            break
    else:
        return {}
    # The size is that of the noise before that of anything else.
    before = [inputs, *_before(graph, {"latent_image": inputs.get("latent_image"), **inputs})]
    found: dict[str, Any] = {
        setting: value
        for setting, names in WANTED.items()
        if (value := next((v for each in before for name in names if _is_plain(v := each.get(name))), None)) is not None
    }
    guider = _inputs(graph.get(_led_to(inputs.get("guider"))))
    for words, names in (("prompt", ("positive", "conditioning")), ("negative_prompt", ("negative",))):
        found[words] = next((text for start in (inputs, guider) for text in _words(graph, start, names)), "")
    return found


def _words(graph: Graph, start: Node, names: Sequence[str]) -> Iterator[str]:
    """The texts that these inputs lead to, the nearest first."""
    if not any(name in start for name in names):
        return
    for _ in range(MAX_NODES):
        # Nodes that change both the words and their opposite take them, and pass them on, under these names.
        link = next((led for name in names if (led := _led_to(start.get(name)))), "")
        if not link:
            break
        start = _inputs(graph.get(link))
    for inputs in (start, *_before(graph, start)):
        for name in TEXTS:
            if isinstance(text := inputs.get(name), str) and text.strip():
                yield text


def _before(graph: Graph, inputs: Node) -> Iterator[Node]:
    """The inputs of all nodes that lead here, the nearest first."""
    seen: set[str] = set()
    waiting = deque(_led_to(value) for value in inputs.values())
    while waiting and len(seen) < MAX_NODES:
        number = waiting.popleft()
        if number and number not in seen:
            seen.add(number)
            here = _inputs(graph.get(number))
            yield here
            waiting.extend(_led_to(value) for value in here.values())


def _led_to(link: object) -> str:
    """The number of the node that an input leads to; empty where it is a value."""
    return str(link[0]) if isinstance(link, list) and len(link) == 2 and isinstance(link[0], str | int) else ""


def _inputs(node: object) -> Node:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
