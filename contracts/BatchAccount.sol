// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

struct Call {
    address target;
    uint256 value;
    bytes data;
}

/// An account that executes many calls in one transaction, all of them or none, also while a Morpho flash loan is out.
contract BatchAccount {
    address private immutable owner;
    address private lender;

    constructor() {
        owner = msg.sender;
    }

    receive() external payable {}

    function execute(Call[] calldata calls) external payable {
        require(msg.sender == owner, "only the owner");
        for (uint256 i = 0; i < calls.length; i++) {
            lender = calls[i].target;
            _call(calls[i].target, calls[i].value, calls[i].data);
        }
        lender = address(0);
    }

    /// What Morpho calls while its loan is out: `data` are the calls to make with it, an approval to pay it back among them.
    function onMorphoFlashLoan(uint256, bytes calldata data) external {
        require(msg.sender == lender, "not called by this account");
        Call[] memory calls = abi.decode(data, (Call[]));
        for (uint256 i = 0; i < calls.length; i++) {
            _call(calls[i].target, calls[i].value, calls[i].data);
        }
    }

    function _call(address target, uint256 value, bytes memory data) private {
        (bool done, bytes memory answer) = target.call{value: value}(data);
        if (!done) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
