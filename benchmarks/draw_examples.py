"""Draw the example pictures and the icon of the page: `python -m benchmarks.draw_examples`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFilter

UI: Final = Path(__file__).parents[1] / "pyclassify" / "ui"
SIZE_PX: Final = 256
ZOOM: Final = 4  # drawn larger and reduced, which smooths the edges

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]


def main() -> None:
    """Write the pictures and the icon to where the page has them."""
    for name, draw in {"ship": ship, "car": car, "airplane": airplane}.items():
        path = UI / "examples" / f"{name}.png"
        draw().resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS).save(path, optimize=True)
    icon().resize((192, 192), Image.Resampling.LANCZOS).save(UI / "favicon.png", optimize=True)


def ship() -> Image.Image:
    """Draw a freighter on a calm sea."""
    image = _gradient((150, 190, 222), (224, 236, 243))
    sea = _gradient((52, 98, 134), (24, 58, 92))
    image.paste(sea.crop((0, 0, sea.width, sea.height * 2 // 5)), (0, sea.height * 3 // 5))
    shape = _painter(image)
    shape([(18, 148), (238, 144), (222, 178), (44, 180)], (126, 38, 34))
    shape([(18, 148), (238, 144), (235, 151), (22, 155)], (232, 230, 224))
    shape([(156, 104), (206, 102), (210, 146), (152, 147)], (240, 240, 236))
    shape([(164, 86), (200, 85), (202, 104), (162, 105)], (226, 226, 222))
    shape([(176, 62), (192, 62), (194, 86), (174, 86)], (196, 76, 52))
    for left in (44, 72, 100, 126):
        shape([(left, 124), (left + 22, 123), (left + 22, 147), (left, 148)], (176 - left // 3, 120, 60 + left // 2))
    for left in (166, 178, 190):
        shape([(left, 112), (left + 7, 112), (left + 7, 119), (left, 119)], (58, 74, 92))
    shape([(34, 180), (232, 177), (250, 188), (14, 192)], (150, 180, 200))
    return image.filter(ImageFilter.GaussianBlur(ZOOM))


def car() -> Image.Image:
    """Draw a red car from the side, on a road."""
    image = _gradient((196, 214, 226), (228, 226, 214))
    road = _gradient((104, 104, 106), (74, 74, 78))
    image.paste(road.crop((0, 0, road.width, road.height // 3)), (0, road.height * 2 // 3))
    shape = _painter(image)
    shape([(22, 194), (236, 194), (226, 206), (34, 206)], (48, 48, 52))
    shape([(74, 128), (98, 92), (164, 90), (200, 128)], (160, 28, 32))
    shape([(84, 126), (102, 99), (130, 98), (130, 126)], (186, 212, 224))
    shape([(137, 126), (137, 98), (160, 98), (186, 126)], (172, 200, 214))
    shape([(18, 146), (34, 130), (204, 126), (236, 144), (240, 186), (18, 188)], (190, 34, 38))
    shape([(18, 168), (240, 166), (240, 186), (18, 188)], (148, 24, 30))
    shape([(18, 148), (32, 146), (32, 158), (18, 160)], (246, 232, 180))
    shape([(228, 148), (238, 146), (239, 158), (228, 159)], (250, 120, 90))
    for x in (70, 190):
        _disc(image, x, 186, 26, (26, 26, 28))
        _disc(image, x, 186, 13, (186, 188, 192))
    return image.filter(ImageFilter.GaussianBlur(ZOOM))


def airplane() -> Image.Image:
    """Draw an airliner from the side, against the sky."""
    image = _gradient((86, 142, 204), (196, 220, 240))
    shape = _painter(image)
    shape([(34, 84), (54, 82), (88, 126), (52, 130)], (52, 92, 152))
    shape([(118, 142), (150, 140), (96, 196), (76, 198)], (150, 160, 172))
    shape([(40, 130), (70, 122), (206, 116), (228, 124), (238, 136), (222, 146), (70, 148)], (238, 240, 244))
    shape([(40, 132), (238, 136), (222, 146), (70, 148)], (198, 204, 212))
    shape([(128, 120), (152, 118), (124, 74), (110, 74)], (176, 186, 198))
    shape([(22, 138), (60, 134), (48, 152), (24, 156)], (168, 178, 190))
    for left in range(86, 202, 11):
        shape([(left, 127), (left + 5, 127), (left + 5, 132), (left, 132)], (64, 84, 112))
    shape([(212, 122), (226, 125), (230, 130), (214, 130)], (52, 66, 86))
    return image.filter(ImageFilter.GaussianBlur(ZOOM))


def icon() -> Image.Image:
    """Draw the bars of a ranked answer."""
    image = Image.new("RGBA", (SIZE_PX * ZOOM, SIZE_PX * ZOOM))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, *(side - 1 for side in image.size)), 56 * ZOOM, (13, 118, 110))
    for row, (width, shade) in enumerate(((176, 255), (112, 190), (64, 140))):
        box = [40, 58 + 52 * row, 40 + width, 92 + 52 * row]
        draw.rounded_rectangle([ZOOM * value for value in box], 17 * ZOOM, (255, 255, 255, shade))
    return image


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    side = SIZE_PX * ZOOM
    column = Image.linear_gradient("L").resize((side, side))
    return Image.composite(Image.new("RGB", column.size, bottom), Image.new("RGB", column.size, top), column)


def _painter(image: Image.Image) -> Callable[[Points, Colour], None]:
    draw = ImageDraw.Draw(image)

    def shape(points: Points, colour: Colour) -> None:
        draw.polygon([(ZOOM * x, ZOOM * y) for x, y in points], fill=colour)

    return shape


def _disc(image: Image.Image, x: float, y: float, radius: float, colour: Colour) -> None:
    box = [ZOOM * value for value in (x - radius, y - radius, x + radius, y + radius)]
    ImageDraw.Draw(image).ellipse(box, fill=colour)


if __name__ == "__main__":
    main()
