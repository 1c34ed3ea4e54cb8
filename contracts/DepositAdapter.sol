// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ShareToken} from "./ShareToken.sol";
import {WrappedShareToken} from "./WrappedShareToken.sol";

/// As ether.fi's adapter does it: ether is staked, and what the shares are worth is wrapped. What the floors lose stays here.
contract DepositAdapter {
    ShareToken public immutable eETH;
    WrappedShareToken public immutable weETH;

    constructor(ShareToken token, WrappedShareToken wrapped) {
        eETH = token;
        weETH = wrapped;
    }

    function depositETHForWeETH(address) external payable returns (uint256 wrapped) {
        uint256 amount = eETH.amountForShare(eETH.deposit{value: msg.value}());
        eETH.approve(address(weETH), amount);
        wrapped = weETH.wrap(amount);
        weETH.transfer(msg.sender, wrapped);
    }
}
