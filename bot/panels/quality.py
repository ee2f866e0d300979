"""How good a server's models are, in words: what its members think of them, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot import cards
from bot.measured import Figure, Measured
from bot.panels.page import small, title
from bot.ratings import Mean, OfModel
from bot.words import N_, say, say_many

LISTED = 8
"""So many models, those first of which members have said most."""

OTHERS = 3
"""So many that each was compared with, those first about which most members have said something."""

NAMES: Mapping[str, str] = {
    "CLIP score": N_("CLIP score {value}"),
    "FID": N_("FID {value}"),
    "Inception Score": N_("Inception Score {value}"),
}
"""By the names of `measured.SHOWN`."""


def of_models(used: Iterable[str], thought: Mapping[str, OfModel], measured: Mapping[str, Measured]) -> list[str]:
    """A line for each model of which something is known; none where there is none."""
    known = [*thought, *(name for name in used if name in measured and name not in thought)]
    if not known:
        return []
    lines = [f"- {cards.plain(name)}: {_of(name, thought, measured)}" for name in known[:LISTED]]
    heading = title(say("How good the pictures are, as far as is known"))
    means = [mean for of in thought.values() for mean in (of.stars, of.won) if mean is not None]
    return [heading, *lines, *map(small, _remarks(means))]


def _of(name: str, thought: Mapping[str, OfModel], measured: Mapping[str, Measured]) -> str:
    said = []
    if (of := thought.get(name)) is not None:
        if of.stars is not None:
            count = say_many("{count} rating", "{count} ratings", of.stars.count)
            stars = _with_error(of.stars, 1, 1)
            said.append(say("{stars} of 5 stars ({count}, {members})", stars=stars, count=count, members=_by(of.stars)))
        if of.won is not None:
            count = say_many("{count} vote", "{count} votes", of.won.count)
            share = _with_error(of.won, 100, 0)
            said.append(
                say("won {share} % of comparisons ({count}, {members})", share=share, count=count, members=_by(of.won))
            )
        # So many members each; of who chose both as often nothing is said.
        said += [
            say("{won} : {lost} against {model}", won=won, lost=lost, model=cards.plain(other))
            for other, (won, lost) in [*of.against.items()][:OTHERS]
        ]
    if (last := measured.get(name)) is not None:
        said += [_figure(figure) for figure in last.figures]
        said.append(say("measured on {date}", date=last.date))
    return " · ".join(said)


def _by(mean: Mean) -> str:
    members = say_many("{count} member", "{count} members", mean.members)
    return say("only {members}", members=members) if mean.is_of_few else members


def _with_error(mean: Mean, scale: float, digits: int) -> str:
    error = "" if mean.error is None else f" ± {mean.error * scale:.{digits}f}"
    return f"{mean.value * scale:.{digits}f}{error}"


def _figure(figure: Figure) -> str:
    assert figure.value is not None, "those without a value are left out"
    error = "" if figure.error is None else f" ± {figure.error:.2g}"
    said = say(NAMES[figure.name], value=f"{figure.value:.3g}{error} (n {figure.n})")
    # By the starter's own CLIP, for example.
    return said if figure.comparable else say("{figure}, by a measure of its own", figure=said)


def _remarks(means: Iterable[Mean]) -> list[str]:
    known = [*means]
    said = []
    if any(mean.error is not None for mean in known):
        said.append(
            say("Every member counts once; ± is the standard error between them. Of comparisons half is chance.")
        )
    if any(mean.is_of_few for mean in known):
        said.append(say("What only few members say tells little."))
    return said
