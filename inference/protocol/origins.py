"""How a picture's file says where the picture comes from: XMP properties of IPTC, one of them a term of its vocabulary.

Every picture that goes from one half to the other may carry it, and whoever makes a file of one passes it on.
<http://cv.iptc.org/newscodes/digitalsourcetype/> says what each term means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args
from xml.sax.saxutils import escape

SourceType = Literal[
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "compositeSynthetic",
    "algorithmicallyEnhanced",
    "dataDrivenMedia",
]
"""Painted from words; from a picture; a montage with painted parts; altered, but showing the same; a chart."""

AI_MADE: frozenset[SourceType] = frozenset(
    {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"}
)
"""Of what a generative model made, all or parts."""

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"

XMP_KEYWORD = "XML:com.adobe.xmp"
"""Of the iTXt chunk that holds XMP in a PNG."""

MAX_XMP_CHARS = 8000
"""Of one property that tells what somebody wrote: a JPEG holds 65,502 bytes of XMP, and a sign takes six at most."""


@dataclass(frozen=True, kw_only=True)
class MadeBy:
    """What made a picture, as IPTC 2025.1 has room for it. Nothing of it varies where the same is painted again."""

    system: str
    version: str
    prompt: str | None = None
    """What was asked, where anything was asked in words."""


_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""https://www.w3.org/TR/xml/#charsets"""

_IN_ATTRIBUTES = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
"""Without these a reader makes spaces of lines."""

_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   Iptc4xmpExt:DigitalSourceType="{term}"{made_by}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def digital_source_type(source: SourceType) -> str:
    """The term as XMP and C2PA write it."""
    return VOCABULARY + source


def xmp(source: SourceType, made_by: MadeBy | None = None) -> str:
    """An XMP packet that says this and nothing else."""
    told = {}
    if made_by is not None:
        told = {"AISystemUsed": made_by.system, "AISystemVersionUsed": made_by.version}
        told |= {"AIPromptInformation": made_by.prompt} if made_by.prompt else {}
    lines = "".join(f'\n   Iptc4xmpExt:{name}="{_attribute(text)}"' for name, text in told.items())
    return _XMP.format(term=digital_source_type(source), made_by=lines)


def _attribute(text: str) -> str:
    """The text as it stands between double quotes in XML: bounded, and without the signs that XML does not allow."""
    allowed = _NOT_IN_XML.sub("", text)
    bounded = allowed if len(allowed) <= MAX_XMP_CHARS else allowed[: MAX_XMP_CHARS - 1] + "…"
    return escape(bounded, _IN_ATTRIBUTES)


def declared_source(file: bytes) -> SourceType | None:
    """What a picture's file says of itself, in XMP or in a C2PA manifest; None where it says nothing known.

    Both write the term into the file as it is, whatever the file's format, so it is looked for there: in XMP first, for
    a manifest holds those of what the picture was made of as well. Nothing is verified: it is what the file claims.
    """
    _, _, packet = file.partition(b"<x:xmpmeta")
    return _named(packet.partition(b"</x:xmpmeta>")[0]) or _named(file)


def _named(part: bytes) -> SourceType | None:
    for source in get_args(SourceType):
        for scheme in ("http", "https"):
            if digital_source_type(source).replace("http", scheme, 1).encode() in part:
                found: SourceType = source
                return found
    return None
