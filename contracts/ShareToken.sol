// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IFinalizedQueue {
    function prefinalize(uint256 lastRequestId, uint256 maxShareRate) external view returns (uint256 eth, uint256 shares);
    function finalize(uint256 lastRequestId, uint256 maxShareRate) external payable;
}

interface IRequestNFT {
    function requestWithdraw(uint96 amount, uint96 shares, address recipient, uint256 fee) external returns (uint256);
}

/// Staked ether that rebases: balances are shares of one pool, every division floors. It answers to the calls of stETH and,
/// with `strict`, to those of eETH and its liquidity pool. `report` stands in for the oracle.
contract ShareToken {
    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    bool public immutable strict;
    address public immutable owner = msg.sender;
    address public queue;
    uint256 public pooled;
    uint256 public totalShares;
    mapping(address => uint256) public sharesOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event TransferShares(address indexed from, address indexed to, uint256 sharesValue);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Submitted(address indexed sender, uint256 amount, address referral);

    constructor(string memory name_, string memory symbol_, bool strict_) {
        name = name_;
        symbol = symbol_;
        strict = strict_;
    }

    modifier onlyOwner() {
        require(msg.sender == owner, "NOT_OWNER");
        _;
    }

    receive() external payable {
        _submit(address(0));
    }

    function submit(address referral) external payable returns (uint256) {
        return _submit(referral);
    }

    function deposit() external payable returns (uint256) {
        return _submit(address(0));
    }

    function deposit(address referral) external payable returns (uint256) {
        return _submit(referral);
    }

    function _submit(address referral) private returns (uint256 shares) {
        require(msg.value != 0, "ZERO_DEPOSIT");
        shares = totalShares == 0 ? msg.value : getSharesByPooledEth(msg.value);
        require(!strict || shares != 0, "InvalidAmount");
        pooled += msg.value;
        totalShares += shares;
        sharesOf[msg.sender] += shares;
        emit Submitted(msg.sender, msg.value, referral);
        emit Transfer(address(0), msg.sender, getPooledEthByShares(shares));
        emit TransferShares(address(0), msg.sender, shares);
    }

    function totalSupply() external view returns (uint256) {
        return pooled;
    }

    function getTotalPooledEther() external view returns (uint256) {
        return pooled;
    }

    function getTotalShares() external view returns (uint256) {
        return totalShares;
    }

    function balanceOf(address account) external view returns (uint256) {
        return getPooledEthByShares(sharesOf[account]);
    }

    function shares(address account) external view returns (uint256) {
        return sharesOf[account];
    }

    function getSharesByPooledEth(uint256 amount) public view returns (uint256) {
        return amount * totalShares / pooled;
    }

    function getPooledEthByShares(uint256 amount) public view returns (uint256) {
        return totalShares == 0 ? 0 : amount * pooled / totalShares;
    }

    function sharesForAmount(uint256 amount) external view returns (uint256) {
        return getSharesByPooledEth(amount);
    }

    function amountForShare(uint256 amount) external view returns (uint256) {
        return getPooledEthByShares(amount);
    }

    function sharesForWithdrawalAmount(uint256 amount) public view returns (uint256) {
        return pooled == 0 ? 0 : (amount * totalShares + pooled - 1) / pooled;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, getSharesByPooledEth(amount), amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spend(from, msg.sender, amount);
        _move(from, to, getSharesByPooledEth(amount), amount);
        return true;
    }

    function transferShares(address to, uint256 amount) external returns (uint256 value) {
        value = getPooledEthByShares(amount);
        _move(msg.sender, to, amount, value);
    }

    function _spend(address from, address spender, uint256 amount) private {
        uint256 allowed = allowance[from][spender];
        if (allowed == type(uint256).max) return;
        require(allowed >= amount, "ALLOWANCE_EXCEEDED");
        allowance[from][spender] = allowed - amount;
    }

    function _move(address from, address to, uint256 amount, uint256 value) private {
        require(amount <= sharesOf[from], "BALANCE_EXCEEDED");
        sharesOf[from] -= amount;
        sharesOf[to] += amount;
        emit Transfer(from, to, value);
        emit TransferShares(from, to, amount);
    }

    /// The oracle's report: from here on the pool holds this much ether.
    function report(uint256 pooled_) external onlyOwner {
        pooled = pooled_;
    }

    function setQueue(address queue_) external onlyOwner {
        queue = queue_;
    }

    /// As Lido does it: the shares of the requests are burned and their ether is locked in the queue.
    function finalize(uint256 lastRequestId) external onlyOwner {
        uint256 rate = pooled * 1e27 / totalShares;
        (uint256 eth, uint256 burned) = IFinalizedQueue(queue).prefinalize(lastRequestId, rate);
        _burn(burned, eth);
        IFinalizedQueue(queue).finalize{value: eth}(lastRequestId, rate);
    }

    /// As ether.fi's liquidity pool does it: the request is an NFT, ether and shares leave the pool at the claim.
    function requestWithdraw(address recipient, uint256 amount) external returns (uint256) {
        uint256 share = getSharesByPooledEth(amount);
        require(amount <= type(uint96).max && amount != 0 && share != 0, "InvalidAmount");
        _spend(msg.sender, address(this), amount);
        _move(msg.sender, queue, share, amount);
        return IRequestNFT(queue).requestWithdraw(uint96(amount), uint96(share), recipient, 0);
    }

    function withdraw(address recipient, uint256 amount) external returns (uint256 burned) {
        require(msg.sender == queue, "NOT_QUEUE");
        burned = sharesForWithdrawalAmount(amount);
        require(amount != 0 && burned != 0, "InvalidAmount");
        _burn(burned, amount);
        (bool sent, ) = recipient.call{value: amount}("");
        require(sent, "SendFail");
    }

    function _burn(uint256 amount, uint256 value) private {
        require(amount <= sharesOf[queue], "BALANCE_EXCEEDED");
        sharesOf[queue] -= amount;
        totalShares -= amount;
        pooled -= value;
    }
}
