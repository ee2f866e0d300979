"""The world as it begins: two servers, their people and their channels. Their ids never change."""

from __future__ import annotations

from sandbox.community.guilds import Guild
from sandbox.community.people import EASEL, EASEL_ID, Person, Role
from sandbox.community.permissions import EVERYONE, MODERATOR, Permission
from sandbox.community.places import PRIVATE_THREAD, PUBLIC_THREAD, TEXT, Channel

BEGAN = 1_704_067_200.0
GUILD_ID = 1_100_000_000_000_000_000
PRINT_ROOM_ID = 1_100_000_000_000_002_000
PICTURES_ID, GENERAL_ID, AFTER_DARK_ID = (GUILD_ID + number for number in (1, 2, 3))
TIPS_ID, BACK_ROOM_ID = GUILD_ID + 21, GUILD_ID + 22
ADA_ID, GRACE_ID, LINUS_ID, MEI_ID, BARBARA_ID, HEDY_ID, ALAN_ID = (GUILD_ID + 101 + number for number in range(7))
MOST_MEMBERS = 100_000
_CROWD_ID = 1_100_000_000_001_000_000

PEOPLE = (
    Person(ADA_ID, "Ada"),
    Person(GRACE_ID, "Grace"),
    Person(LINUS_ID, "Linus"),
    Person(MEI_ID, "Mei", locale="zh-CN"),
    Person(BARBARA_ID, "Barbara"),
    Person(HEDY_ID, "Hedy"),
    Person(ALAN_ID, "Alan"),
)


def crowd(count: int) -> list[Person]:
    """Return that many more people: `member-1`, `member-2`…"""
    # In blocks of a thousand, because the thousand ids after each block are those of its direct messages.
    ids = (_CROWD_ID + number // 1000 * 2000 + number % 1000 for number in range(count))
    return [Person(person_id, f"member-{number}", crowd=True) for number, person_id in enumerate(ids, start=1)]


def guilds(many: list[Person]) -> list[Guild]:
    """Return the servers; the crowd is in the first."""
    studio = _guild(GUILD_ID, "Easel Studio", BARBARA_ID, (ADA_ID, GRACE_ID, LINUS_ID, MEI_ID, BARBARA_ID), GRACE_ID)
    studio.members.update(dict.fromkeys((person.id for person in many), ()))
    return [studio, _guild(PRINT_ROOM_ID, "Print Room", HEDY_ID, (ADA_ID, HEDY_ID, ALAN_ID), ALAN_ID)]


def channels() -> list[Channel]:
    """Return the text channels and threads of all servers."""
    return [
        Channel(id=PICTURES_ID, type=TEXT, guild_id=GUILD_ID, name="pictures", topic="Ask Easel for pictures: type /"),
        Channel(id=GENERAL_ID, type=TEXT, guild_id=GUILD_ID, name="general", position=1),
        Channel(id=AFTER_DARK_ID, type=TEXT, guild_id=GUILD_ID, name="after-dark", position=2, nsfw=True),
        _thread(TIPS_ID, PUBLIC_THREAD, "tips", PICTURES_ID, (LINUS_ID,)),
        _thread(BACK_ROOM_ID, PRIVATE_THREAD, "back-room", GENERAL_ID, (GRACE_ID, ADA_ID, EASEL_ID)),
        Channel(id=PRINT_ROOM_ID + 1, type=TEXT, guild_id=PRINT_ROOM_ID, name="prints"),
        Channel(id=PRINT_ROOM_ID + 2, type=TEXT, guild_id=PRINT_ROOM_ID, name="lobby", position=1),
    ]


def _guild(guild_id: int, name: str, owner_id: int, members: tuple[int, ...], moderator_id: int) -> Guild:
    moderators = Role(guild_id + 11, "Moderators", MODERATOR, 2, 0x3498DB)
    bots = Role(guild_id + 12, EASEL.name, Permission(0), 1, managed=True)
    everyone = Role(guild_id, "@everyone", EVERYONE, 0)
    roles: dict[int, tuple[Role, ...]] = dict.fromkeys(members, ())
    roles |= {moderator_id: (moderators,), EASEL_ID: (bots,)}
    return Guild(guild_id, name, owner_id, (everyone, bots, moderators), roles)


def _thread(thread_id: int, kind: int, name: str, parent_id: int, members: tuple[int, ...]) -> Channel:
    return Channel(
        id=thread_id,
        type=kind,
        guild_id=GUILD_ID,
        name=name,
        parent_id=parent_id,
        owner_id=members[0],
        created=BEGAN,
        joined=dict.fromkeys(members, BEGAN),
    )
