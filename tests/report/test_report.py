"""The page of a run, read as text."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.report.report import write_report

from .reading import Page
from .run_folders import START, basis_year, plain_run, stamp

if TYPE_CHECKING:
    from pathlib import Path

MARKUP = '</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp;'


def amounts_of(page: Page) -> dict[str, Decimal]:
    """label -> amount of the attribution table."""
    start = page.rows.index(["Source", "USDT", "bps of initial equity"]) + 1
    lines = page.exact[start : next(index for index, row in enumerate(page.rows) if row[0] == "Final equity") + 1]
    return {name: Decimal(amount.replace(",", "")) for name, amount, _ in lines}


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_report(basis_year(days=40).write(tmp_path / name)) for name in ("first", "second"))
    once = first.read_bytes()
    assert once == second.read_bytes()
    assert write_report(tmp_path / "first").read_bytes() == once


def test_the_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    run = basis_year(days=3).write(tmp_path / "run")
    program = (
        "import sys, pathlib; from basis_strategy_v1.report.report import write_report; "
        "print('plotly' in sys.modules); write_report(pathlib.Path(sys.argv[1]))"
    )
    pages = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", program, str(run)], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"
        pages.add((run / "report.html").read_bytes())
    assert len(pages) == 1


def test_only_the_page_is_added_to_the_folder(tmp_path: Path) -> None:
    run = plain_run().write(tmp_path / "run")
    before = {path.name for path in run.iterdir()}
    assert write_report(run) == run / "report.html"
    assert {path.name for path in run.iterdir()} == before | {"report.html"}


@pytest.mark.parametrize(
    ("data", "banner"),
    [
        ({"generated": True, "directory": "sample"}, "GENERATED DATA"),
        ({"generated": False, "directory": "market"}, "REAL DATA (no mark of generated data)"),
        ({}, "NOT STATED DATA"),
        (None, "NOT STATED DATA"),
    ],
)
def test_the_page_says_whether_the_data_are_real(tmp_path: Path, data: dict[str, Any] | None, banner: str) -> None:
    run = plain_run(**({} if data is None else {"data": data})).write(tmp_path / "run")
    text = Page(write_report(run)).text
    banners = ("GENERATED DATA", "REAL DATA (no mark of generated data)", "NOT STATED DATA")
    assert [words for words in banners if words in text] == [banner]


def test_the_attribution_adds_up_to_the_profit_digit_by_digit(tmp_path: Path) -> None:
    run = basis_year(days=60)
    page = Page(write_report(run.write(tmp_path / "run")))
    shown = amounts_of(page)
    expected = {source.replace("_", " ").capitalize(): Decimal(amount) for source, amount in run.summary["attribution"].items()}
    assert {name: shown[name] for name in expected} == expected
    assert sum(expected.values()) == shown["Profit and loss"] == Decimal(run.summary["pnl"])
    assert shown["Price"] + shown["Carry"] + shown["Costs"] == shown["Profit and loss"]
    assert shown["Initial equity"] + shown["Profit and loss"] == shown["Final equity"] == Decimal(run.summary["final_equity"])
    assert "add up to the profit and loss, and it to the change of equity" in page.text
    assert "role" not in {name for tag, given in page.elements if given.get("class") == "warning" for name in given}


def test_amounts_of_thirty_digits_are_not_rounded(tmp_path: Path) -> None:
    funding = "123456789012345678.123456789012"
    final = "123456789012445678.123456789012"
    run = plain_run(pnl=funding, final_equity=final, attribution={**dict.fromkeys(SOURCES, "0"), "funding": funding})
    page = Page(write_report(run.write(tmp_path / "run")))
    assert amounts_of(page)["Funding"] == Decimal(funding)
    assert "unexplained" not in page.text


def test_an_attribution_that_does_not_add_up_is_said_to_be_so(tmp_path: Path) -> None:
    run = plain_run(attribution={**dict.fromkeys(SOURCES, "0"), "funding": "0.000000000001"})
    text = Page(write_report(run.write(tmp_path / "run"))).text
    assert "The sources of the attribution do not add up to the profit and loss: -0.000000000001 is unexplained." in text
    assert "to the last digit shown" not in text


def test_failed_instructions_are_warned_of(tmp_path: Path) -> None:
    text = Page(write_report(plain_run(instructions_routed=5, instructions_failed=1).write(tmp_path / "run"))).text
    assert "1 instruction failed; see the errors in events.csv." in text


@pytest.mark.parametrize(
    ("venue", "token", "hint"),
    [
        ("lido", "ETH-QUEUED", " A queue or a transfer takes longer than the last step: begin to leave earlier (leave_at)."),
        ("in_transit", "ETH", " A queue or a transfer takes longer than the last step: begin to leave earlier (leave_at)."),
        ("wallet", "wstETH", ""),
    ],
)
def test_what_could_not_be_closed_is_warned_of(tmp_path: Path, venue: str, token: str, hint: str) -> None:
    left_open = [{"venue": venue, "token": token, "amount": "29.950000000000000001"}, {"venue": "bybit", "token": "BTC", "amount": "1"}]
    text = Page(write_report(plain_run(left_open=left_open).write(tmp_path / "run"))).text
    reported = f"Still held at the end, though the run was to close it: {venue} 29.95 {token}; bybit 1 BTC.{hint}"
    assert reported in text
    assert ("leave_at" in text) == bool(hint)
    assert "Still held" not in Page(write_report(plain_run().write(tmp_path / "plain"))).text


def test_an_execution_is_shown_with_what_it_moved_and_cost(tmp_path: Path) -> None:
    rows = Page(write_report(basis_year(days=1).write(tmp_path / "run"))).rows
    assert [
        "2024-06-01 00:00:00",
        "bybit",
        "cex_trade spot buy ETHUSDTPrice 3200.32",
        "+15.2 ETH-48,720.115 USDT",
        "Fees 48.64 USDTSlippage 4.85 USDT",
        "enter-spotsimulated",
    ] in rows


def test_a_number_in_an_event_is_shown_to_eight_decimals_and_keeps_its_digits_as_a_title(tmp_path: Path) -> None:
    run = plain_run()
    run.events.append(
        [stamp(START), "x", "1", "settlement", '{"kind":"claim","venue":"lido","deltas":{"wallet":{"ETH":0.1234567890123456789}}}']
    )
    rows = Page(write_report(run.write(tmp_path / "run"))).rows
    assert ["2024-06-01 00:00:00", "lido", "claim", "+0.12345679 ETH wallet", "", ""] in rows
    assert '<div title="+0.1234567890123456789">' in (tmp_path / "run" / "report.html").read_text()


def test_events_of_unknown_shape_are_shown_as_they_are(tmp_path: Path) -> None:
    run = plain_run()
    run.log(START, "execution", {"deltas": None, "costs": ["free"], "note": {"a": [1, 2]}, "venue": None})
    run.events.append([stamp(START), "x", "2", "execution", '"just text"'])
    run.log(START, "state_update", {"positions": {}})
    rows = Page(write_report(run.write(tmp_path / "run"))).rows
    assert ["2024-06-01 00:00:00", "", 'Note {"a":[1,2]}', "", "free", ""] in rows
    assert ["2024-06-01 00:00:00", "", "Data just text", "", "", ""] in rows
    assert len([row for row in rows if row[0] == "2024-06-01 00:00:00"]) == 2


def test_of_more_than_two_thousand_settlements_the_page_shows_the_first_and_says_where_the_others_are(tmp_path: Path) -> None:
    run = plain_run()
    for hour in range(2_150):
        run.log(
            START + timedelta(hours=hour), "settlement", {"kind": "funding", "venue": "binance", "deltas": {"binance": {"USDT": "1.01"}}}
        )
    page = Page(write_report(run.write(tmp_path / "run")))
    assert len([row for row in page.rows if row[1:3] == ["binance", "funding"]]) == 2_000
    assert "150 more, not shown here: events.csv has them all." in page.text
    assert "2,150 settlements: funding 2,150" in page.text
    assert "2,150 payments, 2,171.50 USDT in all." in page.text


def test_markup_in_the_files_stays_text(tmp_path: Path) -> None:
    def run(text: str) -> Page:
        folder = plain_run(
            run_id=text,
            strategy_mode=text,
            share_class=text,
            assumptions=[text],
            skipped=[{text: text}],
            missing_funding=[{"series": text, "timestamp": text}],
            data={"generated": False, "directory": text, "series": [text]},
        )
        folder.config = text
        folder.positions.append([stamp(START), text, text, "1"])
        folder.log(START, "execution", {"venue": text, "side": text, text: text, "deltas": {text: {text: "1"}}, "reference": text})
        folder.log(START, "execution", {"venue": "a", "costs": [{"source": text, "token": text, "amount": "1"}, text]})
        folder.log(START, "settlement", {"kind": "funding", "venue": text, "deltas": {text: {text: "1"}}})
        return Page(write_report(folder.write(tmp_path / str(len(text)))))

    harmless, hostile = run("plain"), run(MARKUP)
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    assert not [given for _, given in hostile.elements if "onerror" in given]
    assert hostile.text.count(MARKUP) == harmless.text.lower().count("plain")
    assert hostile.figure("positions")["traces"][0]["name"].startswith("&lt;/script&gt;")


def test_the_page_names_no_address_outside_itself(tmp_path: Path) -> None:
    page = Page(write_report(basis_year(days=2).write(tmp_path / "run")))
    addresses = [given[name] for _, given in page.elements for name in ("src", "href", "action", "data") if given.get(name)]
    assert [address for address in addresses if not address.startswith(("#", "data:,"))] == []
    policy = next(given["content"] for tag, given in page.elements if given.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    # plotly's own code has a server that charts are sent to; the page's script, the last one, takes it and the button away.
    script = (tmp_path / "run" / "report.html").read_text().rpartition("<script>")[2]
    assert 'plotlyServerURL: ""' in script and "showSendToCloud: false" in script and "modeBarButtons: [[" in script


def test_a_run_that_wrote_only_its_summary_has_a_page(tmp_path: Path) -> None:
    run = plain_run().write(tmp_path / "run")
    for name in ("equity.csv", "positions.csv", "events.csv", "config.yaml"):
        (run / name).unlink()
    page = Page(write_report(run))
    assert page.data["figures"] == []
    assert "The run wrote no equity.csv." in page.text


def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    folder = basis_year(days=1).write(tmp_path / "run")
    for name, truncated in (
        ("equity.csv", "2024-06-02T01:00:00Z,1000"),
        ("positions.csv", "2024-06-02T01:00:00Z,bybit,E"),
        ("events.csv", "2024-06-02T0"),
    ):
        with (folder / name).open("a", encoding="utf-8") as out:
            out.write(truncated)
    page = Page(write_report(folder))
    assert "All 25 steps are drawn." in page.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", "{", "cannot be read"),
        ("summary.json", "[]", "cannot be read"),
        ("summary.json", '{"run_id": "a"}', "summary.json: Object missing required field `initial_equity`; run the backtest again"),
        ("equity.csv", "timestamp,equity\n2024-06-01T00:00:00Z,much\n", "cannot be read: could not convert string to float"),
        ("positions.csv", "timestamp,venue,token,amount\na,b\nc,d,e,1\n", "cannot be read: a row has 2 fields, not 4: 'a,b'"),
        ("events.csv", "timestamp,event_type,data\n2024,execution,{\n", "cannot be read"),
        ("events.csv", "when,what\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = plain_run().write(tmp_path / "run")
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(ComponentError) as caught:
        write_report(folder)
    assert caught.value.error_code == "RES-001"
    assert name in caught.value.message
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_folder_without_a_summary_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"holds no summary.json; give the folder of a finished run"):
        write_report(tmp_path)


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = plain_run().write(tmp_path / "run")
    (folder / "report.html").mkdir()
    with pytest.raises(ComponentError, match=r"report.html cannot be written"):
        write_report(folder)
    assert sorted(path.name for path in folder.iterdir() if "report" in path.name) == ["report.html"]


def test_a_link_in_place_of_the_page_is_replaced_and_not_followed(tmp_path: Path) -> None:
    folder = plain_run().write(tmp_path / "run")
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("report.html", ".report.html.part"):
        (folder / name).symlink_to(precious)
    assert not write_report(folder).is_symlink()
    assert (precious.read_text(), (folder / ".report.html.part").is_symlink()) == ("mine", False)


def test_amounts_in_eth_have_six_decimals(tmp_path: Path) -> None:
    run = plain_run(share_class="eth_directional", initial_equity="30", final_equity="30.123456789", pnl="0.123456789")
    run.summary["attribution"]["staking"] = "0.123456789"
    text = Page(write_report(run.write(tmp_path / "run"))).text
    assert "30.123457" in text
    assert "of 30.000000 ETH" in text


def test_a_final_equity_that_the_profit_does_not_explain_is_said_to_be_so(tmp_path: Path) -> None:
    text = Page(write_report(plain_run(final_equity="100001.5").write(tmp_path / "run"))).text
    assert "Initial equity and profit and loss do not add up to the final equity: 1.50 is left." in text


def test_more_than_two_thousand_executions_are_counted_and_not_shown(tmp_path: Path) -> None:
    run = plain_run()
    for minute in range(2_001):
        run.log(START + timedelta(minutes=minute), "execution", {"venue": "bybit", "action": "buy"})
    page = Page(write_report(run.write(tmp_path / "run")))
    assert len([row for row in page.rows if row[1:3] == ["bybit", "buy"]]) == 2_000
    assert "2,001 executions" in page.text
    assert "1 more, not shown here: events.csv has them all." in page.text


def test_an_empty_log_is_no_event(tmp_path: Path) -> None:
    folder = plain_run().write(tmp_path / "run")
    (folder / "events.csv").write_text("", encoding="utf-8")
    assert "No execution took place." in Page(write_report(folder)).text


def test_what_was_skipped_is_a_table_with_a_column_for_every_field(tmp_path: Path) -> None:
    run = plain_run(
        skipped=[{"timestamp": "2024-06-01T00:00:00Z", "reason": "stale"}, {"timestamp": "2024-06-02T00:00:00Z", "age_hours": 30}]
    )
    rows = Page(write_report(run.write(tmp_path / "run"))).rows
    start = rows.index(["Timestamp", "Reason", "Age hours"])
    assert rows[start + 1 : start + 3] == [["2024-06-01T00:00:00Z", "stale", ""], ["2024-06-02T00:00:00Z", "", "30"]]


def test_of_a_live_run_what_orders_were_to_move_stands_next_to_what_moved(tmp_path: Path) -> None:
    row = {"venue": "bybit", "token": "USDT", "expected": "-6600", "executed": "-6601.5", "difference": "-1.5"}
    page = Page(write_report(plain_run(expected_and_executed=[row]).write(tmp_path / "live")))
    start = page.rows.index(["Venue", "Token", "Expected", "Executed", "Difference"])
    assert page.rows[start + 1] == ["bybit", "USDT", "-6600", "-6601.5", "-1.5"]
    assert "Expected and executed" in page.text
    assert "Expected and executed" not in Page(write_report(plain_run().write(tmp_path / "backtest"))).text


def test_a_liquidation_is_warned_of(tmp_path: Path) -> None:
    row = {"timestamp": "2024-11-06T04:00:00Z", "venue": "binance", "closed": {"ETHUSDT-PERP": "-385.06"}, "lost": {"USDT": "11970.4842"}}
    text = Page(write_report(plain_run(liquidations=[row] * 7).write(tmp_path / "run"))).text
    reported = "Liquidated at 2024-11-06T04:00:00Z on binance: 385.06 ETHUSDT-PERP short closed, 11,970.48 USDT of margin lost."
    assert text.count(reported) == 5
    assert "2 more liquidations, listed among the settlements." in text


def test_the_drawdown_that_is_drawn_leaves_out_stale_prices_and_says_so(tmp_path: Path) -> None:
    def page(name: str, **changes: Any) -> Page:
        run = plain_run(**changes)
        for hour, equity in enumerate(("100000", "90000", "100500", "99000")):
            run.equity.append([stamp(START + timedelta(hours=hour)), equity, *["0"] * len(SOURCES)])
        return Page(write_report(run.write(tmp_path / name)))

    every = page("every")
    assert every.data["series"]["drawdown"] == [0, -0.1, 0, pytest.approx(-0.0149253731)]
    assert "Drawdown from the highest equity so far, at first the initial equity" in every.text
    assert "on stale prices" not in every.text
    mark = {"series": "a", "from": stamp(START + timedelta(hours=1)), "until": stamp(START + timedelta(hours=3))}
    fresh = page("fresh", stale_marks=[mark])
    assert fresh.data["series"]["drawdown"] == [0, 0, 0, -0.01]
    assert "Drawdown from the highest equity so far, at first the initial equity, without the 2 steps on stale prices" in fresh.text
    one = page("one", stale_marks=[{**mark, "until": stamp(START + timedelta(hours=2))}])
    assert "without the 1 step on stale prices" in one.text


def test_the_drawdown_that_is_drawn_begins_with_what_it_cost_to_enter(tmp_path: Path) -> None:
    run = plain_run(max_drawdown="0.01")
    for hour, equity in enumerate(("99000", "99500", "101000")):
        run.equity.append([stamp(START + timedelta(hours=hour)), equity, *["0"] * len(SOURCES)])
    page = Page(write_report(run.write(tmp_path / "run")))
    assert page.data["series"]["drawdown"] == [-0.01, -0.005, 0]
    assert "Maximum drawdown1.00%every time step, from the initial equity on" in page.text


def test_the_return_a_year_of_a_short_run_is_remarked_on(tmp_path: Path) -> None:
    ends = {"2024-06-03T00:00:00Z": "5.00%over 2 days: says little", "2024-07-01T00:00:00Z": "5.00%CAGR, 365-day year"}
    for number, (end, reported) in enumerate(ends.items()):
        run = plain_run(end=end, annualised_return="0.05")
        assert f"Annualised return{reported}" in Page(write_report(run.write(tmp_path / str(number)))).text
    why = "the run has 2 days, and a figure of a year needs 30"
    run = plain_run(end="2024-06-03T00:00:00Z", annualised_return_reason=why)
    assert f"Annualised returnn/a{why}" in Page(write_report(run.write(tmp_path / "none"))).text


@pytest.mark.parametrize(
    ("mode", "file", "title", "strategy"),
    [
        ("custom", "../mine/carry_and_wait.py", "Carry and wait", "carry_and_wait.py"),
        ("custom", "'mine and yours.py'", "Mine and yours", "mine and yours.py"),
        ("blocks", "orders/may.jsonl", "Blocks", "may.jsonl"),
    ],
)
def test_a_strategy_of_ones_own_is_titled_by_its_file(tmp_path: Path, mode: str, file: str, title: str, strategy: str) -> None:
    run = plain_run(strategy_mode=mode)
    run.config = f"strategy_mode: {mode}\nstrategy:\n  class: null\n  file: {file}\nvenues: {{}}\n"
    page = write_report(run.write(tmp_path / "run")).read_text()
    assert f"<title>{title} · " in page and f"<h1>{title}</h1>" in page
    assert f"<dt>Strategy</dt><dd>{strategy}</dd>" in page


def test_backticks_in_a_sentence_mark_code(tmp_path: Path) -> None:
    run = plain_run(assumptions=["Each report's `priced_by` says which, `<b>` too.", "A lone ` stays."])
    page = write_report(run.write(tmp_path / "run")).read_text()
    assert "<li>Each report&#x27;s <code>priced_by</code> says which, <code>&lt;b&gt;</code> too.</li><li>A lone ` stays.</li>" in page


def test_a_funding_at_a_rate_of_nothing_is_counted_apart_from_the_payments(tmp_path: Path) -> None:
    run = plain_run()
    for paid in ("1.5", "-0.5"):
        run.log(START, "settlement", {"kind": "funding", "venue": "bybit", "deltas": {"bybit": {"USDT": paid}}})
    run.log(START, "settlement", {"kind": "funding", "venue": "bybit", "deltas": {}})
    text = Page(write_report(run.write(tmp_path / "run"))).text
    assert "3 settlements: funding 3" in text
    assert "2 payments, 1.00 USDT in all. Positive: received. At 1 more settlement the rate was 0, and nothing was paid." in text


def test_one_of_a_kind_is_not_written_as_many(tmp_path: Path) -> None:
    run = plain_run(liquidations=[{"timestamp": "2024-11-06T04:00:00Z", "venue": "aave"}] * 6)
    run.equity.append([stamp(START), "100000", *["0"] * len(SOURCES)])
    run.log(START, "settlement", {"kind": "funding", "venue": "binance", "deltas": {"binance": {"USDT": "1.5"}}})
    text = Page(write_report(run.write(tmp_path / "run"))).text
    for reported in ("1 more liquidation, listed", "The only step is drawn.", "1 payment, 1.50 USDT in all", "1 settlement: funding 1"):
        assert reported in text


def test_a_chain_is_shown_step_by_step_and_an_amount_to_eight_decimals(tmp_path: Path) -> None:
    run = plain_run()
    chain = {"venue": "aave", "instruction_type": "smart_contract_action", "action": "chain", "deltas": {}, "costs": []}
    steps = ["supply USDT", "borrow WETH"]
    run.log(START, "execution", {**chain, "steps": steps, "details": {"step_1": {"health_factor": "1.05"}, "gas_units": 924000}})
    run.log(START, "execution", {**chain, "steps": ["flash_loan WETH (stake ETH, borrow WETH)"], "details": {"step_0": {"a": "b"}}})
    run.log(
        START, "execution", {**chain, "amount": "355.811830921640584890950923161757715198417980262782605388754729896750394554201289193"}
    )
    page = write_report(run.write(tmp_path / "run"))
    cells = [row[2] for row in Page(page).rows if row[1:2] == ["aave"]]
    assert cells == [
        "smart_contract_action chainsupply USDTborrow WETH: Health factor 1.05Gas units 924000",
        "smart_contract_action chainflash_loan WETH\u00b7 stake ETH\u00b7 borrow WETHStep 0: A b",
        "smart_contract_action chainAmount 355.81183092",
    ]
    assert "<small>supply USDT</small><small>borrow WETH: Health factor 1.05</small>" in page.read_text()


def test_the_assumed_costs_are_a_table_where_they_are_given(tmp_path: Path) -> None:
    run = plain_run().write(tmp_path / "run")
    row = {"venue": "bybit", "fees": "spot taker 10 bps", "slippage": "1 bps", "withdrawal": "", "margin_and_terms": "any"}
    assert ["bybit", "spot taker 10 bps", "1 bps", "", "any"] in Page(write_report(run, [row])).rows
    assert "Assumed costs" not in Page(write_report(run)).text


def test_equity_at_market_is_shown_where_it_is_another_equity(tmp_path: Path) -> None:
    texts = [Page(write_report(plain_run(final_equity_at_market=at).write(tmp_path / at))).text for at in ("100000", "99000")]
    assert ["Equity at market" in text for text in texts] == [False, True]
