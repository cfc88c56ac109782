import numpy as np
import pytest
import skimage.io
import tifffile
from PIL import Image

from runner.data.decode import probe, read_image, read_mask, read_pixels, resize, resize_mask, with_channels

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)


def test_grey_becomes_colour_by_repetition():
    assert (with_channels(GREY, 3) == GREY).all()
    assert with_channels(GREY, 3).shape == (3, 5, 7)


def test_colour_becomes_grey_by_its_luma():
    red, green, blue = np.eye(3, dtype=np.uint8) * 255
    assert with_channels(np.array([[red, green, blue]]), 1).tolist() == [[[76, 150, 29]]]  # 0.299, 0.587, 0.114


def test_luma_is_pillows_to_the_last_bit():
    assert (with_channels(COLOUR, 1)[0] == np.asarray(Image.fromarray(COLOUR).convert("L"))).all()


def test_luma_keeps_16_bits():
    white = np.full((1, 1, 3), 65535, np.uint16)
    assert with_channels(white, 1).dtype == np.uint16
    assert with_channels(white, 1).item() == 65535


def test_alpha_is_dropped_where_it_is_not_wanted():
    assert (with_channels(ALPHA, 3) == ALPHA[:, :, :3].transpose(2, 0, 1)).all()
    assert (with_channels(ALPHA, 1) == with_channels(ALPHA[:, :, :3], 1)).all()
    assert (with_channels(np.dstack([GREY, GREY // 2]), 1) == GREY).all()


def test_alpha_is_kept_or_opaque_where_it_is_wanted():
    assert (with_channels(ALPHA, 4) == ALPHA.transpose(2, 0, 1)).all()
    assert (with_channels(COLOUR, 4)[3] == 255).all()
    assert (with_channels(np.dstack([GREY, GREY // 2]), 4)[3] == GREY // 2).all()
    assert (with_channels(GREY.astype(np.uint16), 4)[3] == 65535).all()


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


FILES = {
    "grey.png": lambda path: save(path, GREY),
    "colour.png": lambda path: save(path, COLOUR),
    "alpha.png": lambda path: save(path, ALPHA),
    "grey_alpha.png": lambda path: save(path, ALPHA, "LA"),
    "palette.png": lambda path: Image.fromarray(COLOUR).quantize(8).save(path),
    "transparent_palette.png": lambda path: Image.fromarray(COLOUR).quantize(8).save(path, transparency=0),
    "deep.png": lambda path: save(path, GREY.astype(np.uint16) * 257),
    "grey.jpg": lambda path: save(path, GREY),
    "colour.jpg": lambda path: save(path, COLOUR),
    "colour.bmp": lambda path: save(path, COLOUR),
    "colour.webp": lambda path: save(path, COLOUR),
    "grey.tif": lambda path: tifffile.imwrite(path, GREY),
    "deep.tif": lambda path: tifffile.imwrite(path, GREY.astype(np.uint16) * 257),
    "deep_colour.tif": lambda path: tifffile.imwrite(path, COLOUR.astype(np.uint16) * 257),
    "real.tif": lambda path: tifffile.imwrite(path, GREY.astype(np.float32) / 255),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_that_scikit_image_reads(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    pixels, expected = read_pixels(path), skimage.io.imread(path)
    assert pixels.dtype == expected.dtype
    assert (pixels == expected).all()


@pytest.mark.parametrize("name", FILES)
def test_the_header_tells_channels_and_size(tmp_path, name):
    path = tmp_path / name
    FILES[name](path)
    channels, size = probe(path)
    assert read_image(path, channels).shape == (channels, *size)
    assert size == (5, 7)
    assert channels == {"colour": 3, "palette": 3, "transparent_palette": 3, "deep_colour": 3, "alpha": 4}.get(
        path.stem, 1
    )


def test_black_and_white_becomes_0_and_255(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png") == np.where(GREY > 100, 255, 0)).all()


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    red, green, blue = read_image(tmp_path / "red.jpg", 3)[:, 0, 0]
    assert red > 250
    assert max(green, blue) < 5


def test_a_file_of_several_frames_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([GREY, GREY]))
    with pytest.raises(ValueError, match="holds 2 frames"):
        read_pixels(tmp_path / "pages.tif")


def test_the_values_of_a_palette_mask_are_its_indices(tmp_path):
    mask = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode=None).convert("P")
    mask.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    mask.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[0, 1], [2, 1]]


def test_a_grey_mask_may_be_saved_in_colour(tmp_path):
    save(tmp_path / "mask.png", np.dstack([GREY] * 3))
    assert (read_mask(tmp_path / "mask.png") == GREY).all()


def test_a_colour_picture_is_no_mask(tmp_path):
    save(tmp_path / "mask.png", COLOUR)
    with pytest.raises(ValueError, match="is a colour picture"):
        read_mask(tmp_path / "mask.png")


def test_resizing_averages_when_it_makes_smaller():
    image = np.array([[[0, 100], [200, 100]]], np.uint8)
    assert resize(image, (1, 1)).tolist() == [[[100]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_resizing_keeps_type_and_level(dtype):
    image = np.full((3, 4, 6), 200, dtype)
    resized = resize(image, (9, 5))
    assert resized.dtype == dtype
    assert resized.shape == (3, 9, 5)
    assert (resized == 200).all()


def test_resizing_interpolates_16_bits_finely():
    image = np.array([[[0, 1000]]], np.uint16)
    assert resize(image, (1, 4)).tolist() == [[[0, 250, 750, 1000]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_resizing_a_mask_makes_no_new_values(dtype):
    mask = np.array([[0, 200]], dtype)
    assert resize_mask(mask, (2, 4)).tolist() == [[0, 0, 200, 200]] * 2


# --- TIFF -------------------------------------------------------------------------------------------------------------


def write_tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels, **options)
    return path


def turned(path, orientation):
    """A colour TIFF that viewers show turned."""
    return write_tiff(path, COLOUR, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])


def palette():
    return Image.fromarray(COLOUR).quantize(8)


def has_header_of_its_pixels(path):
    channels, size = probe(path)
    return read_image(path, channels).shape == (channels, *size)


@pytest.mark.parametrize("mode", ["P", "CMYK", "LAB", "YCbCr"])
def test_a_tiff_of_other_colours_becomes_rgb_as_pillow_converts_it(tmp_path, mode):
    image = palette() if mode == "P" else Image.fromarray(COLOUR).convert(mode)
    image.save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as saved:
        assert saved.mode == mode
        expected = np.asarray(saved.convert("RGB"))
    assert (read_pixels(tmp_path / "a.tif") == expected).all()
    assert has_header_of_its_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}], ids=["plain", "lzw"])
def test_the_values_of_a_palette_mask_in_tiff_are_its_indices(tmp_path, options):
    palette().save(tmp_path / "mask.tif", **options)
    assert (read_mask(tmp_path / "mask.tif") == np.asarray(palette())).all()


@pytest.mark.parametrize("read", [read_pixels, read_mask])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_0_is_white_is_inverted(tmp_path, read, dtype):
    pixels = GREY.astype(dtype)
    path = write_tiff(tmp_path / "a.tif", np.iinfo(dtype).max - pixels, photometric="miniswhite")
    assert read(path).dtype == dtype
    assert (read(path) == pixels).all()


def test_a_tiff_of_black_and_white_whose_0_is_white_is_inverted(tmp_path):
    write_tiff(tmp_path / "a.tif", GREY <= 100, photometric="miniswhite")
    assert (read_pixels(tmp_path / "a.tif") == np.where(GREY > 100, 255, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_tiff_is_not_applied(tmp_path, orientation):
    path = turned(tmp_path / "a.tif", orientation)
    assert (read_pixels(path) == COLOUR).all()
    assert probe(path) == (3, (5, 7))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_tiff_that_pillow_reads_is_not_applied_either(tmp_path, orientation):
    Image.fromarray(COLOUR).save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={274: orientation})
    assert (read_pixels(tmp_path / "a.tif") == COLOUR).all()
    assert probe(tmp_path / "a.tif") == (3, (5, 7))


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
@pytest.mark.parametrize("count", [3, 4])
def test_a_stack_of_pages_is_no_colour_picture(tmp_path, dtype, count):
    path = write_tiff(tmp_path / "a.tif", np.stack([GREY] * count).astype(dtype), photometric="minisblack")
    for read in (read_pixels, read_mask, probe):
        with pytest.raises(ValueError, match=f"^holds {count} frames, where one is expected$"):
            read(path)


@pytest.mark.parametrize("options", [{"imagej": True}, {"truncate": True}], ids=["ImageJ", "tifffile"])
def test_a_stack_that_shares_a_header_is_no_colour_picture(tmp_path, options):
    path = write_tiff(tmp_path / "a.tif", np.stack([GREY] * 3), photometric="minisblack", **options)
    with pytest.raises(ValueError, match="holds 3 frames"):
        read_pixels(path)


def test_channels_that_lie_in_planes_are_put_together(tmp_path):
    planes = COLOUR.transpose(2, 0, 1)
    path = write_tiff(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    assert (read_pixels(path) == COLOUR).all()
    assert probe(path) == (3, (5, 7))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR, ALPHA, GREY.astype(np.uint16)], ids=["grey", "rgb", "rgba", "16"])
def test_compressed_tiff_has_the_pixels_that_were_compressed(tmp_path, compression, pixels):
    save(tmp_path / "a.tif", pixels, compression=compression)
    assert read_pixels(tmp_path / "a.tif").dtype == pixels.dtype
    assert (read_pixels(tmp_path / "a.tif") == pixels).all()
    assert has_header_of_its_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize(("compression", "mode"), [("jpeg", "RGB"), ("jpeg", "L"), ("group4", "1"), ("group3", "1")])
def test_tiff_with_jpeg_or_fax_compression_has_the_pixels_that_pillow_reads(tmp_path, compression, mode):
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / "a.tif", compression=compression)
    with Image.open(tmp_path / "a.tif") as image:
        expected = np.asarray(image.convert("L") if mode == "1" else image)
    assert (read_pixels(tmp_path / "a.tif") == expected).all()
    assert has_header_of_its_pixels(tmp_path / "a.tif")


def test_a_tiff_of_a_depth_that_pillow_cuts_is_told_as_tifffile_tells_it(tmp_path, monkeypatch):
    path = write_tiff(tmp_path / "a.tif", COLOUR.astype(np.uint16), photometric="rgb", compression="zlib")

    def lacks_a_codec(page):
        raise ValueError("needs another package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", lacks_a_codec)
    with pytest.raises(ValueError, match="needs another package"):
        read_pixels(path)


@pytest.mark.parametrize("read", [read_pixels, probe])
def test_a_tiff_without_an_image_in_it_is_told(tmp_path, read):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + b"x" * 50)
    with pytest.raises(ValueError, match="holds no image"):
        read(tmp_path / "a.tif")


def test_signed_bytes_that_are_not_negative_are_bytes(tmp_path):
    path = write_tiff(tmp_path / "a.tif", (GREY // 2).astype(np.int8))
    assert read_pixels(path).dtype == np.uint8
    assert (read_pixels(path) == GREY // 2).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_more_pixels_than_pillow_takes_are_refused_before_they_are_decoded(tmp_path, monkeypatch, name):
    save(tmp_path / name, GREY)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for read in (read_pixels, read_mask, probe):
        with pytest.raises(ValueError, match="is too large: "):
            read(tmp_path / name)
