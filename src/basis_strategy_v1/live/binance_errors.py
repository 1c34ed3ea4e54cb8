"""Binance's error codes, as documented in 2026: what each of them means for an order. What is not here counts as unknown."""

from __future__ import annotations

from basis_strategy_v1.live.exchange_errors import Meaning

_FINAL, _KEY, _UNKNOWN = Meaning.FINAL, Meaning.KEY, Meaning.UNKNOWN

BOTH = {
    "-1000": _UNKNOWN,  # an unknown error while processing the request
    "-1001": _UNKNOWN,  # internal error, could not process
    "-1002": _KEY,  # not authorised
    "-1003": Meaning.LIMITED,  # too many requests
    "-1006": _UNKNOWN,  # an unexpected response from the message bus, execution status unknown
    "-1007": _UNKNOWN,  # timeout waiting for the backend, execution status unknown
    "-1008": _UNKNOWN,  # overloaded
    "-1010": _UNKNOWN,
    "-1014": _FINAL,  # unsupported order combination
    "-1015": Meaning.LIMITED,  # too many new orders
    "-1016": _UNKNOWN,  # service shutting down
    "-1020": _FINAL,  # unsupported operation
    "-1021": Meaning.CLOCK,  # timestamp outside of the receive window
    "-1022": _KEY,  # signature not valid
    "-1099": _KEY,
    "-1100": _FINAL,  # illegal characters
    "-1101": _FINAL,
    "-1102": _FINAL,
    "-1103": _FINAL,
    "-1104": _FINAL,
    "-1105": _FINAL,
    "-1106": _FINAL,
    "-1108": _FINAL,
    "-1111": _FINAL,  # precision
    "-1112": _FINAL,  # no orders on the book
    "-1114": _FINAL,
    "-1115": _FINAL,  # time in force
    "-1116": _FINAL,  # order type
    "-1117": _FINAL,  # side
    "-1121": _FINAL,  # symbol
    "-1128": _FINAL,
    "-1130": _FINAL,
    "-1131": _FINAL,  # recvWindow
    "-2013": Meaning.ABSENT,
    "-2014": _KEY,  # format of the key
    "-2015": _KEY,  # key, IP or permission
}

SPOT = {
    **BOTH,
    "-1013": _FINAL,  # a filter: lot, price, notional
    "-2010": _FINAL,  # balance, market closed, or
    "-2010 Duplicate order": Meaning.DUPLICATE,
    "-2016": _FINAL,  # no trading window
    "-2026": Meaning.ABSENT,  # archived
}

PERP = {
    **BOTH,
    "-1109": _KEY,  # account
    "-1122": _FINAL,  # symbol status
    "-1136": _FINAL,
    "-2017": _KEY,  # keys are locked
    "-2018": _FINAL,  # balance
    "-2019": _FINAL,  # margin
    "-2020": _FINAL,  # unable to fill
    "-2021": _FINAL,
    "-2022": _FINAL,  # reduce only
    "-2023": _FINAL,  # in liquidation
    "-2024": _FINAL,  # position
    "-2025": _FINAL,
    "-2026": _FINAL,
    "-2027": _FINAL,  # position too large for the leverage
    "-2028": _FINAL,  # leverage too small for the margin
    "-4001": _FINAL,
    "-4002": _FINAL,
    "-4003": _FINAL,
    "-4004": _FINAL,  # below the least amount
    "-4005": _FINAL,  # above the most
    "-4013": _FINAL,
    "-4014": _FINAL,  # tick
    "-4015": _FINAL,  # client id
    "-4016": _FINAL,
    "-4023": _FINAL,
    "-4024": _FINAL,
    "-4061": _FINAL,  # position side
    "-4087": _FINAL,  # reduce only account
    "-4088": _KEY,
    "-4116": Meaning.DUPLICATE,
    "-4118": _FINAL,
    "-4131": _FINAL,  # price filter of the counterparty
    "-4140": _FINAL,
    "-4141": _FINAL,  # closed
    "-4164": _FINAL,  # notional
    "-4192": _KEY,
    "-5021": _FINAL,  # FOK not filled
    "-5022": _FINAL,
}

WALLET = {
    **BOTH,
    "-3041": _FINAL,  # balance
    "-4024": _FINAL,
    "-4026": _FINAL,
    "-5002": _FINAL,  # balance
    "-5013": _FINAL,  # balance
    "-9000": _FINAL,
    "-12022": _FINAL,
}

WITHDRAWAL = {
    **BOTH,
    "-4001": _FINAL,
    "-4002": _FINAL,
    "-4003": _FINAL,  # below the minimum
    "-4004": _KEY,  # not logged in
    "-4005": Meaning.LIMITED,  # too many requests
    "-4006": _KEY,  # only the main account
    "-4007": _FINAL,  # the address does not pass the check
    "-4008": _FINAL,  # nor its tag
    "-4012": _FINAL,
    "-4013": _FINAL,
    "-4014": _FINAL,
    "-4015": _FINAL,  # the network is closed
    "-4016": _FINAL,
    "-4017": _FINAL,  # within 24 hours after a change of the account
    "-4018": _FINAL,  # no such token
    "-4019": _FINAL,  # the token is not open for withdrawals
    "-4021": _FINAL,  # a multiple
    "-4022": _FINAL,  # below the minimum
    "-4023": _FINAL,  # more than a day's
    "-4024": _FINAL,  # balance
    "-4025": _FINAL,
    "-4026": _FINAL,  # balance
    "-4028": _FINAL,  # below the fee
    "-4033": _FINAL,  # address
    "-4034": _FINAL,
    "-4035": _FINAL,  # the address is not on the list
    "-4104 This withdraw order id": Meaning.DUPLICATE,
    "-4104 The withdrawal address": _FINAL,
}
