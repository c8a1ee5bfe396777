"""What makes one presenter look different from another: colours and proportions, as values.

Colours are six hex digits; lengths are head units (see ``face``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Skin:
    """From the lit side to the deepest shadow, and what lies on it."""

    light: str
    base: str
    warm: str
    shade: str
    deep: str
    glow: str
    blush: str
    stubble: float = 0.0
    """Opacity of a shaved beard's shadow."""


@dataclass(frozen=True, slots=True)
class Hair:
    """Strand colours, dark to light, and the two lights on them."""

    dark: str
    base: str
    mid: str
    light: str
    shine: str
    rim: str


@dataclass(frozen=True, slots=True)
class Features:
    """Eyes, brows, lips."""

    iris: tuple[str, str, str]
    """Light ring, body, rim."""
    lid: str
    lash: float
    """Thickness of the lash line; 1 is made up, 0.5 is bare."""
    brow: str
    brow_weight: float
    lip_light: str
    lip: str
    lip_dark: str
    lip_full: float
    """Thickness of the lips; 1 is full."""


@dataclass(frozen=True, slots=True)
class Bones:
    """The face's outline."""

    jaw: float
    """Width of the jaw's corners; 1 is soft and narrow, 1.12 square."""
    chin: float
    """Width of the chin."""
    neck: float
    """Width of the neck and, less so, of the shoulders."""


@dataclass(frozen=True, slots=True)
class Clothes:
    """Jacket, what is under it, pendant or tie, buttons."""

    light: str
    base: str
    dark: str
    edge: str
    rim: str
    under: str
    under_shade: str
    accent: tuple[str, str, str]
    """Light, base, dark."""
    button: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Studio:
    """The room behind."""

    dark: str
    base: str
    far: str
    glow: str
    second: str
    warm: str
    line: str
    key: str


@dataclass(frozen=True, slots=True)
class Look:
    """One presenter."""

    name: str
    skin: Skin
    hair: Hair
    hair_style: str
    features: Features
    bones: Bones
    clothes: Clothes
    clothes_style: str
    studio: Studio
    seed: int


ANNA = Look(
    name="anna",
    skin=Skin("FBDCC3", "F3C9AC", "E6AC8D", "C58467", "8C4A36", "FFEEDF", "E9807A"),
    hair=Hair("22120D", "432417", "6A3D27", "A66C45", "F0C48E", "9CC8FF"),
    hair_style="waves",
    features=Features(
        iris=("C79A5B", "85592F", "3A2112"),
        lid="B9786A",
        lash=1.0,
        brow="3B2218",
        brow_weight=1.0,
        lip_light="DC8680",
        lip="C65F60",
        lip_dark="9C3D45",
        lip_full=1.0,
    ),
    bones=Bones(jaw=1.0, chin=1.0, neck=1.0),
    clothes=Clothes(
        "2F5C90", "1E3D66", "10213C", "060D1A", "A5D2FA", "F7F3EE", "CFC6C2",
        ("FFF3CC", "DDB25C", "8A6424"), ("FFF3CC", "DDB25C", "8A6424"),
    ),
    clothes_style="blazer",
    studio=Studio(
        "071428", "0F3158", "1B5A94", "4FAEF6", "6C46B8", "FFB978", "8FD6FF", "DDF3FF"
    ),
    seed=11,
)  # fmt: skip

LEON = Look(
    name="leon",
    skin=Skin("DDA981", "CB9169", "B57A53", "8C573A", "4F2B1B", "F3CBA6", "C4664F", stubble=0.16),
    hair=Hair("0C0908", "1B1513", "30261F", "5E4C40", "A89482", "8FE6DA"),
    hair_style="cropped",
    features=Features(
        iris=("9A6A3C", "5E3A1E", "26150B"),
        lid="9A6247",
        lash=0.42,
        brow="17100D",
        brow_weight=1.42,
        lip_light="B47A66",
        lip="9A6152",
        lip_dark="6A3A31",
        lip_full=0.84,
    ),
    bones=Bones(jaw=1.07, chin=1.14, neck=1.25),
    clothes=Clothes(
        "4A525C", "30363F", "1A1E25", "090B0F", "A9E8DF", "F4F7FA", "B9C4CF",
        ("C0525A", "8C2732", "4C0F18"), ("7C858F", "3A4048", "14171B"),
    ),
    clothes_style="suit",
    studio=Studio(
        "071A1E", "0E3A42", "17696E", "3FC9BE", "C0603F", "FFB46A", "A6F2E6", "F1FFFB"
    ),
    seed=23,
)  # fmt: skip

LOOKS = (ANNA, LEON)
