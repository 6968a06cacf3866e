"""The page in a browser: it opens in silence, fits a phone, flips and sorts by hand and by key, is legible and prints."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import pytest

from lossbench.report.answer import answered
from lossbench.report.page import page
from lossbench.report.schema import read_report
from tests.report.test_page import full

selenium = pytest.importorskip("selenium", reason="no selenium: pip install selenium")
webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
from selenium.webdriver.common.by import By  # noqa: E402  # after the look for selenium
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not BROWSER or not DRIVER, reason="no Chromium: apt-get install chromium chromium-driver"
)
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
COMMITTED = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("bench-*.json"))
CONTRAST = 4.5  # WCAG 2.2, AA


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "report.html").write_text(
        page(answered(full(folder / "now", worse=1.3), full(folder / "before"))), "utf-8"
    )
    return (folder / "report.html").as_uri()


@pytest.fixture(params=[390, 1440])
def wide(browser, address, request):
    """Return the browser with the page open, as a phone's and as a desktop's."""
    return opened(browser, address, request.param)


@pytest.fixture
def desktop(browser, address):
    return opened(browser, address, 1440)


def opened(browser, address, width, media="screen", scheme="light"):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    emulate(browser, media, scheme)
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(address)
    return browser


def emulate(browser, media, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def css(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def test_it_opens_in_silence(wide, address):
    for select in css(wide, ".choose select, .flipping select"):
        select.send_keys(Keys.DOWN)
    css(wide, ".flip-all")[0].click()
    css(wide, "#theme")[0].click()
    assert wide.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in wide.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"]
    assert address in asked
    assert [url for url in asked if url != address and not url.startswith("data:")] == []


def test_the_page_does_not_scroll_sideways(wide):
    inner, whole = wide.execute_script(
        "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert whole == inner
    wider = wide.execute_script(
        "return [...document.querySelectorAll('.frame')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert (wider > 0) == (inner < 600)  # on a phone tables scroll in their own frames


def test_long_names_do_not_widen_a_phone(browser, tmp_path):
    named = json.dumps(full(tmp_path / "cells", worse=1.3)).replace(
        "idt", "a_loss_whose_name_is_longer_than_a_phone_is_wide"
    )
    (tmp_path / "report.html").write_text(page(answered(json.loads(named))), "utf-8")
    opened(browser, (tmp_path / "report.html").as_uri(), 390)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_reports_open_in_silence_and_fit(browser, tmp_path, path, width):
    (tmp_path / "page.html").write_text(page(answered(read_report(path))), "utf-8")
    opened(browser, (tmp_path / "page.html").as_uri(), width)
    assert browser.get_log("browser") == []
    page_ = "document.documentElement"
    assert browser.execute_script(f"return {page_}.scrollWidth - {page_}.clientWidth") == 0
    assert css(browser, "#seeds svg, .grid img")


def sources(browser):
    """Return the images of the first direction by column."""
    return browser.execute_script(
        "return [...document.querySelector('.grid tbody').rows].map(r => [...r.querySelectorAll('img')].map(i => [i.src, i.alt]))"
    )


def test_a_column_flips_by_click_and_by_key(desktop):
    before = sources(desktop)
    button = css(desktop, ".flip")[4]  # input, truth, cycle, cycle+idt, cycle+tv
    assert button.text.replace("\n", "") == "cycle+tv"
    button.click()
    after = sources(desktop)
    assert [row[4] for row in after] == [row[2] for row in before] != [row[4] for row in before]
    assert [row[3] for row in after] == [row[3] for row in before]
    assert button.get_attribute("aria-pressed") == "true"
    button.send_keys(Keys.SPACE)
    assert sources(desktop) == before
    assert button.get_attribute("aria-pressed") == "false"


def test_f_flips_all_but_the_column_they_are_flipped_against(desktop):
    before = sources(desktop)
    css(desktop, ".images .frame")[0].send_keys("f")
    assert sources(desktop) == [[row[2]] * len(row) for row in before]
    css(desktop, ".flipping select")[0].send_keys("input")
    assert sources(desktop) == [[row[0], row[0], row[2], row[0], row[0], row[0]] for row in before]
    css(desktop, ".images .frame")[0].send_keys("f")
    assert sources(desktop) == before


def test_one_image_flips_by_itself(desktop):
    before = sources(desktop)
    desktop.execute_script("document.querySelectorAll('.grid img')[3].click()")
    after = sources(desktop)
    assert after[0][3] == before[0][2]
    assert after[1] == before[1]


def test_images_keep_their_pixels_and_grow(desktop):
    image = css(desktop, ".grid img")[0]
    assert image.value_of_css_property("image-rendering") == "pixelated"
    width = image.size["width"]
    assert width % 32 == 0
    css(desktop, ".larger")[0].click()
    assert image.size["width"] == 2 * width


def order(browser):
    return [each.get_attribute("data-value") for each in css(browser, ".heat tbody th")]


@pytest.mark.parametrize("key", [None, Keys.ENTER])
def test_a_column_sorts_its_best_to_the_top_and_says_so(desktop, key):
    heads = css(desktop, ".heat thead th")

    def press(column):
        button = heads[column].find_element(By.TAG_NAME, "button")
        button.send_keys(key) if key else desktop.execute_script("arguments[0].click()", button)

    press(2)  # l1, lower is better: .5, .975 (.75 is of both), 1, 1.95
    assert order(desktop) == ["cycle+idt", "cycle+idt+tv", "cycle", "cycle+tv"]
    assert heads[2].get_attribute("aria-sort") == "ascending"
    press(2)
    assert order(desktop) == ["cycle+tv", "cycle", "cycle+idt+tv", "cycle+idt"]
    assert heads[2].get_attribute("aria-sort") == "descending"
    press(3)  # psnr, higher is better: 20, 21, 22, 23
    assert order(desktop) == ["cycle+idt+tv", "cycle+tv", "cycle+idt", "cycle"]
    assert [head.get_attribute("aria-sort") for head in heads[:4]] == [None, None, None, "descending"]


def test_one_metric_is_drawn_at_a_time(desktop):
    shown = "return [...document.querySelectorAll('.choice')].filter(e => e.checkVisibility()).map(e => e.dataset.name)"
    assert desktop.execute_script(shown) == ["A2B/l1"]
    css(desktop, ".choose select")[0].send_keys("A2B/psnr")
    assert desktop.execute_script(shown) == ["A2B/psnr"]


COLOURS = """
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
const under = (element) => {
  const layers = [];
  for (let each = element; each; each = each.parentElement) layers.unshift(getComputedStyle(each).backgroundColor);
  layers.forEach(layer => { canvas.fillStyle = layer; canvas.fillRect(0, 0, 1, 1); });
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (texts.nextNode()) {
  const parent = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !parent.checkVisibility() || parent.closest("svg, script, style, .skip, .hidden, option")) continue;
  found.push([texts.currentNode.data.trim().slice(0, 40), rgb(getComputedStyle(parent).color).slice(0, 3), under(parent)]);
}
return found;
"""


def luminance(colour):
    """Return the relative luminance of an sRGB colour (WCAG 2.2)."""
    parts = [each / 255 for each in colour]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def ground(browser):
    return browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")


def test_contrast_is_computed_as_the_standard_says():
    assert contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert contrast((255, 255, 255), (118, 118, 118)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_legible(browser, address, scheme):
    opened(browser, address, 1440, scheme=scheme)
    found = browser.execute_script(COLOURS)
    assert len(found) > 200
    assert [(text, *pair) for text, *pair in found if contrast(*pair) < CONTRAST] == []


def test_dark_is_what_the_system_says_until_somebody_chooses(browser, address):
    opened(browser, address, 1440)
    light, toggle = ground(browser), css(browser, "#theme")[0]
    emulate(browser, "screen", "dark")
    dark = ground(browser)
    assert dark != light
    WebDriverWait(browser, 10).until(lambda _: toggle.text == "Light")  # told with the next frame
    toggle.click()
    assert ground(browser) == light
    toggle.click()
    assert ground(browser) == dark


def test_everything_is_reached_by_tab_and_seen_there(wide):
    reached = (
        "return [...document.querySelectorAll('a[href], button:enabled, select, input, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility()).length"
    )
    stops = wide.execute_script(reached)
    wide.execute_script("document.seen = new Set(); document.dim = [];")
    note = (
        "const e = document.activeElement; if (e === document.body) return; document.seen.add(e);"
        "if (getComputedStyle(e).outlineStyle === 'none') document.dim.push(e.outerHTML.slice(0, 80));"
    )
    for _ in range(stops + 2):
        wide.switch_to.active_element.send_keys(Keys.TAB)
        wide.execute_script(note)
    assert wide.execute_script("return document.seen.size") == stops > 40
    assert wide.execute_script("return document.dim") == []


def test_frames_that_scroll_can_be_scrolled_by_keyboard(browser, address):
    opened(browser, address, 390)
    scrolls = "return [...document.querySelectorAll('*')].filter(e => /auto|scroll/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth && e.tabIndex < 0).map(e => e.className)"
    assert browser.execute_script(scrolls) == []


def test_on_paper_everything_is_open_and_light(browser, address):
    opened(browser, address, 1440, scheme="dark")
    found = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(found["data"]))) > 2
    assert css(browser, "details[open]") == []  # closed again
    emulate(browser, "print", "dark")
    closed = "return [...document.querySelectorAll('details > :not(summary)')].filter(e => e.getBoundingClientRect().height === 0).length"
    assert browser.execute_script("return document.querySelectorAll('details').length") > 5
    assert browser.execute_script(closed) == 0
    assert (
        browser.execute_script(
            "return [...document.querySelectorAll('.choice')].filter(e => !e.checkVisibility()).length"
        )
        == 0
    )
    assert browser.execute_script("return document.querySelector('#theme').checkVisibility()") is False
    assert ground(browser) == "rgba(255, 255, 255, 1)"


def test_without_scripts_all_is_there(browser, address):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, address, 1440)
        assert len(css(browser, ".choice")) == 5
        assert all(each.is_displayed() for each in css(browser, ".choice"))
        assert not css(browser, "#theme")[0].is_displayed()
        assert not css(browser, ".flipping")[0].is_displayed()
        assert css(browser, ".grid img")[3].is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
