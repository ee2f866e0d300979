"""How a picture's file says where the picture comes from: one XMP property with a term of IPTC's vocabulary.

Every picture that goes from one half to the other may carry it, and whoever makes a file of one passes it on.
<http://cv.iptc.org/newscodes/digitalsourcetype/> says what each term means.
"""

from __future__ import annotations

from typing import Literal, get_args

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

_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   Iptc4xmpExt:DigitalSourceType="{term}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def digital_source_type(source: SourceType) -> str:
    """The term as XMP and C2PA write it."""
    return VOCABULARY + source


def xmp(source: SourceType) -> str:
    """An XMP packet that says this and nothing else."""
    return _XMP.format(term=digital_source_type(source))


def declared_source(file: bytes) -> SourceType | None:
    """What a picture's file says of itself, in XMP or in a C2PA manifest; None where it says nothing known.

    Both write the term into the file as it is, whatever the file's format, so it is looked for there. Nothing is
    verified: it is what the file claims.
    """
    for source in get_args(SourceType):
        for scheme in ("http", "https"):
            if digital_source_type(source).replace("http", scheme, 1).encode() in file:
                found: SourceType = source
                return found
    return None
