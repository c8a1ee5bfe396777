"""What of a viewer's SDP offer is used, and what it must have. Pure text."""

from __future__ import annotations

from broadcaster.errors import PreviewRefused

LONGEST_OFFER = 64 * 1024
"""Browsers send 3 to 8 KB."""


def prepare_offer(sdp: str) -> tuple[str, bool]:
    """Take out what would make us wait or look things up.

    Candidates with ``.local`` names would need multicast queries, TCP ones are not supported, and
    ``end-of-candidates`` would forbid an address that the viewer's own check shows. Its checks
    reach our addresses anyway and tell us where it is.

    Returns:
        The offer, and whether it asks for sound.

    Raises:
        PreviewRefused: 422, not an offer for a picture.
    """
    lines = sdp.replace("\r\n", "\n").strip().split("\n")
    if not lines[0].startswith("v=0"):
        raise PreviewRefused(422, "the body is no SDP")
    kinds = [line[2:].split(" ")[0] for line in lines if line.startswith("m=")]
    if kinds.count("video") != 1 or kinds.count("audio") > 1:
        raise PreviewRefused(422, "the offer must have one picture and at most one sound")
    kept = [line for line in lines if not _is_left_out(line)]
    return "\r\n".join(kept) + "\r\n", "audio" in kinds


def _is_left_out(line: str) -> bool:
    if line.startswith("a=end-of-candidates"):
        return True
    if not line.startswith("a=candidate:"):
        return False
    words = line.split(" ")
    return len(words) < 6 or words[2].lower() != "udp" or words[4].endswith(".local")
