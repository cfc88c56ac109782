"""The report in a browser: headless Chromium opens the file from the disk, without a network."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_runs import make_run, make_sweep
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from runner.cli import main

pytestmark = pytest.mark.slow

NUM_RUNS = 200


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """Chromium; where there is none the tests are skipped, but not in CI, which installs it."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        assert not os.environ.get("CI"), "CI has Debian's chromium and chromium-driver"
        pytest.skip("no chromium with its chromedriver here")
    options = ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = Chrome(options=options, service=Service(driver))
    opened.execute_cdp_cmd("Network.enable", {})
    opened.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    yield opened
    opened.quit()


def rows(last: float, count: int) -> list[dict[str, object]]:
    return [
        {
            "epoch": epoch,
            "lr": 0.1,
            "train/loss": 2 / epoch,
            "val/loss": 3 / epoch,
            "train/accuracy": last * epoch / count,
            "val/accuracy": last * epoch / count,
            "seconds": 0.1,
        }
        for epoch in range(1, count + 1)
    ]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a sweep of 200 runs, of which every twentieth has failed."""
    made = make_sweep(tmp_path_factory.mktemp("sweep") / "sweep", ["optimizer.lr", "model", "seed"], NUM_RUNS)
    for number in range(NUM_RUNS):
        lr = 10 ** -(1 + number % 40 / 10)
        value = 0.9 - abs(number % 40 - 20) / 50 + number % 7 / 100
        is_failed = number % 20 == 19
        make_run(
            made.place(number, [("lr", f"{lr:.3g}")]),
            {"optimizer.lr": lr, "seed": number // 40},
            choices={"model": ("mlp", "lenet")[number % 2]},
            rows=rows(value, 3 if is_failed else 10),
            best=value,
            best_epoch=10,
            metrics={"val/loss": 0.3, "val/accuracy": value, "test/accuracy": value},
            state="failed" if is_failed else "completed",
            error="a_word_that_is_much_longer_than_any_screen_is_wide_" * 5 if is_failed else None,
        )
    assert main(["report", str(made.path), "--no-examples"]) == 0
    return made.path / "report.html"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a single run."""
    run = make_run(
        tmp_path_factory.mktemp("alone") / "run", rows=rows(0.9, 5), best=0.9, best_epoch=5, metrics={"val/loss": 0.6}
    )
    assert main(["report", str(run), "--no-examples"]) == 0
    return run / "report.html"


def open_page(browser: Chrome, page: Path, width: int = 1280, dark: bool = False) -> None:
    """Open a page, and scroll through it, so that all of its figures are drawn."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    for plot in browser.find_elements(By.CSS_SELECTOR, ".plot"):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", plot)
        WebDriverWait(browser, 30).until(lambda _, plot=plot: "drawn" in (plot.get_attribute("class") or ""))


def first_column(browser: Chrome, table: str = "#all-runs") -> list[str]:
    cells = browser.find_elements(By.CSS_SELECTOR, f"{table} tbody tr:not([hidden]) > :first-child")
    return [cell.text for cell in cells]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["sweep", "alone"])
def test_no_error_every_figure_drawn_and_nothing_wider_than_the_screen(
    browser: Chrome, request: pytest.FixtureRequest, name: str, width: int
) -> None:
    open_page(browser, request.getfixturevalue(name), width)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    plots = browser.find_elements(By.CSS_SELECTOR, ".plot")
    assert len(plots) >= (6 if name == "sweep" else 3)
    for plot in plots:
        marks = plot.find_elements(By.CSS_SELECTOR, ".scatterlayer path.js-line, .scatterlayer path.point, .bars path")
        assert marks, plot.get_attribute("aria-label")
        assert max(mark.size["width"] for mark in marks) > 0
        assert plot.size["width"] > 200


def test_curves_are_seen_in_their_colours_in_the_light_and_in_the_dark(browser: Chrome, alone: Path) -> None:
    colours = []
    for dark in (False, True):
        open_page(browser, alone, dark=dark)
        lines = browser.find_elements(By.CSS_SELECTOR, "#curves .plot path.js-line")
        assert len(lines) >= 2
        assert all(line.size["height"] > 20 for line in lines[:2])
        colours.append(lines[0].value_of_css_property("stroke"))
    assert colours[0] != colours[1]
    # The page turns dark while it is open.
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    )
    WebDriverWait(browser, 10).until(
        lambda opened: (
            opened.find_element(By.CSS_SELECTOR, "#curves .plot path.js-line").value_of_css_property("stroke")
            == colours[0]
        )
    )


def test_the_table_is_sorted_with_the_keyboard_by_numbers_and_by_text(browser: Chrome, sweep: Path) -> None:
    open_page(browser, sweep)
    titles = browser.find_elements(By.CSS_SELECTOR, "#all-runs thead th")
    by_title = {title.text: title for title in titles}
    numbered = [f"{number:04d}" for number in range(NUM_RUNS)]
    assert first_column(browser) == numbered
    accuracy = by_title["val/accuracy"]
    button = accuracy.find_element(By.TAG_NAME, "button")
    values = [0.9 - abs(number % 40 - 20) / 50 + number % 7 / 100 for number in range(NUM_RUNS)]
    for way in ("ascending", "descending"):
        browser.execute_script("arguments[0].focus()", button)
        button.send_keys(Keys.ENTER)
        assert accuracy.get_attribute("aria-sort") == way
        shown = [values[int(label)] for label in first_column(browser)]
        assert shown == sorted(values, reverse=way == "descending")
    by_title["state"].find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert accuracy.get_attribute("aria-sort") is None
    states = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#all-runs tbody .state")]
    assert states == ["completed"] * 190 + ["failed"] * 10


def test_the_table_is_filtered_by_words(browser: Chrome, sweep: Path) -> None:
    open_page(browser, sweep)
    browser.find_element(By.CSS_SELECTOR, ".filter").send_keys("failed lenet")
    assert first_column(browser) == [f"{number:04d}" for number in range(19, NUM_RUNS, 20)]


def test_a_press_on_the_legend_hides_a_run_and_one_on_a_point_leads_to_its_row(browser: Chrome, sweep: Path) -> None:
    open_page(browser, sweep)
    count = "return document.querySelectorAll('#curves .plot path.js-line').length"
    before = browser.execute_script(count)
    chip = browser.find_element(By.CSS_SELECTOR, ".legend button")
    chip.send_keys(Keys.ENTER)
    assert chip.get_attribute("aria-pressed") == "false"
    WebDriverWait(browser, 10).until(lambda opened: opened.execute_script(count) < before)
    chip.send_keys(Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda opened: opened.execute_script(count) == before)
    # plotly's own event, as a press on the third point of the first slice makes it
    browser.execute_script(
        "const plot = document.querySelector('#settings .plot');"
        "plot.emit('plotly_click', {points: [{data: plot.data[0], customdata: plot.data[0].customdata[2]}]})"
    )
    row = browser.execute_script("return document.querySelector('tr:target th').textContent").strip()
    assert row == "0002"
