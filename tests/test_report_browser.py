"""The page of many runs, as a browser draws it: at three widths, on light and on dark ground.

One headless Chromium loads the page in a frame a width and scheme, and takes one picture of all.
"""

import html
import json
import re
import shutil
import subprocess

import pytest
from _runs import RunFolder, life
from matplotlib.image import imread

from kasmina.report import write_report

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
WIDTHS, SCHEMES = (390, 1280, 2200), ("light", "dark")
HEIGHT = 5000  # pixels of a frame; none of the page's plots is below
SCALE = 0.5  # pixels of the picture in one of the page, whose layout is as ever; the least there is

MEASURE = """
onload = () => {
  const told = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument.documentElement;
    const box = it => {
      const at = it.getBoundingClientRect(), of = frame.getBoundingClientRect();
      return [of.x + at.x, of.y + at.y, at.width, at.height].map(it => Math.round(SCALE * it));
    };
    return {
      name: frame.id, width: page.scrollWidth, frame: box(page).slice(0, 2),
      plots: [...page.querySelectorAll("img")].map(box),
    };
  });
  document.querySelector("pre").textContent = JSON.stringify(told);
}
"""


def frame(page, width, scheme):
    style = f"width:{width}px;height:{HEIGHT}px;border:0;float:left;color-scheme:{scheme}"
    return f'<iframe id="{scheme} {width}" style="{style}" srcdoc="{html.escape(page)}"></iframe>'


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Six configurations of two seeds, with names that no legend has room for."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(12):
        at, seed = divmod(number, 2)
        chosen = (f"incubation=a_mode_with_a_very_long_name_{at % 3}", f"ramp.ticks={at // 3}")
        RunFolder(
            folder / str(number),
            ticks=6,
            seed=seed,
            overrides=(*chosen, f"seed={seed}"),
            moves=life("stages.0", ("se", "mlp", "norm")[at % 3], 2),
            status="diverged" if number == 11 else "finished",
        ).write()
    return write_report([folder]).read_text()


@pytest.mark.long
@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")
def test_the_plots_are_there_at_every_width_on_light_and_dark_ground(page, tmp_path):
    frames = "".join(frame(page, width, it) for it in SCHEMES for width in WIDTHS)
    head = '<!doctype html><meta charset="utf-8"><style>body { margin: 0 }</style>'
    text = f"{head}{frames}<pre></pre><script>const SCALE = {SCALE};{MEASURE}</script>"
    (tmp_path / "all.html").write_text(text, encoding="utf-8")
    told = draw(tmp_path)
    picture = imread(tmp_path / "all.png")[..., :3]
    assert [it["name"] for it in told] == [f"{it} {w}" for it in SCHEMES for w in WIDTHS]
    for it in told:
        scheme, width = it["name"].split()
        assert it["width"] == int(width), "it scrolls sideways"
        left, top = it["frame"]
        assert (picture[top + 2, left + 2].mean() > 0.5) == (scheme == "light")
        assert len(it["plots"]) == 4
        for x, y, wide, high in it["plots"]:
            assert wide > 0.75 * SCALE * min(int(width), 1216)
            assert high > 100 * SCALE
            plot = picture[y : y + high, x : x + wide]
            grey = plot.mean(axis=2)
            assert grey.max() > 0.85, "its paper is light"
            assert 0.005 < (grey < 0.6).mean() < 0.5, "there is ink, and not only ink"
            coloured = (plot.max(axis=2) - plot.min(axis=2)) > 0.15
            assert coloured.any(axis=0).mean() > 0.02, "data are drawn across it"


def draw(folder):
    """Take the picture; what the page told of itself."""
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"),
        f"--window-size={sum(WIDTHS)},{2 * HEIGHT + 50}",
        f"--force-device-scale-factor={SCALE}",
    ]
    files = [f"--user-data-dir={folder / 'profile'}", f"--screenshot={folder / 'all.png'}"]
    done = subprocess.run(
        [BROWSER, *options, *files, (folder / "all.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (told,) = re.findall(r"<pre>(.*?)</pre><script>", done.stdout, re.DOTALL)
    return json.loads(html.unescape(told))
