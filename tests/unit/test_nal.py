"""NAL units: start codes out, lengths in, headers out of band."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.codec.nal import (
    ParameterSets,
    split_annexb,
    split_avcc,
    to_annexb,
    to_avcc,
)
from broadcaster.errors import EncodeError

SHORT, LONG = b"\0\0\1", b"\0\0\0\1"
IDR, SLICE, SEI, SPS, PPS, AUD = (
    b"\x65idr!",
    b"\x41slice!",
    b"\x06sei!",
    b"\x67\x64\x00\x1fsps!",
    b"\x68pps!",
    b"\x09\xf0",
)

units = st.lists(
    st.binary(min_size=1, max_size=20)
    .filter(lambda b: b"\0\0" not in b)
    .map(lambda b: b"\x41" + b + b"\x80"),
    min_size=1,
    max_size=6,
)


@given(units, st.data())
def test_units_survive_any_mix_of_start_codes(wanted: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(data.draw(st.sampled_from([SHORT, LONG])) + unit for unit in wanted)
    assert split_annexb(stream) == wanted


@given(units)
def test_lengths_and_start_codes_carry_the_same_units(wanted: list[bytes]) -> None:
    payload, is_idr = to_avcc(b"".join(LONG + unit for unit in wanted))
    assert split_avcc(payload) == split_avcc(memoryview(payload)) == wanted
    assert split_annexb(to_annexb(payload)) == wanted
    assert not is_idr


def test_headers_and_comments_are_left_out_of_packets() -> None:
    payload, is_idr = to_avcc(LONG + AUD + LONG + SPS + LONG + PPS + SHORT + SEI + SHORT + IDR)
    assert split_avcc(payload) == [IDR]
    assert is_idr


def test_all_slices_of_a_picture_stay_together() -> None:
    assert split_avcc(to_avcc(LONG + SLICE + SHORT + SLICE)[0]) == [SLICE, SLICE]


@pytest.mark.parametrize("data", [b"", LONG + SEI, b"no start code"])
def test_a_packet_without_a_picture_is_an_error(data: bytes) -> None:
    with pytest.raises(EncodeError, match="without a picture"):
        to_avcc(data)


@pytest.mark.parametrize(
    "extradata", [LONG + SPS, LONG + PPS, LONG + SPS + LONG + SPS + LONG + PPS]
)
def test_exactly_one_of_each_header_is_demanded(extradata: bytes) -> None:
    with pytest.raises(EncodeError, match="one SPS and one PPS"):
        ParameterSets.from_extradata(extradata)


def test_the_configuration_record_is_laid_out_as_the_standard_says() -> None:
    sets = ParameterSets.from_extradata(LONG + SPS + LONG + PPS + LONG + SEI)
    head = b"\x01\x64\x00\x1f\xff\xe1"
    sizes = b"\x00" + bytes([len(SPS)]) + SPS + b"\x01\x00" + bytes([len(PPS)]) + PPS
    assert sets.avc_config() == head + sizes + b"\xfd\xf8\xf8\x00"


def test_only_high_profiles_carry_the_extension() -> None:
    main = ParameterSets(b"\x67\x4d\x00\x1f", PPS)
    assert main.avc_config().endswith(PPS)
