"""Every error code: which component raises it, how bad it is, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple


class ErrorCode(NamedTuple):
    code: str
    component: str
    severity: str  # CRITICAL | HIGH | MEDIUM | LOW
    message: str
    resolution: str


_ROWS = (
    ErrorCode("EIM-001", "ExecutionInterfaceManager", "HIGH", "Instruction routing failed",
              "Read the message: it names the field or the limit and what is allowed. An instruction that is wrong is not retried."),
    ErrorCode("EIM-002", "ExecutionInterfaceManager", "HIGH", "Venue interface unavailable",
              "Add the venue to `venues` in the config, or wait: after repeated failures a venue is probed again after 60 s."),
    ErrorCode("EIM-003", "ExecutionInterfaceManager", "MEDIUM", "Execution delta aggregation failed",
              "The raw answer is kept in the event log; compare it with the venue before going on."),
    ErrorCode("EXM-001", "ExecutionManager", "HIGH", "The plan was refused before its first instruction",
              "Each problem names its step; nothing was sent. Mend the blocks and send the whole plan again."),
    ErrorCode("CEX-001", "CEXExecutionInterface", "MEDIUM", "The exchange rejected the instruction",
              "Read the message: balance, margin, minimum, lot or price. The same instruction will be rejected again."),
    ErrorCode("CEX-002", "CEXExecutionInterface", "HIGH", "The exchange could not be reached",
              "Nothing was sent. Check the network and the venue's status page; it is safe to repeat."),
    ErrorCode("CEX-003", "CEXExecutionInterface", "CRITICAL", "The outcome at the exchange is unknown",
              "Perhaps it was sent. Look the order up by its client id; do not send it again."),
    ErrorCode("CEX-004", "CEXExecutionInterface", "MEDIUM", "An amount in transit is late, or less of it was credited",
              "Look for the withdrawal or the transaction at both ends. A late one stays in transit until it arrives or comes back."),
    ErrorCode("DEX-001", "DEXExecutionInterface", "MEDIUM", "The swap was rejected",
              "Read the message: balance, liquidity, minimum out or price limit. Ask for less or accept a lower minimum."),
    ErrorCode("DEX-002", "DEXExecutionInterface", "HIGH", "The node could not be reached",
              "Nothing was sent. Check the RPC address; it is safe to repeat."),
    ErrorCode("DEX-003", "DEXExecutionInterface", "CRITICAL", "The outcome of the swap is unknown",
              "Perhaps it was sent. Look the transaction hash up; do not sign a new one."),
    ErrorCode("OCH-001", "OnChainExecutionInterface", "MEDIUM", "The protocol rejected the action",
              "Read the message: it names the step, the numbers and the limit. Nothing was changed."),
    ErrorCode("OCH-002", "OnChainExecutionInterface", "HIGH", "The node could not be reached",
              "Nothing was sent. Check the RPC address; it is safe to repeat."),
    ErrorCode("OCH-003", "OnChainExecutionInterface", "CRITICAL", "The outcome of the transaction is unknown",
              "Perhaps it was sent. Look the transaction hash up; do not sign a new one."),
    ErrorCode("PUH-001", "PositionUpdateHandler", "HIGH", "The deltas cannot be applied",
              "Deltas are venue -> token -> finite number. Correct them and hand them in again."),
    ErrorCode("CFG-001", "Config", "HIGH", "The config is wrong",
              "All faults are listed, each with its path, its value and what is allowed. `basis check CONFIG` shows them too."),
    ErrorCode("CFG-002", "Config", "HIGH", "An environment variable has a value that is not allowed",
              "Unset it or use one of the values that the message names."),
    ErrorCode("CFG-003", "Config", "HIGH", "A key is missing or cannot be used",
              "The message names the environment variable or the file, and never its value. docs/live.md has the list."),
    ErrorCode("CFG-004", "Config", "HIGH", "A live run cannot begin as things are",
              "Each line says what is missing or wrong, and what to do. `basis check CONFIG --live` lists all of them."),
    ErrorCode("DAT-001", "DataProvider", "HIGH", "A series is missing",
              "The message names the series and the time. Bring it, or choose a venue that has it; `basis check` says what a run needs."),
    ErrorCode("DAT-002", "DataProvider", "HIGH", "A series is stale",
              "Its last visible row is older than max_staleness. Fill the gap, or allow a longer one in `data.max_staleness`."),
    ErrorCode("DAT-003", "DataProvider", "HIGH", "A data file is malformed, or cannot be true",
              "The message names the series and the first place. `basis data validate` lists every fault of a folder."),
    ErrorCode("DAT-004", "DataProvider", "HIGH", "A time that cannot be asked for",
              "Ask for a time with its zone that is not after the clock: data of the future are not given out."),
    ErrorCode("DAT-005", "DataProvider", "HIGH", "A funding rate is missing while a position is held",
              "Fill the gap, or set `data.missing_funding: zero`; the report then lists each one."),
    ErrorCode("DAT-006", "DataProvider", "HIGH", "The data folder or file cannot be used",
              "Give --data a folder in the documented layout or a database written by `basis data import`."),
    ErrorCode("ENG-001", "EventDrivenStrategyEngine", "HIGH", "The run failed",
              "The first line says why; the events up to then are in the logs."),
    ErrorCode("ENG-002", "EventDrivenStrategyEngine", "CRITICAL", "A position stays unhedged",
              "The message says what could not be closed and why. Close it at a venue by hand, then start again."),
    ErrorCode("ENG-003", "EventDrivenStrategyEngine", "LOW", "A step was missed",
              "The step before took longer than the interval. Choose a longer interval, or find out in the log what took the time."),
    ErrorCode("ENG-004", "EventDrivenStrategyEngine", "HIGH", "Not everything was left",
              "The message says what is still held. Run `basis unwind` again once it can be left."),
    ErrorCode("ENG-005", "EventDrivenStrategyEngine", "HIGH", "The run halted itself",
              "Several plans in a row were stopped and unwound. Mend what the message names, then `basis resume`."),
    ErrorCode("LOG-001", "EventLogger", "HIGH", "An event cannot be written",
              "Free disk space or choose another folder with --logs. Live, nothing is sent until events can be written."),
    ErrorCode("LOG-002", "EventLogger", "LOW", "The last line of an event log is truncated",
              "A crash cut it off; the reader left it out. Nothing needs to be done."),
    ErrorCode("LOG-003", "EventLogger", "HIGH", "An event log is damaged",
              "The message names the file and the line. Remove that line or restore the file; the other events can be read then."),
    ErrorCode("LOG-004", "EventLogger", "LOW", "There are no such events to read",
              "The message says what is there, or what may be asked for. Give the folder of a run, or a folder of logs."),
    ErrorCode("JRN-001", "Journal", "HIGH", "The journal cannot be used",
              "Free disk space or rights in the state folder, then start again. Nothing is sent before it is written down."),
    ErrorCode("JRN-002", "Journal", "HIGH", "The journal is in use",
              "One process trades with a state folder. Stop the one that the message names, or choose another folder with --state."),
    ErrorCode("JRN-003", "Journal", "HIGH", "The journal is damaged",
              "Keep all its files and restore a copy. Without one, compare every venue by hand before starting with a new folder."),
    ErrorCode("JRN-004", "Journal", "HIGH", "The journal is of another version",
              "Install the version of basis-strategy that wrote it, or a newer one; an older journal is migrated by `basis live`."),
    ErrorCode("JRN-005", "Journal", "HIGH", "There is no such open instruction",
              "The message lists the keys that are open; `basis status` does too."),
    ErrorCode("JRN-006", "Journal", "CRITICAL", "What became of an instruction is not known",
              "Look at the venue for what the message names, then record it with `basis resolve KEY --happened REFERENCE` or `--never`."),
    ErrorCode("JRN-007", "Journal", "CRITICAL", "An order was executed after its row was closed",
              "The account's state has it as the venue reported it, and what it left unhedged was closed. Compare the venue's list of "
              "orders with the journal before the run is started again."),
    ErrorCode("HLT-001", "UnifiedHealthManager", "MEDIUM", "A health check failed to answer",
              "The component is counted as unhealthy; its own error is in the message."),
    ErrorCode("RES-001", "Results", "HIGH", "The results cannot be written or read",
              "Free disk space or choose another folder with --results."),
    ErrorCode("RES-002", "Results", "LOW", "A live run's record begins again",
              "The message says why. The earlier one is kept in the state folder; equity and profit count from now."),
    ErrorCode("STR-001", "Strategy", "HIGH", "The strategy cannot be used",
              "The message names the file and what it lacks; `basis check CONFIG` reports it before a run."),
    ErrorCode("STR-002", "Strategy", "HIGH", "The strategy raised an error while deciding",
              "The message names the file, the line and the time of the step."),
)  # fmt: skip

REGISTRY: dict[str, ErrorCode] = {row.code: row for row in _ROWS}


def error_data(code: str, message: str) -> dict[str, str]:
    """The data of an error event. Its severity is that of the code."""
    return {"error_code": code, "error_message": message, "error_severity": REGISTRY[code].severity}


class ErrorCodeRegistry:
    """The table of error codes, for programs and for `basis errors`."""

    def get(self, code: str) -> ErrorCode:
        """The entry of one code.

        Raises:
            KeyError: no such code; the message lists those there are.
        """
        try:
            return REGISTRY[code]
        except KeyError:
            raise KeyError(f"no error code {code!r}; there are {', '.join(REGISTRY)}") from None

    def codes(self) -> tuple[str, ...]:
        """All codes, in the order of the table."""
        return tuple(REGISTRY)
