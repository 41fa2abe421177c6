"""Covers of every kind, and images that are attacks."""

import itertools
import resource
import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from rolltape.domain.errors import InputError
from rolltape.tag import check_artwork, cover_jpeg

KINDS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def image(kind: str = "PNG", size: tuple[int, int] = (800, 400), mode: str = "RGB", **options: Any) -> bytes:
    made = BytesIO()
    Image.new(mode, size, options.pop("color", None) or 0).save(made, kind, **options)
    return made.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few KB that unpacks to width × height."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "suffix"), KINDS.items())
def test_the_kind_is_told_by_the_content(kind: str, suffix: str):
    assert check_artwork(image(kind)) == suffix


@pytest.mark.parametrize(
    ("size", "expected"), [((1200, 900), (600, 450)), ((300, 2400), (75, 600)), ((120, 90), (120, 90))]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cover_has_at_most_600_pixels_and_is_not_enlarged(
    kind: str, size: tuple[int, int], expected: tuple[int, int]
):
    cover = Image.open(BytesIO(cover_jpeg(image(kind, size))))

    assert cover.format == "JPEG"
    assert cover.size == expected
    assert cover.mode == "RGB"
    assert "progressive" not in cover.info


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_a_png_becomes_colours(mode: str):
    assert Image.open(BytesIO(cover_jpeg(image("PNG", mode=mode)))).mode == "RGB"


def test_a_jpeg_for_print_becomes_colours():
    assert Image.open(BytesIO(cover_jpeg(image("JPEG", mode="CMYK")))).mode == "RGB"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_is_white(kind: str):
    cover = Image.open(BytesIO(cover_jpeg(image(kind, mode="RGBA"))))

    assert cover.getpixel((10, 10)) == (255, 255, 255)


def test_a_turned_photo_stands_upright_and_tells_nothing_of_its_place():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Camera"
    made = BytesIO()
    Image.new("RGB", (800, 400)).save(made, "JPEG", exif=exif, icc_profile=b"profile", comment=b"note")

    cover = cover_jpeg(made.getvalue())

    assert Image.open(BytesIO(cover)).size == (300, 600)
    assert not any(text in cover for text in (b"Exif", b"Camera", b"profile", b"note"))


@pytest.mark.parametrize(
    ("original", "sentence"),
    [
        (b"", "not a JPEG, PNG or WebP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG or WebP"),
        (b"<html><body>no image</body></html>", "not a JPEG, PNG or WebP"),
        (b"GIF89a" + bytes(100), "not a JPEG, PNG or WebP"),
        (image("GIF"), "not a JPEG, PNG or WebP"),
        (image("BMP"), "not a JPEG, PNG or WebP"),
        (image("TIFF"), "not a JPEG, PNG or WebP"),
        (image("PNG")[:-50], "damaged"),
        (image("JPEG")[:-200], "damaged"),
        (image("WEBP")[:60], "damaged"),
        (image("PNG")[:40], "not a JPEG, PNG or WebP"),
        (image("PNG") + bytes(11 * 1024 * 1024), "larger than 10 MB"),
        (bomb(5001, 5000), "more than 25 million pixels"),
        (bomb(9000, 9000), "more than 25 million pixels"),
        (bomb(60000, 60000), "more than 25 million pixels"),
        (image("WEBP", save_all=True, append_images=[Image.new("RGB", (800, 400), "red")]), "animated"),
        (image("PNG", save_all=True, append_images=[Image.new("RGB", (800, 400), "red")]), "animated"),
    ],
    ids=itertools.count(1),
)
def test_what_is_no_cover_is_refused_in_a_sentence(original: bytes, sentence: str):
    for use in (check_artwork, cover_jpeg):
        with pytest.raises(InputError, match=sentence) as caught:
            use(original)
        assert caught.value.field == "file"
        assert caught.value.message.endswith(".")


def test_a_bomb_takes_no_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(InputError):
        check_artwork(bomb(20_000, 20_000))

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50_000  # KB


def test_the_largest_image_allowed_is_taken():
    assert check_artwork(bomb(5000, 5000)) == ".png"
