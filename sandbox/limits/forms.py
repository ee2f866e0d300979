"""Checks a JSON body field by field and collects what is wrong, in the nested shape of Discord's error 50035.

It knows kinds of fields (text, number, list…), not what the fields are for: that is in the modules beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sandbox.errors import DiscordError

Json = dict[str, Any]
Path = tuple[str | int, ...]


class Form:
    """One request body under examination. Call the checks, then `close`, which raises if any check failed.

    `at` is where the examined part stands in the whole body.
    """

    def __init__(self, at: Path = ()) -> None:
        self._at = at
        self._errors: Json = {}

    def error(self, path: Path, code: str, message: str) -> None:
        """Record that the field at `path` is wrong."""
        place = self._errors
        for part in (*self._at, *path):
            place = place.setdefault(str(part), {})
        place.setdefault("_errors", []).append({"code": code, "message": message})

    @property
    def failed(self) -> bool:
        return bool(self._errors)

    def close(self) -> None:
        if self._errors:
            raise DiscordError(400, 50035, "Invalid Form Body", self._errors)

    def text(
        self, body: Json, key: str, path: Path, *, least: int = 0, most: int, required: bool = False
    ) -> str | None:
        """Check a text field and return it, or None where it is absent, null or wrong."""
        value = self._present(body, key, path, required)
        if value is None:
            return None
        if isinstance(value, bool | int | float):
            value = str(value)  # Discord reads numbers as texts
        if not isinstance(value, str):
            self.error((*path, key), "STRING_TYPE_CONVERT", f'Could not interpret "{value}" as string.')
            return None
        length = len(value)
        if length < least and least == 1:
            self.error((*path, key), "BASE_TYPE_REQUIRED", "This field is required")
            return None
        if length < least or (length > most and least):
            self.error((*path, key), "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
            return None
        if length > most:
            self.error((*path, key), "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
            return None
        return value

    def number(
        self,
        body: Json,
        key: str,
        path: Path,
        *,
        least: float | None = None,
        most: float | None = None,
        required: bool = False,
        whole: bool = True,
    ) -> float | None:
        """Check a number field and return it, or None where it is absent, null or wrong."""
        value = self._present(body, key, path, required)
        if value is None:
            return None
        kind = "int" if whole else "float"
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError(value)
            number = int(value) if whole else float(value)
            if number != float(value):
                raise ValueError(value)
        except (ValueError, OverflowError):
            self.error((*path, key), "NUMBER_TYPE_COERCE", f'Value "{value}" is not {kind}.')
            return None
        if most is not None and number > most:
            self.error((*path, key), "NUMBER_TYPE_MAX", f"{kind} value should be less than or equal to {most}.")
            return None
        if least is not None and number < least:
            self.error((*path, key), "NUMBER_TYPE_MIN", f"{kind} value should be greater than or equal to {least}.")
            return None
        return number

    def choice(self, body: Json, key: str, path: Path, among: Collection[int], *, required: bool = False) -> int | None:
        """Check a whole number that must be one of `among`, and return it."""
        number = self.number(body, key, path, required=required)
        if number is None:
            return None
        if number not in among:
            listed = ", ".join(map(str, sorted(among)))
            self.error((*path, key), "BASE_TYPE_CHOICES", f"Value must be one of {{{listed}}}.")
            return None
        return int(number)

    def choices(self, body: Json, key: str, path: Path, among: Collection[int], *, least: int = 1) -> list[int] | None:
        """Check a list of different whole numbers, each one of `among`; None where it is absent, null or wrong."""
        value = body.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self.error((*path, key), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return None
        if not least <= len(value) <= len(among):
            self.error((*path, key), "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {len(among)} in length.")
            return None
        numbered = {str(index): one for index, one in enumerate(value)}
        found = [self.choice(numbered, index, (*path, key), among, required=True) for index in numbered]
        if len(set(found)) < len(found):
            self.error((*path, key), "SET_TYPE_ALREADY_CONTAINS_VALUE", "Values must be unique.")
        return [number for number in found if number is not None]

    def flag(self, body: Json, key: str, path: Path) -> bool:
        """Check a boolean field; absent and null are False."""
        value = body.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.error((*path, key), "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
            return False
        return value

    def objects(
        self,
        body: Json,
        key: str,
        path: Path,
        *,
        least: int = 0,
        most: int,
        required: bool = False,
    ) -> list[tuple[Path, Json]]:
        """Check a list of objects; return each with its own path, leaving out what is no object."""
        value = self._present(body, key, path, required)
        if value is None:
            return []
        if not isinstance(value, list):
            self.error((*path, key), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return []
        if not least <= len(value) <= most:
            code = "BASE_TYPE_BAD_LENGTH" if least else "BASE_TYPE_MAX_LENGTH"
            wanted = f"between {least} and {most}" if least else f"{most} or fewer"
            self.error((*path, key), code, f"Must be {wanted} in length.")
            return []
        found: list[tuple[Path, Json]] = []
        for index, item in enumerate(value):
            place = (*path, key, index)
            if isinstance(item, dict):
                found.append((place, item))
            else:
                self.error(place, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return found

    def mapping(self, body: Json, key: str, path: Path, *, required: bool = False) -> Json | None:
        """Check a field that holds an object, and return it."""
        value = self._present(body, key, path, required)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.error((*path, key), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            return None
        return value

    def url(self, body: Json, key: str, path: Path, *, schemes: Collection[str], required: bool = False) -> None:
        """Check a link: at most 2048 characters, its scheme one of `schemes`."""
        value = self.text(body, key, path, most=2048, required=required)
        if value is None or (value == "" and not required):
            return
        scheme, separator, rest = value.partition("://")
        if not separator or scheme not in schemes:
            listed = ", ".join(f"'{name}'" for name in sorted(schemes))
            self.error(
                (*path, key),
                "URL_TYPE_INVALID_SCHEME",
                f'Scheme "{scheme if separator else ""}" is not supported. Scheme must be one of ({listed}).',
            )
        elif not rest or any(character.isspace() for character in value):
            self.error((*path, key), "URL_TYPE_INVALID_URL", "Not a well formed URL.")

    def _present(self, body: Json, key: str, path: Path, required: bool) -> Any:
        value = body.get(key)
        if value is None and required:
            self.error((*path, key), "BASE_TYPE_REQUIRED", "This field is required")
        return value
