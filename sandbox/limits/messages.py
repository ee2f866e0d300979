"""The limits of a whole message: its text, its flags, and what may stand together in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

from sandbox.limits.components import check_components
from sandbox.limits.embeds import check_embeds
from sandbox.limits.forms import Form, Json, Path
from sandbox.storage import snowflakes
from sandbox.storage.attachments import safe_filename

MOST_CONTENT = 2000
MOST_ATTACHMENTS = 10


class Flag(IntFlag):
    SUPPRESS_EMBEDS = 1 << 2
    EPHEMERAL = 1 << 6
    LOADING = 1 << 7
    SUPPRESS_NOTIFICATIONS = 1 << 12
    HAS_SNAPSHOT = 1 << 14
    COMPONENTS_V2 = 1 << 15


@dataclass(frozen=True)
class NewFile:
    """A file of a draft: which of the uploads it is, and what the bot says about it."""

    index: int
    filename: str
    description: str | None = None


@dataclass
class Draft:
    """What a bot asks a message to be. None is *not mentioned*: an edit leaves it as it was."""

    content: str | None = None
    embeds: list[Json] | None = None
    components: list[Json] | None = None
    flags: int | None = None
    kept_attachments: dict[int, str | None] | None = None  # id to the new description
    new_files: list[NewFile] = field(default_factory=list)
    reference_id: int | None = None

    @property
    def version_2(self) -> bool:
        return bool((self.flags or 0) & Flag.COMPONENTS_V2)


def check_message(
    body: Json,
    uploads: dict[int, str],
    *,
    existing: dict[int, str] | None = None,
    version_2: bool = False,
    at: Path = (),
) -> Draft:
    """Return what `body` asks for; raise Discord's error 50035 for what Discord refuses.

    `uploads` are the filenames of the parts `files[n]`; `existing` the files of the message that is edited, and
    `version_2` whether that message already uses Components V2, which cannot be undone. `at` is where `body`
    stands in the request.
    """
    form = Form(at)
    existing = existing or {}
    draft = Draft(content=form.text(body, "content", (), most=MOST_CONTENT))
    if "content" in body and draft.content is None:
        draft.content = ""
    flags = form.number(body, "flags", ())
    draft.flags = None if flags is None else int(flags)
    version_2 = version_2 or draft.version_2
    _read_attachments(form, body, uploads, existing, draft)
    kept = existing if draft.kept_attachments is None else draft.kept_attachments
    filenames = {file.filename for file in draft.new_files} | {existing[known] for known in kept}
    if "embeds" in body:
        draft.embeds = check_embeds(form, body, filenames)
    if "components" in body:
        draft.components = check_components(form, body, filenames, version_2=version_2)
    if version_2:
        for key in ("content", "embeds", "poll", "sticker_ids"):
            if body.get(key):
                form.error(
                    (key,),
                    "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                    f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
                )
    _check_mentions(form, body)
    reference = form.mapping(body, "message_reference", ())
    if reference:
        draft.reference_id = snowflakes.parse(reference.get("message_id"))
        if draft.reference_id is None:
            form.error(("message_reference", "message_id"), "BASE_TYPE_REQUIRED", "This field is required")
    form.close()
    return draft


def _read_attachments(form: Form, body: Json, uploads: dict[int, str], existing: dict[int, str], draft: Draft) -> None:
    described: dict[int, Json] = {}
    if body.get("attachments") is not None:
        draft.kept_attachments = {}
        for path, entry in form.objects(body, "attachments", (), most=MOST_ATTACHMENTS):
            number = snowflakes.parse(entry.get("id"))
            description = form.text(entry, "description", path, most=1024)
            if number in existing:
                draft.kept_attachments[number] = description
            elif number in uploads:
                described[number] = entry
            else:
                form.error(path, "ATTACHMENT_NOT_FOUND", "Attachment data not found")
    elif "attachments" in body:
        draft.kept_attachments = {}
    for index, filename in sorted(uploads.items()):
        entry = described.get(index, {})
        name = safe_filename(str(entry.get("filename") or filename))
        draft.new_files.append(NewFile(index, name, entry.get("description")))
    kept = existing if draft.kept_attachments is None else draft.kept_attachments
    if len(draft.new_files) + len(kept) > MOST_ATTACHMENTS:
        form.error(("attachments",), "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_ATTACHMENTS} or fewer in length.")


def _check_mentions(form: Form, body: Json) -> None:
    allowed = form.mapping(body, "allowed_mentions", ())
    if not allowed:
        return
    parse = allowed.get("parse") or []
    for index, kind in enumerate(parse):
        if kind not in ("users", "roles", "everyone"):
            form.error(
                ("allowed_mentions", "parse", index),
                "BASE_TYPE_CHOICES",
                "Value must be one of ('users', 'roles', 'everyone').",
            )
    for kind in ("users", "roles"):
        if kind in parse and allowed.get(kind):
            form.error(
                ("allowed_mentions",),
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.',
            )
        for index, mention in enumerate(allowed.get(kind) or []):
            if snowflakes.parse(mention) is None:
                form.error(
                    ("allowed_mentions", kind, index),
                    "NUMBER_TYPE_COERCE",
                    f'Value "{mention}" is not snowflake.',
                )
