"""States of a pool, read from a node, into a data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.data.row_files import load_file
from basis_strategy_v1.data.series_sources import whole
from basis_strategy_v1.live.download import uniswap_pool_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def download_pool(rpc_url: str, pool_address: str, blocks: Sequence[int], words: int, directory: Path) -> tuple[Path, int]:
    """Add the states of a Uniswap v3 pool at these blocks to its file in a data folder: the file, and how many rows it has now.

    The file is `dex/uniswap_v3/<TOKEN0>_<TOKEN1>_<fee>.state.csv`; a block that is there already is read again. It is written in one piece.

    Raises:
        ComponentError: DAT-006, as `uniswap_pool_state`, or the folder cannot be written.
    """
    rows = [uniswap_pool_state(rpc_url, pool_address, block, words) for block in blocks]
    series = "dex/uniswap_v3/{token0}_{token1}_{fee_pips}.state".format(**rows[0])
    path = directory / f"{series}.csv"
    header = list(rows[0])
    known = _known_rows(path, series) if path.is_file() else []
    try:
        by_block = {int(row["block"]): row for row in (*known, *rows)}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        lines = [",".join(by_block[block][name] for name in header) for block in sorted(by_block)]
        part.write_text("\n".join([",".join(header), *lines]) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ComponentError("DAT-006", f"{path} cannot be written: {error.strerror}; choose another folder") from error
    return path, len(by_block)


def _known_rows(path: Path, series: str) -> list[dict[str, str]]:
    """Raises: ComponentError, DAT-003, the file is malformed."""
    spec = spec_of(series)
    assert spec is not None
    loaded = load_file(path, whole(spec), None)
    names = [column.name for column in spec.columns]
    texts = ([column.text(row) for column in loaded.columns] for row in range(len(loaded.stamps)))
    return [{"timestamp": iso(stamp), **dict(zip(names, row, strict=True))} for stamp, row in zip(loaded.stamps, texts, strict=True)]
