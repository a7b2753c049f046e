"""Contact sheets: middle slices of volumes along three axes, as a page or as one picture."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from medpipe_core.errors import MissingExtraError
from medpipe_core.report.html import escape, html_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from medpipe_core.execution.previewing import Picture, Preview

_HEIGHT = 112  # pixels of a slice on the page
_GAP = 4
_BETWEEN = 128  # grey, on a light page and a dark one
_MARGIN = 8
_TEXT = 14
_TAILS = (0.5, 99.5)
_STYLE = (
    "<style>.case{display:flex;flex-wrap:wrap;gap:.4rem .9rem} figure{margin:0;max-width:100%} "
    "img{image-rendering:pixelated;background:#000;max-width:100%;height:auto} "
    "figcaption{font-size:12px;max-width:26rem}</style>"
)


def contact_page(shown: Preview) -> str:
    """Return a page of HTML that needs nothing else: for each class, cases with their pictures.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    title = f"Preview of {shown.card.title}"
    return html_page(title, [_STYLE, f"<h1>{escape(title)}</h1>", *_body(shown)])


def contact_picture(shown: Preview) -> bytes:
    """Return the same as one PNG, a row for each case.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    library = _pillow()
    rows = [[three_slices(picture) for picture in one.pictures] for one in shown.examples]
    cell_height = max(cell.shape[0] for row in rows for cell in row) + _TEXT
    widths = [max(cell.shape[1] for cell in column) for column in zip(*rows, strict=True)]
    width = sum(widths) + _GAP * 3 * len(widths) + 2 * _MARGIN
    step = cell_height + _TEXT + 2 * _GAP
    sheet = library.new("L", (width, step * len(rows) + 2 * _MARGIN), 255)
    from PIL import ImageDraw

    pen = ImageDraw.Draw(sheet)
    for number, (one, row) in enumerate(zip(shown.examples, rows, strict=True)):
        top, left = _MARGIN + number * step, _MARGIN
        pen.text((left, top), _ascii(f"{one.label}: {one.case}"), fill=0)
        for picture, cell, column in zip(one.pictures, row, widths, strict=True):
            pen.text((left, top + _TEXT), _ascii(picture.words)[: column // 6], fill=80)
            sheet.paste(library.fromarray(cell), (left, top + 2 * _TEXT))
            left += column + 3 * _GAP
    return _png(sheet)


def three_slices(picture: Picture) -> NDArray[np.uint8]:
    """Return the middle slices along depth, height and width beside each other.

    Each is as high as the others, in the proportions of the scan where its spacing is known; grey
    goes from 0 to 1, or between the half percents at either end where values leave that.
    """
    values = np.nan_to_num(np.asarray(picture.values, np.float32))
    low, high = (0.0, 1.0)
    if values.min() < 0 or values.max() > 1:
        low, high = np.percentile(values, _TAILS)
    grey = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
    depth, height, width = values.shape
    spacing = picture.spacing or (1.0, 1.0, 1.0)
    # Seen from the feet, from the front and from the side; the head is up.
    seen = (
        (grey[depth // 2], spacing[1], spacing[2]),
        (grey[::-1, height // 2], spacing[0], spacing[2]),
        (grey[::-1, :, width // 2], spacing[0], spacing[1]),
    )
    parts = [_scaled(slice_, row * slice_.shape[0], column * slice_.shape[1])
             for slice_, row, column in seen]  # fmt: skip
    gap = np.full((_HEIGHT, _GAP), _BETWEEN, np.uint8)
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=1)


def _body(shown: Preview) -> Iterator[str]:
    about = (
        "Training cases only; the test set stays closed. Middle slices along depth, height and "
        "width, the first channel."
    )
    yield f"<p>{about}</p>"
    yield from (f"<p>{escape(note)}</p>" for note in (*shown.card.notes, *shown.notes))
    drawn = "".join(f"<li>{escape(words)}</li>" for words in shown.policies)
    yield f"<p>Augmentations, drawn from the space:</p><ol>{drawn}</ol>"
    for label in shown.card.classes:
        yield f"<h2>{escape(label)}</h2>"
        cases = [one for one in shown.examples if one.label == label]
        if not cases:
            yield "<p>No training case.</p>"
        for one in cases:
            yield f"<p>{escape(one.case)}</p>"
            figures = "".join(_figure(one.case, picture) for picture in one.pictures)
            yield f'<div class="case">{figures}</div>'


def _figure(case: str, picture: Picture) -> str:
    data = base64.b64encode(_png(_pillow().fromarray(three_slices(picture)))).decode()
    words = escape(picture.words)
    seen = escape(f"{case}, {picture.words}: three middle slices")
    return (
        f'<figure><img alt="{seen}" src="data:image/png;base64,{data}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _scaled(slice_: NDArray[np.float32], tall: float, wide: float) -> NDArray[np.uint8]:
    """Return a slice at the page's height; its width follows from its extent."""
    width = int(np.clip(round(_HEIGHT * wide / tall), 8, 4 * _HEIGHT))
    rows = (np.arange(_HEIGHT) * slice_.shape[0]) // _HEIGHT
    columns = (np.arange(width) * slice_.shape[1]) // width
    scaled: NDArray[np.uint8] = slice_[np.ix_(rows, columns)].astype(np.uint8)
    return scaled


def _png(image: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def _ascii(text: str) -> str:
    """Return what Pillow's own font can draw."""
    return text.replace("×", "x").replace("−", "-").encode("latin-1", "replace").decode("latin-1")


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise MissingExtraError(
            "a preview needs the package 'pillow', which is not installed: "
            'pip install "medpipe[scans]"'
        ) from None
    return Image
