"""What members may ask of upscalers, describers and classifiers, and in which words they are refused."""

from __future__ import annotations

from unittest.mock import AsyncMock, create_autospec

import pytest
from msgspec import structs

from bot.commands import describe as describing
from bot.custom_ids import OfJob
from bot.errors import MemberError
from bot.job import Job
from bot.requests import tools
from bot.sources import Source
from bot.words import speaking
from inference.protocol import Describe, Input, Ready
from tests.bot.conftest import possible, ready, tool
from tests.bot.test_admission import interaction

IMAGE = Input("0" * 64, 640, 480)


def equipped(**changes: object) -> Ready:
    """An engine with two upscalers, a describer that knows two tasks, a classifier and a set of labels."""
    values: dict[str, object] = {
        "upscalers": (
            tool("plain", "Plain", scale=4),
            tool("careful", "Careful", scale=2, denoise=True),
        ),
        "describers": (tool("florence", "Florence", tasks=("detailed caption", "find")),),
        "classifiers": (tool("clip", "CLIP"),),
        "label_sets": {"things": ("boat", "house"), "moods": ("calm", "wild")},
        "max_labels": 5,
    }
    return ready(**(values | changes))


def refused(make: object) -> str:
    with pytest.raises(MemberError) as error:
        possible(make(), equipped())  # type: ignore[operator]
    return str(error.value)


def test_first_tool_of_the_catalogue_is_the_default_one() -> None:
    request = tools.upscale(IMAGE, equipped())
    assert (request.model, request.factor, request.image) == ("plain", 4, IMAGE)
    assert tools.upscale(IMAGE, equipped(), upscaler="careful").factor == 2
    assert tools.describe(IMAGE, equipped()).model == "florence"
    assert tools.classify(IMAGE, equipped(), label_set="moods").labels == ("calm", "wild")


@pytest.mark.parametrize(("scale", "factor"), [(1, 2), (3, 3), (8, 4)])
def test_a_factor_that_cannot_be_asked_for_becomes_the_nearest_one(scale: int, factor: int) -> None:
    assert tools.upscale(IMAGE, equipped(upscalers=(tool("cleaner", "Cleaner", scale=scale),))).factor == factor


def test_faces_are_made_anew_by_what_is_named() -> None:
    able = equipped(restorers=(tool("gfpgan", "GFPGAN"),))
    assert tools.upscale(IMAGE, able).faces is None
    assert tools.upscale(IMAGE, able, faces="gfpgan").faces == "gfpgan"
    assert "Nothing called 'plain' restores faces here" in refused(lambda: tools.upscale(IMAGE, able, faces="plain"))
    assert "leave `faces` out" in refused(lambda: tools.upscale(IMAGE, equipped(), faces="gfpgan"))


@pytest.mark.parametrize(
    ("make", "what"), [(tools.upscale, "upscaler"), (tools.describe, "describer"), (tools.classify, "classifier")]
)
def test_missing_tool_is_named(make: object, what: str) -> None:
    bare = equipped(upscalers=(), describers=(), classifiers=())
    assert refused(lambda: make(IMAGE, bare)).startswith(f"No {what} is on this machine")  # type: ignore[operator]


def test_unknown_tool_is_refused_with_those_that_there_are() -> None:
    assert refused(lambda: tools.upscale(IMAGE, equipped(), upscaler="magic")) == (
        "There is no upscaler called 'magic': choose one of plain, careful."
    )


@pytest.mark.parametrize("factor", [1, 5, -2])
def test_factor_that_nobody_offers_is_refused(factor: int) -> None:
    assert "choose one of 2, 3, 4" in refused(lambda: tools.upscale(IMAGE, equipped(), factor=factor))


def test_result_beyond_all_bounds_is_refused() -> None:
    large = Input("0" * 64, 6000, 6000)
    assert "140 million pixels" in refused(lambda: tools.upscale(large, equipped(), factor=4))
    assert tools.upscale(Input("0" * 64, 3840, 2160), equipped(), factor=4).factor == 4


def test_denoise_is_for_those_who_can() -> None:
    assert tools.upscale(IMAGE, equipped(), upscaler="careful", denoise=0.5).denoise == 0.5
    assert "takes no denoise" in refused(lambda: tools.upscale(IMAGE, equipped(), denoise=0.5))
    assert "from 0 to 1" in refused(lambda: tools.upscale(IMAGE, equipped(), upscaler="careful", denoise=1.5))


def test_a_caption_is_told_in_the_language_that_is_spoken_where_the_describer_knows_it() -> None:
    florence = tool("florence", "Florence", tasks=("caption", "find"))
    told = equipped(describers=(structs.replace(florence, languages=("zh-CN",)),))
    assert tools.describe(IMAGE, told, task="caption", language="zh-CN").language == "zh-CN"
    assert tools.describe(IMAGE, told, task="caption", language="de").language == ""
    assert tools.describe(IMAGE, equipped(), task="caption", language="zh-CN").language == ""
    # What is found is where it is, in any language.
    assert tools.describe(IMAGE, told, task="find", text="a boat", language="zh-CN").language == ""
    assert tools.describe(IMAGE, told, task="caption").language == ""


async def test_describe_and_its_buttons_ask_in_the_language_that_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    able = tool("florence", "Florence", tasks=("detailed caption", "read text"))
    pressed = interaction()
    admission = pressed.client.admission
    admission.ready = equipped(describers=(structs.replace(able, languages=("zh-CN",)),))
    admission.submit_on, admission.submit = AsyncMock(), AsyncMock()
    source = create_autospec(Source, instance=True)
    before = create_autospec(Job, instance=True)
    before.id, before.request = 7, Describe(job=7, model="florence", image=IMAGE, task="read text")
    monkeypatch.setattr(describing.sources, "of_target", AsyncMock(return_value=source))
    monkeypatch.setattr(describing.sources, "job_of", AsyncMock(return_value=before))
    for language, told in (("en", ""), ("zh-CN", "zh-CN")):
        with speaking(language):
            await describing.ask(pressed, OfJob(7))
            assert admission.submit_on.await_args.args[2](IMAGE).language == told
            await describing.ask_more(pressed, OfJob(7))
            assert admission.submit.await_args.args[1].language == told


def test_chinese_labels_stand_in_chinese_sentences() -> None:
    def templates(labels: str) -> tuple[str, ...]:
        return tools.classify(IMAGE, equipped(), labels=labels).templates

    assert templates("猫，狗") == tools.TEMPLATES_ZH == ("{}", "{}的图片")
    assert templates("cat, dog") == templates("猫, dog") == tools.TEMPLATES
    assert tools.classify(IMAGE, equipped(), labels="猫", label_set="moods").templates == tools.TEMPLATES


def test_tasks_that_look_for_something_want_to_know_what() -> None:
    assert tools.describe(IMAGE, equipped(), task="find", text=" a boat ").text == "a boat"
    assert "say what in the option `text`" in refused(lambda: tools.describe(IMAGE, equipped(), task="find"))
    assert "takes no text" in refused(lambda: tools.describe(IMAGE, equipped(), text="a boat"))
    assert "shorten it" in refused(lambda: tools.describe(IMAGE, equipped(), task="find", text="x" * 301))


def test_task_that_the_describer_does_not_know_is_refused() -> None:
    assert refused(lambda: tools.describe(IMAGE, equipped(), task="read text")) == (
        "Florence cannot do 'read text': choose one of detailed caption, find."
    )


@pytest.mark.parametrize(
    ("typed", "labels"),
    [
        ("boat, house,cat", ["boat", "house", "cat"]),
        (" a red   boat ;\n house ", ["a red boat", "house"]),
        ("船，房子、猫；狗", ["船", "房子", "猫", "狗"]),
        (",,", []),
    ],
)
def test_labels_are_split_as_people_write_lists(typed: str, labels: list[str]) -> None:
    assert tools.split(typed) == labels


def test_own_labels_join_a_set_and_none_counts_twice() -> None:
    request = tools.classify(IMAGE, equipped(), labels="cat, boat", label_set="things")
    assert request.labels == ("cat", "boat", "house")


def test_labels_have_their_limits() -> None:
    assert "at least two" in refused(lambda: tools.classify(IMAGE, equipped(), labels="boat, boat"))
    assert "5 is the most" in refused(lambda: tools.classify(IMAGE, equipped(), labels="a,b,c,d,e,f"))
    assert "longer than 100" in refused(lambda: tools.classify(IMAGE, equipped(), labels="a," + "x" * 101))
    assert "no label set called 'x'" in refused(lambda: tools.classify(IMAGE, equipped(), label_set="x"))
