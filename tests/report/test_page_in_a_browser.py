"""The page as a browser shows it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from basis_strategy_v1.report.report import write_report

from .run_folders import START, basis_year, plain_run, stamp

if TYPE_CHECKING:
    from pathlib import Path

    from .chromium import Chromium

pytestmark = pytest.mark.browser

FIGURES = ("equity", "drawdown", "attribution", "waterfall", "positions", "funding")
MARKS = "figure => document.querySelectorAll(`#figure-${figure} .main-svg :is(.scatterlayer, .barlayer, .waterfalllayer) path`).length"
# A browser without a screen has no mouse, and without one the page shows no buttons.
WITH_A_MOUSE = "const asked = matchMedia; window.matchMedia = query => query === '(hover: hover)' ? { matches: true } : asked(query);"
MARKUP = '</script><script>document.title="owned"</script><img src="http://a.invalid/x.png"><b>bold</b><a href="http://a.invalid">a</a>'


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(basis_year(days=120).write(tmp_path_factory.mktemp("run")))


def background(browser: Chromium) -> str:
    found: str = browser.run("getComputedStyle(document.querySelector('#figure-equity .main-svg')).backgroundColor")
    return found


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 2400), ("light", 400)])
def test_every_figure_is_drawn_without_a_complaint_or_a_request(browser: Chromium, page: Path, scheme: str, width: int) -> None:
    browser.look(width=width, scheme=scheme)
    browser.open(page)
    assert [name for name in FIGURES if not browser.run(f"({MARKS})('{name}')")] == []
    assert browser.run("document.querySelectorAll('.plot').length") == len(FIGURES)
    assert browser.complaints == []
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.run("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [400, 700, 1300, 1900])
def test_no_figure_of_a_tile_is_wider_than_its_tile(browser: Chromium, tmp_path: Path, width: int) -> None:
    run = plain_run(share_class="eth_directional", initial_equity="1050000", final_equity="1037692.998629", pnl="-12307.001371")
    run.summary["attribution"]["gas"] = "-123456789012345678.123456"
    browser.look(width=width)
    browser.open(write_report(run.write(tmp_path / "run")))
    assert browser.run("document.querySelectorAll('.card').length") == 6
    assert browser.run("[...document.querySelectorAll('.card')].filter(card => card.scrollWidth > card.clientWidth).length") == 0


def test_no_button_of_a_chart_offers_to_send_it_anywhere(browser: Chromium, page: Path) -> None:
    browser.look()
    with browser.script(WITH_A_MOUSE):
        browser.open(page)
    titles = "[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)"
    assert set(browser.run(titles)) == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}
    browser.run("window.opened = []; window.open = address => { opened.push(String(address)); return null; }")
    browser.run("document.querySelectorAll('.modebar-btn').forEach(button => button.click())")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))")
    assert browser.run("opened") == []
    assert browser.run("document.querySelectorAll('.plotly-cloud-dialog').length") == 0
    assert [address for address in browser.requests if not address.startswith(("blob:", "data:"))] == [page.resolve().as_uri()]


def test_the_page_follows_the_readers_light_and_dark(browser: Chromium, page: Path) -> None:
    browser.look(scheme="light")
    browser.open(page)
    light = background(browser), browser.run("getComputedStyle(document.body).backgroundColor")
    browser.look(scheme="dark")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))")
    dark = background(browser), browser.run("getComputedStyle(document.body).backgroundColor")
    assert light == ("rgb(251, 251, 249)",) * 2
    assert dark == ("rgb(18, 22, 27)",) * 2


def test_spot_and_perp_price_are_shown_netted_or_apart(browser: Chromium, page: Path) -> None:
    browser.look()
    browser.open(page)
    legend = "[...document.querySelectorAll('#figure-attribution .legendtext')].map(text => text.textContent)"
    bars = (
        "[...document.querySelectorAll('#figure-waterfall .ytick text')]"
        ".sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y).map(text => text.textContent)"
    )
    assert browser.run(legend)[:2] == ["Spot and perp price", "Funding"]
    assert browser.run(bars)[:2] == ["Spot and perp price", "Funding"]
    browser.run("document.querySelector('input[value=apart]').click()")
    assert browser.run(legend)[:3] == ["Spot price", "Perp price", "Funding"]
    assert browser.run(bars)[:3] == ["Spot price", "Perp price", "Funding"]


def test_zooming_into_one_figure_moves_the_others(browser: Chromium, page: Path) -> None:
    browser.look()
    browser.open(page)
    browser.run("Plotly.relayout('figure-equity', {'xaxis.range': ['2024-07-01', '2024-07-15']}).then(() => null)")
    ranges = "['drawdown', 'attribution'].map(name => document.getElementById(`figure-${name}`).layout.xaxis.range)"
    assert browser.run(ranges) == [["2024-07-01", "2024-07-15"]] * 2


def test_figures_over_time_stand_under_each_other_whatever_their_labels_are(browser: Chromium, tmp_path: Path) -> None:
    run = basis_year(days=40)
    run.summary |= {"initial_equity": "1100000", "final_equity": str(1_000_000 + Decimal(run.summary["final_equity"]))}
    for row in run.equity:
        row[1] = str(1_000_000 + Decimal(row[1]))
    browser.look()
    browser.open(write_report(run.write(tmp_path / "run")))
    edges = (
        "[...document.querySelectorAll('.plot')].filter(plot => plot.id !== 'figure-waterfall')"
        ".map(plot => plot.querySelector('.nsewdrag').getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    found = browser.run(edges)
    assert len(found) == len(FIGURES) - 1 and {tuple(edge) for edge in found} == {tuple(found[0])}


def test_paper_is_light_and_the_figures_fit_it(browser: Chromium, page: Path) -> None:
    browser.look(scheme="dark")
    browser.open(page)
    browser.run(
        "window.seen = []; addEventListener('beforeprint', () => { const svg = document.querySelector('#figure-equity .main-svg');"
        "seen.push(svg.getAttribute('width'), svg.style.background); })"
    )
    assert browser.printed().startswith(b"%PDF")
    assert browser.run("seen") == ["690", "rgb(251, 251, 249)"]
    assert background(browser) == "rgb(18, 22, 27)"


def test_markup_in_the_files_does_nothing(browser: Chromium, tmp_path: Path) -> None:
    run = plain_run(run_id=MARKUP, assumptions=[MARKUP], data={"directory": MARKUP})
    run.config = MARKUP
    run.positions = [[stamp(START), MARKUP, MARKUP, "1"], [stamp(START), "b", MARKUP, "1"]]
    run.log(START, "execution", {"venue": MARKUP, "deltas": {MARKUP: {MARKUP: "1"}}})
    run.log(START, "settlement", {"kind": "funding", "venue": MARKUP, "deltas": {MARKUP: {MARKUP: "1"}}})
    page = write_report(run.write(tmp_path / "run"))
    browser.look()
    browser.open(page)
    assert browser.complaints == []
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.run("document.title").endswith(MARKUP)
    assert browser.run("document.querySelectorAll('img, main a, .legendtext a, .annotation-text a').length") == 0
    assert MARKUP in browser.run("[...document.querySelectorAll('#figure-positions .legendtext')].map(text => text.textContent)")


def fills(count: int) -> list[list[str]]:
    """Fills of two venues in turn, the notional falling; the columns symbol to key of trades.csv."""
    rows = []
    for number in range(count):
        venue, action = (("bybit", "spot"), ("binance", "perp"))[number % 2]
        notional, reason = f"{(count - number) * 1000}.123456789012", f'a "reason", {number}'
        trade = [stamp(START), venue, action, "ETHUSDT", "buy", "1.5", "3000"]
        rows.append([*trade, notional, "1", reason, "", f"k{number}"])
    return rows


SHOWN = "[...document.querySelectorAll('#trades-table tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
HEADS = "[...document.querySelectorAll('#trades-table th')].map(head => [head.textContent, head.ariaSort])"
SAVED = (
    "(async () => { let made; const real = URL.createObjectURL;"
    "URL.createObjectURL = blob => { made = blob; return real.call(URL, blob); };"
    "document.getElementById('trades-save').click(); URL.createObjectURL = real; return made.text(); })()"
)


def typed(text: str) -> str:
    box = "document.getElementById('trades-filter')"
    return f"(() => {{ {box}.value = '{text}'; {box}.dispatchEvent(new Event('input')); }})()"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_trades_are_sorted_filtered_and_saved_within_the_page(browser: Chromium, tmp_path: Path, scheme: str, width: int) -> None:
    run = basis_year(days=20)
    run.trades = fills(300)
    page = write_report(run.write(tmp_path / "run"))
    browser.look(width=width, scheme=scheme)
    browser.open(page)
    names = ["timestamp", "venue", "action", "symbol", "side", "amount", "price", "notional", "fee", "reason", "key"]  # no tag was given
    assert browser.run(HEADS) == [[name, "none"] for name in names]
    assert browser.run("document.getElementById('trades-count').textContent") == "200 of 300 shown"
    assert browser.run(SHOWN)[0] == [
        stamp(START), "bybit", "spot", "ETHUSDT", "buy", "1.5", "3,000", "300,000.12", "1.00", 'a "reason", 0', "k0",
    ]  # fmt: skip
    sort = "document.querySelectorAll('#trades-table th button')[7].click()"
    browser.run(sort)
    assert [row[10] for row in browser.run(SHOWN)[:2]] == ["k299", "k298"]
    browser.run(sort)
    assert browser.run(HEADS)[7] == ["notional", "descending"]
    browser.run(typed("PERP reason"))
    assert browser.run("document.getElementById('trades-count').textContent") == "150 of 150 shown"
    assert {row[1] for row in browser.run(SHOWN)} == {"binance"}
    saved = browser.run(SAVED).splitlines()
    assert (saved[0], len(saved)) == (",".join(names), 151)
    assert saved[1] == f'{stamp(START)},binance,perp,ETHUSDT,buy,1.5,3000,299000.123456789012,1,"a ""reason"", 1",k1'
    browser.run(typed("nothing like it"))
    assert (browser.run(SHOWN), browser.run("document.getElementById('trades-count').textContent")) == ([], "0 of 0 shown")
    assert browser.complaints == []
    assert [address for address in browser.requests if not address.startswith("blob:")] == [page.resolve().as_uri()]
    assert browser.run("document.documentElement.scrollWidth") == width


def test_markup_in_trades_does_nothing(browser: Chromium, tmp_path: Path) -> None:
    run = plain_run()
    run.trades = [[MARKUP if place in (1, 9) else text for place, text in enumerate(row)] for row in fills(2)]
    browser.look()
    browser.open(write_report(run.write(tmp_path / "run")))
    assert browser.run(SHOWN)[0][1] == MARKUP
    assert browser.run("document.querySelectorAll('#trades img, #trades a, #trades td b').length") == 0
    assert browser.complaints == []
