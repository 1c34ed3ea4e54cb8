"""The local exchange: binance, bybit, okx and hyperliquid over one ledger, as a process of its own.

    python -m tests.exchange --port 0 --ledger FILE [--data DIR] [--clock requests] [--at 2024-06-01T00:00:00Z]

It prints its port. One port serves all venues: their paths differ. `control.py` lists the commands, `faults.py` what can go wrong.
"""
