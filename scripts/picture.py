"""Draw comments behind the people of a picture.

    python scripts/picture.py FRAME MASK OUT [--font FILE]

MASK is the service's response: grey, bright where a person is, of any size.
"""

import argparse
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

COMMENTS = (
    "she waved at us!!",
    "来了来了",
    "我们的征途是星辰大海",
    "すごい！",
    "first!",
    "this view though",
    "宇宙へ行ってらっしゃい",
    "前方高能",
    "go go go",
    "打ち上げ成功を祈る",
    "no spoilers please",
    "好美",
    "8888888888",
    "best seat in the house",
    "名场面",
    "かっこいい",
    "T minus 10",
    "泪目",
    "I was there that night",
    "哈哈哈哈哈哈",
    "待ってました",
    "the patch on the suit!",
    "弹幕从身后飘过",
    "wwwwww",
    "launch window in ten",
    "向宇航员致敬",
    "brb crying",
    "この笑顔",
    "打卡",
    "who else is awake at 4 am",
    "おおおおお",
    "全体起立",
    "lights!!",
    "下次一定去现场",
)
COLOURS = ("#ffffff", "#ffffff", "#ffffff", "#ffe14d", "#7fe7ff", "#ff9ec7", "#a6f28f")
WIDE_FONTS = (
    "NotoSansCJK-Bold.ttc",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "msyhbd.ttc",
)


def main() -> int:
    """Make the picture from the three paths of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frame", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--font", help="a font file with Chinese and Japanese; by default, one of the system's")
    options = parser.parse_args()
    frame = Image.open(options.frame).convert("RGB")
    picture = comments_behind(frame, Image.open(options.mask).convert("L"), options.font)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(options.out, quality=90, optimize=True)
    return 0


def comments_behind(frame: Image.Image, mask: Image.Image, font: str | None = None) -> Image.Image:
    """Return the frame with comments everywhere except where the mask is bright; the mask may have any size."""
    commented = Image.alpha_composite(frame.convert("RGBA"), comments(frame.size, font)).convert("RGB")
    return Image.composite(frame, commented, mask.resize(frame.size, Image.Resampling.BICUBIC))


def comments(size: tuple[int, int], font: str | None = None) -> Image.Image:
    """Return a transparent layer of moving comments, the same at every call."""
    width, height = size
    chance = random.Random(77)
    face, wide = typeface(round(height / 19), font)
    spoken = [text for text in COMMENTS if wide or text.isascii()]
    shadow, ink = (Image.new("RGBA", size, (0, 0, 0, 0)) for _ in range(2))
    line_height = round(height / 13)
    for row in range(round(height * 0.76 / line_height)):
        x = chance.uniform(-0.25, 0.05) * width
        while x < width:
            text = spoken.pop(0)
            spoken.append(text)
            at = (x, row * line_height + height * 0.02)
            ImageDraw.Draw(shadow).text(at, text, (0, 0, 0, 200), face, stroke_width=max(1, height // 360))
            ImageDraw.Draw(ink).text(at, text, chance.choice(COLOURS), face)
            x += face.getlength(text) + chance.uniform(0.04, 0.2) * width
    soft = shadow.filter(ImageFilter.GaussianBlur(height / 480))
    return Image.alpha_composite(soft, ink)


def typeface(size: int, font: str | None) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, bool]:
    """Return a font of `size` pixels, and whether it has Chinese and Japanese."""
    for name in [font] if font else WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size), True
        except OSError:
            continue
    return ImageFont.load_default(size), False


if __name__ == "__main__":
    sys.exit(main())
