// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ShareToken} from "./ShareToken.sol";

/// A ShareToken that does not rebase: one wei of it is one share. It answers to the calls of wstETH and of weETH.
contract WrappedShareToken {
    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    ShareToken public immutable token;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(string memory name_, string memory symbol_, ShareToken token_) {
        name = name_;
        symbol = symbol_;
        token = token_;
    }

    receive() external payable {
        _mint(msg.sender, token.submit{value: msg.value}(address(0)));
    }

    function stETH() external view returns (address) {
        return address(token);
    }

    function eETH() external view returns (address) {
        return address(token);
    }

    function wrap(uint256 amount) external returns (uint256 wrapped) {
        require(amount > 0, "can't wrap zero");
        wrapped = token.getSharesByPooledEth(amount);
        _mint(msg.sender, wrapped);
        token.transferFrom(msg.sender, address(this), amount);
    }

    /// The amount is turned into wei and back into shares: what the two floors lose stays here.
    function unwrap(uint256 wrapped) external returns (uint256 amount) {
        require(wrapped > 0, "can't unwrap zero");
        amount = token.getPooledEthByShares(wrapped);
        _move(msg.sender, address(0), wrapped);
        totalSupply -= wrapped;
        token.transfer(msg.sender, amount);
    }

    function stEthPerToken() external view returns (uint256) {
        return token.getPooledEthByShares(1 ether);
    }

    function getRate() external view returns (uint256) {
        return token.getPooledEthByShares(1 ether);
    }

    function getEETHByWeETH(uint256 wrapped) external view returns (uint256) {
        return token.getPooledEthByShares(wrapped);
    }

    function getStETHByWstETH(uint256 wrapped) external view returns (uint256) {
        return token.getPooledEthByShares(wrapped);
    }

    function getWstETHByStETH(uint256 amount) external view returns (uint256) {
        return token.getSharesByPooledEth(amount);
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            require(allowed >= amount, "ERC20: insufficient allowance");
            allowance[from][msg.sender] = allowed - amount;
        }
        _move(from, to, amount);
        return true;
    }

    function _mint(address to, uint256 amount) private {
        totalSupply += amount;
        balanceOf[to] += amount;
        emit Transfer(address(0), to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        require(balanceOf[from] >= amount, "ERC20: amount exceeds balance");
        balanceOf[from] -= amount;
        if (to != address(0)) balanceOf[to] += amount;
        emit Transfer(from, to, amount);
    }
}
