"""The certificate that Easel makes for itself, and the operator's own."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from bot import doctor
from bot.credentials import certificates, issuing
from bot.credentials.certificates import FILE
from bot.errors import OperatorError
from bot.settings import Settings, read
from tests.inference import certificates as throw_away

NOW = datetime.now(UTC)


def settings(**environ: str) -> Settings:
    return read({"DISCORD_TOKEN": "t", **environ})


def chain(data: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((data / FILE).read_bytes())


def test_made_certificate_is_as_c2pa_asks_for_it_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = certificates.made(tmp_path)
    own, authority = chain(tmp_path)
    own.verify_directly_issued_by(authority)
    authority.verify_directly_issued_by(authority)
    usage = own.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {issuing.CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION} <= set(purposes)
    assert own.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert own.not_valid_before_utc < NOW < made.ends == own.not_valid_after_utc
    assert (made.algorithm, made.subject, made.is_own) == ("ed25519", "Easel", False)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_it_stays_until_a_year_before_its_end_then_the_same_authority_issues_another(tmp_path: Path) -> None:
    first, (_, authority) = certificates.made(tmp_path), chain(tmp_path)
    assert certificates.made(tmp_path) == first
    renewed = certificates.made(tmp_path, first.ends - timedelta(days=364))
    assert renewed.ends > first.ends
    assert chain(tmp_path)[1] == authority
    assert certificates.made(tmp_path, authority.not_valid_after_utc).issuer != first.issuer


def test_several_who_ask_at_once_get_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = issuing.first

    def slowly(now: datetime) -> bytes:
        # So long that all of them are there.
        time.sleep(0.2)
        return first(now)

    monkeypatch.setattr(issuing, "first", slowly)
    with ThreadPoolExecutor(4) as starts:
        assert len(set(starts.map(certificates.made, [tmp_path] * 4))) == 1


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_killed_anywhere_while_it_is_made_leaves_nothing_broken(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        if moment == "write":
            broken.setattr(issuing, "first", lambda _: 5)
        elif moment == "fsync":
            broken.setattr("bot.credentials.certificates.os.fsync", killed)
        else:
            broken.setattr(Path, "replace", killed)
        with pytest.raises((KeyboardInterrupt, TypeError)):
            certificates.made(tmp_path)
    assert not (tmp_path / FILE).exists()
    certificates.made(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def of_others(data: Path) -> None:
    (data / FILE).write_bytes(b"something else")


def of_nobody(data: Path) -> None:
    (data / FILE).mkdir()


@pytest.mark.parametrize("spoil", [of_others, of_nobody])
def test_what_is_no_certificate_is_told_in_a_line_and_left_alone(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    spoil(tmp_path)
    with pytest.raises(OperatorError) as told:
        certificates.made(tmp_path)
    assert FILE in str(told.value)
    assert "\n" not in str(told.value)
    assert (tmp_path / FILE).exists()


def test_operators_own_certificate_wins_and_off_makes_none(tmp_path: Path) -> None:
    own, key = throw_away.write(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    named = {"EASEL_DATA": str(data), "EASEL_C2PA_CERT": str(own), "EASEL_C2PA_KEY": str(key)}
    found = certificates.of(settings(**named))
    assert found is not None
    assert (found.is_own, found.subject, found.algorithm) == (True, "Test studio", "es256")
    assert certificates.of(settings(EASEL_C2PA="off", **named)) is None
    assert not list(data.iterdir())
    made = certificates.of(settings(EASEL_DATA=str(data)))
    assert made is not None
    assert not made.is_own


def failure(certificate: Path, key: Path) -> str:
    with pytest.raises(OperatorError) as refused:
        certificates.own(certificate, key)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_of_the_operators_cannot_sign_is_told_in_one_line(tmp_path: Path) -> None:
    for name in ("one", "other", "old"):
        (tmp_path / name).mkdir()
    own, key = throw_away.write(tmp_path / "one")
    _, other = throw_away.write(tmp_path / "other")
    old = throw_away.write(tmp_path / "old", days=-1)
    none = tmp_path / "none.pem"
    assert failure(none, key) == f"EASEL_C2PA_CERT={none} cannot be read: No such file or directory"
    assert f"EASEL_C2PA_KEY={tmp_path} cannot be read" in failure(own, tmp_path)
    assert "holds no private key" in failure(own, own)
    assert "is not the key of" in failure(own, other)
    assert "holds no certificate" in failure(key, key)
    assert "ran out on" in failure(*old)


def test_doctor_says_whose_certificate_it_is_until_when_and_makes_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()

    def found(**environ: str) -> tuple[bool, str]:
        finding = doctor._certificate(settings(EASEL_DATA=str(data), **environ))
        assert finding.what == "certificate"
        return finding.well, finding.said

    def own(days: int) -> dict[str, str]:
        chain, key = throw_away.write(tmp_path, days=days)
        return {"EASEL_C2PA_CERT": str(chain), "EASEL_C2PA_KEY": str(key)}

    assert found(EASEL_C2PA="off") == (True, "pictures are not signed: EASEL_C2PA=off")
    assert found() == (True, "none yet: the first start makes it")
    assert not list(data.iterdir())
    ends = certificates.made(data).ends
    assert found() == (True, f"made by Easel, which nobody else vouches for, until {ends:%Y-%m-%d}")
    assert found(**own(30))[0]
    assert found(**own(30))[1].startswith("your own, Test studio, issued by Test root, until ")
    assert found(**own(7)) == (False, f"{found(**own(7))[1].partition(':')[0]}: renew it, and start the bot anew")
    assert not found(**own(-1))[0]
    (data / FILE).write_text("spoilt")
    assert found() == (False, f"{data / FILE} holds no private key as PEM without a password")
