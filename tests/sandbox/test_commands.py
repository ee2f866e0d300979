"""Registering commands, and how the client reads what members type."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.client.member import Member, Refused
from sandbox.community.world import Scene, World
from sandbox.errors import MemberError
from sandbox.member import commandbar
from tests import openapi
from tests.sandbox.rawbot import APPLICATION, DIRECT_WITH_ADA, GUILD, IMAGINE, PICTURES, RawBot

Json = dict[str, Any]
COMMANDS = f"/applications/{APPLICATION}/commands"


def command(*options: Json, **more: Any) -> Json:
    return {"name": "paint", "description": "d", "options": list(options)} | more


def option(name: str = "a", kind: int = 3, **more: Any) -> Json:
    return {"type": kind, "name": name, "description": "d", **more}


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        (command(name="Paint"), ["name"], "APPLICATION_COMMAND_INVALID_NAME"),
        (command(name="two words"), ["name"], "APPLICATION_COMMAND_INVALID_NAME"),
        (command(name="x" * 33), ["name"], "BASE_TYPE_BAD_LENGTH"),
        (command(description=""), ["description"], "BASE_TYPE_REQUIRED"),
        (command(description="x" * 101), ["description"], "BASE_TYPE_BAD_LENGTH"),
        (command(*(option(f"o{n}") for n in range(26))), ["options"], "BASE_TYPE_MAX_LENGTH"),
        (
            command(option("a"), option("b", required=True)),
            ["options", "1"],
            "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
        ),
        (
            command(option("a"), option("a")),
            ["options", "1", "name"],
            "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS",
        ),
        (command(option("A")), ["options", "0", "name"], "APPLICATION_COMMAND_INVALID_NAME"),
        (command(option(kind=12)), ["options", "0", "type"], "BASE_TYPE_CHOICES"),
        (
            command(option(choices=[{"name": "n", "value": "v"}] * 26)),
            ["options", "0", "choices"],
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            command(option(choices=[{"name": "n", "value": "v"}], autocomplete=True)),
            ["options", "0", "autocomplete"],
            "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID",
        ),
        (
            command(option(kind=4, min_value=2, max_value=1)),
            ["options", "0", "min_value"],
            "APPLICATION_COMMAND_OPTIONS_RANGE_INVALID",
        ),
        (command(option(kind=4, max_value=2**53)), ["options", "0", "max_value"], "NUMBER_TYPE_MAX"),
        (command(option(max_length=6001)), ["options", "0", "max_length"], "NUMBER_TYPE_MAX"),
        (command(option(kind=1), option("b")), ["options"], "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID"),
        ({"name": "Menu", "type": 3, "description": "d"}, ["description"], "APPLICATION_COMMAND_INVALID_FIELD"),
        (command(contexts=[0, 7]), ["contexts", "1"], "BASE_TYPE_CHOICES"),
        (command(contexts=[]), ["contexts"], "BASE_TYPE_BAD_LENGTH"),
        (command(contexts=[0, 0]), ["contexts"], "SET_TYPE_ALREADY_CONTAINS_VALUE"),
        (command(integration_types=[7]), ["integration_types", "0"], "BASE_TYPE_CHOICES"),
        (command(integration_types="all"), ["integration_types"], "LIST_TYPE_CONVERT"),
        (command(option(kind=7, channel_types=[99])), ["options", "0", "channel_types", "0"], "BASE_TYPE_CHOICES"),
        (command(name_localizations={"xx": "malen"}), ["name_localizations", "xx"], "ENUM_TYPE_COERCE"),
        (
            command(option(choices=[{"name": "n", "value": "v", "name_localizations": {"de": ""}}])),
            ["options", "0", "choices", "0", "name_localizations", "de"],
            "BASE_TYPE_REQUIRED",
        ),
    ],
)
async def test_ill_formed_commands_are_refused(bot: RawBot, body: Json, path: list[str], code: str) -> None:
    status, error = await bot.call("POST", COMMANDS, body)
    place = error["errors"]
    for part in path:
        place = place[part]
    assert (status, error["code"], place["_errors"][0]["code"]) == (400, 50035, code)
    status, error = await bot.call("PUT", COMMANDS, [body])
    assert (status, list(error["errors"])) == (400, ["0"])


async def test_two_commands_of_one_name_are_refused(bot: RawBot) -> None:
    status, error = await bot.call("PUT", COMMANDS, [command(), command()])
    assert (status, error["errors"]["1"]["name"]["_errors"][0]["code"]) == (400, "APPLICATION_COMMANDS_DUPLICATE_NAME")


async def test_command_is_created_changed_and_deleted(bot: RawBot, ada: Member) -> None:
    status, made = await bot.call("POST", COMMANDS, command(option()))
    assert (status, made["name"], made["application_id"]) == (201, "paint", APPLICATION)
    status, again = await bot.call("POST", COMMANDS, command(option()))
    assert (status, again["id"], again["version"]) == (200, made["id"], made["version"])
    path = f"{COMMANDS}/{made['id']}"
    _, changed = await bot.call("PATCH", path, {"description": "new"})
    assert (changed["description"], changed["version"] != made["version"]) == ("new", True)
    _, replaced = await bot.call("PUT", COMMANDS, [command(), {"name": "Look at it", "type": 3}])
    assert replaced[0]["id"] == made["id"]
    assert (await bot.call("GET", COMMANDS))[1] == replaced
    assert (await bot.call("DELETE", path))[0] == 204
    assert (await bot.call("GET", path))[1]["code"] == 10063
    in_guild = f"/applications/{APPLICATION}/guilds/{GUILD}/commands"
    _, theirs = await bot.call("PUT", in_guild, [command()])
    assert theirs[0]["guild_id"] == GUILD
    assert [one["name"] for one in (await ada.state())["commands"]] == ["paint", "Look at it"]
    assert openapi.problems(await ada.log()) == []


async def test_choices_keep_their_names_in_other_languages(bot: RawBot) -> None:
    small = {"name": "Small", "name_localizations": {"zh-CN": "小"}, "value": "s"}
    (made,) = await bot.register(command(option(choices=[small]), contexts=[0, 1], integration_types=[0, 1]))
    assert made["options"][0]["choices"] == [small]
    assert (made["contexts"], made["integration_types"]) == ([0, 1], [0, 1])
    given, _ = commandbar.convert(*commandbar.read([made], "/paint a:小"), {}, scene("Mei"))
    assert given[0]["value"] == "s"


async def test_commands_are_offered_to_those_who_may_use_them(bot: RawBot, ada: Member) -> None:
    await bot.register(command(name="moderate", default_member_permissions=str(1 << 13)))
    (offered,) = (await ada.state())["commands"]
    assert offered["sandbox"]["channels"] == [DIRECT_WITH_ADA]  # where nobody needs permissions
    with pytest.raises(Refused, match="no command /moderate"):
        await ada.command("/moderate")
    async with Member(bot.url, "Grace") as grace:
        (offered,) = (await grace.state())["commands"]
        assert PICTURES in offered["sandbox"]["channels"]


async def test_context_menu_command_receives_its_message(bot: RawBot, ada: Member) -> None:
    await bot.register({"name": "Look at it", "type": 3})
    gateway = await bot.login()
    message = await ada.write("look")
    waiting = asyncio.create_task(ada.menu_command("Look at it", message=message))
    interaction = (await gateway.event("INTERACTION_CREATE"))["d"]
    assert interaction["data"]["resolved"]["messages"][message["id"]]["content"] == "look"
    await bot.respond(interaction, {"type": 4, "data": {"content": "nice"}})
    assert (await waiting).message["type"] == 23


async def test_attachment_option_arrives_with_its_file(bot: RawBot, ada: Member) -> None:
    await bot.register(IMAGINE)
    gateway = await bot.login()
    waiting = asyncio.create_task(ada.command("imagine", {"prompt": "x"}, files={"picture": ("cat.png", b"meow")}))
    data = (await gateway.event("INTERACTION_CREATE"))["d"]["data"]
    attachment = data["resolved"]["attachments"][data["options"][-1]["value"]]
    assert (attachment["filename"], attachment["size"], attachment["ephemeral"]) == ("cat.png", 4, True)
    assert await ada.files({"attachments": [attachment], "embeds": [], "components": []}) == [("cat.png", b"meow")]
    waiting.cancel()


def scene(name: str = "Ada", channel: str = "pictures") -> Scene:
    world = World()
    member = world.find_member(name)
    return Scene(world, member, world.find_channel(channel, member))


STORED = [
    IMAGINE | {"id": "1", "type": 1},
    {
        "id": "2",
        "type": 1,
        "name": "model",
        "options": [
            option("info", 1, options=[option("name", choices=[{"name": "Small one", "value": "s"}])]),
            option("sets", 2, options=[option("add", 1, options=[option("whole", 5), option("who", 6)])]),
        ],
    },
]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("/imagine prompt:a red house", {"prompt": "a red house"}),
        ("/imagine seed:7 prompt: one: two, three:four ", {"seed": "7", "prompt": "one: two, three:four"}),
        ("imagine prompt:see https://example.org seed:-1", {"prompt": "see https://example.org", "seed": "-1"}),
        ("/model info name:Small one", {"name": "Small one"}),
        ("/model sets add whole:True who:@Ada", {"whole": "True", "who": "@Ada"}),
    ],
)
def test_value_goes_on_to_the_next_known_option(text: str, values: dict[str, str]) -> None:
    assert commandbar.read(STORED, text)[1] == values


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/paint x:1", "There is no command /paint here."),
        ("/", "There is no command / here."),
        ("/imagine", "The option “prompt” of /imagine is required."),
        ("/imagine prompt:", "The option “prompt” needs at least 1 characters."),
        ("/imagine a house", "“a house” belongs to no option of /imagine."),
        ("/imagine size:3 prompt:x", "/imagine has no option “size”."),
        ("/imagine prompt:a prompt:b", "The option “prompt” is given twice."),
        ("/imagine prompt:x seed:many", "The option “seed” must be a whole number, not “many”."),
        ("/imagine prompt:x seed:-1", "The option “seed” must be between 0 and 9007199254740991."),
        ("/imagine prompt:x seed:99999999999999999999", "The option “seed” must be between 0 and 9007199254740991."),
        (f"/imagine prompt:{'x' * 51}", "The option “prompt” may have at most 50 characters; these are 51."),
        ("/imagine prompt:x picture:a.png", "The option “picture” takes a file."),
        ("/model", "/model needs a sub-command: info, sets."),
        ("/model info name:other", "The option “name” is one of: Small one."),
        ("/model sets add whole:maybe", "The option “whole” is true or false."),
        ("/model sets add who:Nobody", "Nobody and nothing here is called “Nobody” (option “who”)."),
    ],
)
def test_client_refuses_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(MemberError) as refusal:
        commandbar.convert(*commandbar.read(STORED, text), {}, scene())
    assert refusal.value.sentence == sentence


def test_options_are_nested_in_their_sub_commands() -> None:
    invocation, values = commandbar.read(STORED, "/model sets add whole:true who:Ada")
    options, resolved = commandbar.convert(invocation, values, {}, scene())
    data = invocation.data(options)
    assert data["options"][0]["options"][0]["options"][0] == {"name": "whole", "type": 5, "value": True}
    assert next(iter(resolved["users"].values()))["username"] == "ada"
