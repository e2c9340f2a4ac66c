"""The one implementation of preprocessing, and what it refuses."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.data.preprocess import changes_geometry, channels_of, final_size, interpolation_of, written
from compressor.device.pictures import decode
from compressor.device.preprocess import geometric, numeric, prepare
from compressor.device.steps import check_preprocess


def picture(height: int, width: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"resize": {"shortest": 8}, "scale": 255}], "item 1"),
        ([{"rotate": 90}], "no step is called 'rotate'; there are resize, pad"),
        ([{"scale": 255}, {"center_crop": [8, 8]}], "center_crop: comes after scale; put resize"),
        ([{"mean": [0.5]}, {"scale": 255}], "scale: comes after mean; the order is scale, mean, std"),
        ([{"scale": 255}, {"scale": 2}], "scale: stands there twice"),
        ([{"mean": [0.5]}, {"std": [0.5, 0.5, 0.5]}], "mean has 1, std has 3"),
        ([{"channels": "gray"}, {"mean": [0.5, 0.5, 0.5]}], "mean has 3, channels has 1"),
        ([{"std": [0.0]}], "write numbers above 0"),
        ([{"mean": [0.1, 0.2]}], "a list of 1 or 3 numbers"),
        ([{"mean": [float("nan")]}], "a list of 1 or 3 numbers"),
        ([{"scale": 0}], "a number above 0"),
        ([{"channels": ["rgb"]}], "write rgb or gray"),
        ([{"resize": {"shortest": 8, "longest": 9}}], "one of shortest, longest, exact"),
        ([{"resize": {"shortest": 8, "interpolation": "lanczos"}}], "there are nearest, bilinear, bicubic"),
        ([{"resize": {"exact": 8}}], r"\[height, width\]"),
        ([{"resize": {"shortest": True}}], "a number of pixels"),
        ([{"center_crop": [0, 8]}], r"\[height, width\]"),
        ([{"pad": {"to": [8, 8], "fill": 256}}], "from 0 to 255"),
    ],
)
def test_a_list_that_is_not_ours_is_refused(steps: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_preprocess(steps)


def test_numbers_are_float32_in_the_order_of_the_graph() -> None:
    steps = [{"scale": 255}, {"mean": [0.485, 0.456, 0.406]}, {"std": [0.229, 0.224, 0.225]}]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    values = numeric(pixels, steps)
    assert values.shape == (2, 3, 4, 5)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    one = np.float32(pixels[1, 2, 3, 0]) / np.float32(255)
    assert values[1, 0, 2, 3] == (one - np.float32(0.485)) / np.float32(0.229)
    assert numeric(pixels, [])[0, 2, 1, 1] == np.float32(pixels[0, 1, 1, 2])


def test_resize_meets_the_named_side() -> None:
    image = picture(30, 41)
    assert geometric(image, [{"resize": {"shortest": 15}}]).shape == (15, 20, 3)
    assert geometric(image, [{"resize": {"longest": 20}}]).shape == (14, 20, 3)
    assert geometric(image, [{"resize": {"exact": [7, 9]}}]).shape == (7, 9, 3)


def test_resize_is_antialiased() -> None:
    """Stripes one pixel wide become grey; without antialiasing they would stay black or white."""
    stripes = np.zeros((16, 16), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = geometric(Image.fromarray(stripes), [{"resize": {"exact": [4, 4]}}])
    assert small.min() > 100
    assert small.max() < 156


def test_resizing_agrees_with_torchvision() -> None:
    from torchvision.transforms import v2

    image = picture(37, 53)
    theirs = v2.Compose([v2.Resize(24), v2.CenterCrop(21)])(image)
    ours = geometric(image, [{"resize": {"shortest": 24}}, {"center_crop": [21, 21]}])
    assert (ours == np.asarray(theirs)).all()


def test_pad_and_crop_keep_the_middle() -> None:
    image = Image.fromarray(np.arange(1, 7, dtype=np.uint8).reshape(2, 3))
    padded = geometric(image, [{"pad": {"to": [4, 5], "fill": 9}}])[..., 0]
    assert padded.tolist() == [[9] * 5, [9, 1, 2, 3, 9], [9, 4, 5, 6, 9], [9] * 5]
    assert geometric(image, [{"center_crop": [2, 1]}])[..., 0].tolist() == [[2], [5]]


@pytest.mark.parametrize("steps", [[{"center_crop": [9, 4]}], [{"pad": {"to": [8, 7]}}]])
def test_a_picture_that_does_not_fit_is_refused_alike_before_and_after_decoding(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="the picture is 8x8"):
        geometric(picture(8, 8), steps)
    with pytest.raises(ValueError, match="the picture is 8x8"):
        final_size(steps, (8, 8))


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 90), (33, 33)])
@pytest.mark.parametrize("resize", [{"shortest": 20}, {"longest": 20}, {"exact": [20, 22]}])
def test_sizes_are_foretold(size: tuple[int, int], resize: dict[str, Any]) -> None:
    steps = [{"resize": resize}, {"pad": {"to": [2000, 2000]}}, {"center_crop": [18, 20]}]
    for upto in (1, 2, 3):
        assert geometric(picture(*size), steps[:upto]).shape[:2] == final_size(steps[:upto], size)


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "LA", "YCbCr"])
def test_other_channels_need_a_channels_step(mode: str) -> None:
    image = picture(4, 4).convert("RGBA").convert(mode) if mode == "LA" else picture(4, 4, mode)
    with pytest.raises(ValueError, match=rf"the picture is {mode}, not RGB or grey; add `channels: rgb`"):
        geometric(image, [])
    assert geometric(image, [{"channels": "rgb"}]).shape == (4, 4, 3)
    assert geometric(image, [{"channels": "gray"}]).shape == (4, 4, 1)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    image = Image.fromarray(np.array([[0, 256, 65_535]], dtype=np.uint16))
    assert geometric(image, [{"channels": "gray"}])[0, :, 0].tolist() == [0, 1, 255]


def test_the_bits_of_a_list_are_shifted_to_eight() -> None:
    image = Image.fromarray(np.array([[0, 16, 4095, 60_000]], dtype=np.uint16))
    for bits, wanted in ((8, [0, 16, 255, 255]), (10, [0, 4, 255, 255]), (12, [0, 1, 255, 255]), (16, [0, 0, 15, 234])):
        found = geometric(image, [{"bits": bits}, {"channels": "gray"}])
        assert found[0, :, 0].tolist() == wanted
    assert geometric(picture(4, 4), [{"bits": 12}]).shape == (4, 4, 3), "8 bits are left as they are"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"bits": 9}], "bits: is 9; write one of 8, 10, 12, 16"),
        ([{"bits": True}], "bits: is True"),
        ([{"channels": "rgb"}, {"bits": 12}], "bits: comes after channels; put it first"),
    ],
)
def test_wrong_bits(steps: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_preprocess(steps)


def test_a_palette_is_resolved_before_it_is_resized() -> None:
    image = picture(16, 16).quantize(8)
    assert image.mode == "P"
    ours = geometric(image, [{"resize": {"exact": [5, 5]}}])
    assert (ours == geometric(image.convert("RGB"), [{"resize": {"exact": [5, 5]}}])).all()


def test_decoding_turns_a_picture_upright() -> None:
    into, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    picture(4, 6).save(into, "PNG", exif=exif)
    assert decode(into.getvalue()).size == (4, 6)


def test_damaged_bytes_are_named_as_such() -> None:
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        decode(b"\xff\xd8\xff\xe0 no jpeg")


def test_prepare_is_both_halves() -> None:
    steps = [{"resize": {"shortest": 8}}, {"center_crop": [8, 8]}, {"scale": 255}]
    image = picture(20, 30)
    assert (prepare(image, steps) == numeric(geometric(image, steps)[None], steps)[0]).all()


def test_channels_are_read_off_the_list() -> None:
    assert channels_of([{"channels": "gray"}], 3) == 1
    assert channels_of([{"mean": [0.1, 0.2, 0.3]}], 1) == 3
    assert channels_of([{"scale": 255}], 1) == 1
    assert channels_of([]) == 3


def test_a_list_is_shown_as_yaml() -> None:
    import yaml

    steps = [{"resize": {"exact": [8, 9], "interpolation": "bicubic"}}, {"scale": 255}, {"mean": [0.5]}]
    assert yaml.safe_load(written(steps)) == steps


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ([{"pad": {"to": [8, 9]}}], (8, 9)), ([{"center_crop": [8, 9]}], (8, 9)), ([{"pad": {"to": [10, 12]}}], (10, 12)),
        ([{"center_crop": [3, 2]}], (3, 2)), ([{"scale": 255}], (8, 9)),
    ],
)  # fmt: skip
def test_final_sizes_by_hand(steps: list[dict[str, Any]], size: tuple[int, int]) -> None:
    assert final_size(steps, (8, 9)) == size


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ({"pad": {"to": [7, 9]}}, "pad: the picture is 8x9, more than 7x9"),
        ({"pad": {"to": [8, 8]}}, "pad: the picture is 8x9, more than 8x8"),
        ({"center_crop": [9, 9]}, "center_crop: the picture is 8x9, less than 9x9"),
        ({"center_crop": [8, 10]}, "center_crop: the picture is 8x9, less than 8x10"),
    ],
)
def test_sizes_that_do_not_fit_by_one(step: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        final_size([step], (8, 9))


def test_what_a_list_says_of_channels_size_and_interpolation() -> None:
    assert [changes_geometry([step]) for step in ({"resize": 1}, {"pad": 1}, {"center_crop": 1}, {"mean": 1})] == [
        True, True, True, False,
    ]  # fmt: skip
    assert interpolation_of([{"resize": {"interpolation": "nearest"}}, {"resize": {}}]) == "bilinear"
    assert interpolation_of([{"resize": {}}, {"resize": {"interpolation": "nearest"}}]) == "nearest"
    assert interpolation_of([{"scale": 1}]) == "bilinear"
    assert channels_of([{"std": [0.5]}], 3) == 1
    assert channels_of([{"channels": "rgb"}, {"mean": [0.5]}], 1) == 3
    assert channels_of([], 0) == 0
