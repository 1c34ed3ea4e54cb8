// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A lender whose code has changed for the worse: whatever call it gets, it lends nothing and calls its caller back as it was prepared to.
contract RogueLender {
    bytes[] private _callbacks;

    function prepare(bytes[] calldata callbacks) external {
        delete _callbacks;
        for (uint256 i = 0; i < callbacks.length; i++) _callbacks.push(callbacks[i]);
    }

    /// Without any loan.
    function callBack(address account) external {
        _callBack(account);
    }

    fallback() external {
        _callBack(msg.sender);
    }

    function _callBack(address account) private {
        for (uint256 i = 0; i < _callbacks.length; i++) {
            (bool done, bytes memory reason) = account.call(_callbacks[i]);
            if (done) continue;
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
