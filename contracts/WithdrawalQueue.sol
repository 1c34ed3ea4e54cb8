// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ShareToken} from "./ShareToken.sol";
import {WrappedShareToken} from "./WrappedShareToken.sol";

struct Request {
    uint256 amount;
    uint256 shares;
    address owner;
    uint256 timestamp;
    uint256 maxShareRate;
    bool claimed;
}

/// A queue with the calls and the rounding of Lido's: request, be finalised at a share rate, claim the lesser of the two worths.
contract WithdrawalQueue {
    struct WithdrawalRequestStatus {
        uint256 amountOfStETH;
        uint256 amountOfShares;
        address owner;
        uint256 timestamp;
        bool isFinalized;
        bool isClaimed;
    }

    uint256 public constant MIN_STETH_WITHDRAWAL_AMOUNT = 100;
    uint256 public constant MAX_STETH_WITHDRAWAL_AMOUNT = 1000 ether;
    ShareToken public immutable STETH;
    WrappedShareToken public immutable WSTETH;
    uint256 public getLastRequestId;
    uint256 public getLastFinalizedRequestId;
    mapping(uint256 => Request) private requests;

    event WithdrawalRequested(
        uint256 indexed requestId, address indexed requestor, address indexed owner, uint256 amountOfStETH, uint256 amountOfShares
    );
    event WithdrawalClaimed(uint256 indexed requestId, address indexed owner, address indexed receiver, uint256 amountOfETH);

    error RequestAmountTooSmall(uint256 amount);
    error RequestAmountTooLarge(uint256 amount);
    error RequestNotFoundOrNotFinalized(uint256 requestId);
    error RequestAlreadyClaimed(uint256 requestId);
    error NotOwner(address sender, address owner);
    error InvalidRequestId(uint256 requestId);

    constructor(ShareToken token, WrappedShareToken wrapped) {
        STETH = token;
        WSTETH = wrapped;
    }

    function requestWithdrawals(uint256[] calldata amounts, address owner) external returns (uint256[] memory ids) {
        ids = new uint256[](amounts.length);
        for (uint256 i = 0; i < amounts.length; i++) {
            _check(amounts[i]);
            STETH.transferFrom(msg.sender, address(this), amounts[i]);
            ids[i] = _enqueue(amounts[i], owner);
        }
    }

    function requestWithdrawalsWstETH(uint256[] calldata amounts, address owner) external returns (uint256[] memory ids) {
        ids = new uint256[](amounts.length);
        for (uint256 i = 0; i < amounts.length; i++) {
            WSTETH.transferFrom(msg.sender, address(this), amounts[i]);
            uint256 amount = WSTETH.unwrap(amounts[i]);
            _check(amount);
            ids[i] = _enqueue(amount, owner);
        }
    }

    function _check(uint256 amount) private pure {
        if (amount < MIN_STETH_WITHDRAWAL_AMOUNT) revert RequestAmountTooSmall(amount);
        if (amount > MAX_STETH_WITHDRAWAL_AMOUNT) revert RequestAmountTooLarge(amount);
    }

    function _enqueue(uint256 amount, address owner) private returns (uint256 id) {
        id = ++getLastRequestId;
        if (owner == address(0)) owner = msg.sender;
        uint256 shares = STETH.getSharesByPooledEth(amount);
        requests[id] = Request(amount, shares, owner, block.timestamp, 0, false);
        emit WithdrawalRequested(id, msg.sender, owner, amount, shares);
    }

    function prefinalize(uint256 lastRequestId, uint256 maxShareRate) external view returns (uint256 eth, uint256 shares) {
        for (uint256 id = getLastFinalizedRequestId + 1; id <= lastRequestId; id++) {
            eth += _worth(requests[id], maxShareRate);
            shares += requests[id].shares;
        }
    }

    function finalize(uint256 lastRequestId, uint256 maxShareRate) external payable {
        require(msg.sender == address(STETH), "NOT_STETH");
        if (lastRequestId > getLastRequestId || lastRequestId <= getLastFinalizedRequestId) revert InvalidRequestId(lastRequestId);
        for (uint256 id = getLastFinalizedRequestId + 1; id <= lastRequestId; id++) requests[id].maxShareRate = maxShareRate;
        getLastFinalizedRequestId = lastRequestId;
    }

    function _worth(Request storage request, uint256 maxShareRate) private view returns (uint256) {
        bool discounted = request.amount * 1e27 / request.shares > maxShareRate;
        return discounted ? request.shares * maxShareRate / 1e27 : request.amount;
    }

    function claimWithdrawal(uint256 id) external {
        _claim(id);
    }

    /// The hints of the real queue say where it finds the rate; here the request has it, so they are taken and not needed.
    function claimWithdrawals(uint256[] calldata ids, uint256[] calldata hints) external {
        require(ids.length == hints.length, "ArraysLengthMismatch");
        for (uint256 i = 0; i < ids.length; i++) _claim(ids[i]);
    }

    function findCheckpointHints(uint256[] calldata ids, uint256, uint256) external pure returns (uint256[] memory hints) {
        hints = new uint256[](ids.length);
        for (uint256 i = 0; i < ids.length; i++) hints[i] = 1;
    }

    function getLastCheckpointIndex() external pure returns (uint256) {
        return 1;
    }

    function _claim(uint256 id) private {
        if (id == 0) revert InvalidRequestId(id);
        if (id > getLastFinalizedRequestId) revert RequestNotFoundOrNotFinalized(id);
        Request storage request = requests[id];
        if (request.claimed) revert RequestAlreadyClaimed(id);
        if (request.owner != msg.sender) revert NotOwner(msg.sender, request.owner);
        request.claimed = true;
        uint256 eth = _worth(request, request.maxShareRate);
        (bool sent, ) = msg.sender.call{value: eth}("");
        require(sent, "CantSendValueRecipientMayHaveReverted");
        emit WithdrawalClaimed(id, msg.sender, msg.sender, eth);
    }

    function getWithdrawalStatus(uint256[] calldata ids) external view returns (WithdrawalRequestStatus[] memory statuses) {
        statuses = new WithdrawalRequestStatus[](ids.length);
        for (uint256 i = 0; i < ids.length; i++) {
            Request storage r = requests[ids[i]];
            bool finalized = ids[i] <= getLastFinalizedRequestId;
            statuses[i] = WithdrawalRequestStatus(r.amount, r.shares, r.owner, r.timestamp, finalized, r.claimed);
        }
    }

    function getClaimableEther(uint256[] calldata ids, uint256[] calldata) external view returns (uint256[] memory amounts) {
        amounts = new uint256[](ids.length);
        for (uint256 i = 0; i < ids.length; i++) {
            Request storage r = requests[ids[i]];
            if (ids[i] <= getLastFinalizedRequestId && !r.claimed) amounts[i] = _worth(r, r.maxShareRate);
        }
    }
}

/// A queue with the calls and the rounding of ether.fi's: the worth is taken at the claim, from the pool.
contract WithdrawRequestNFT {
    ShareToken public immutable eETH;
    uint256 public nextRequestId = 1;
    uint256 public lastFinalizedRequestId;
    mapping(uint256 => Request) private requests;

    event WithdrawRequestCreated(uint32 indexed requestId, uint256 amountOfEEth, uint256 shareOfEEth, address owner, uint256 fee);
    event WithdrawRequestClaimed(uint32 indexed requestId, uint256 amountOfEEth, uint256 burntShareOfEEth, address owner, uint256 fee);

    constructor(ShareToken token) {
        eETH = token;
    }

    function requestWithdraw(uint96 amount, uint96 shares, address recipient, uint256 fee) external returns (uint256 id) {
        require(msg.sender == address(eETH), "Caller is not the liquidity pool");
        id = nextRequestId++;
        requests[id] = Request(amount, shares, recipient, block.timestamp, 0, false);
        emit WithdrawRequestCreated(uint32(id), amount, shares, recipient, fee);
    }

    function finalizeRequests(uint256 requestId) external {
        require(msg.sender == eETH.owner(), "NOT_OWNER");
        require(requestId > lastFinalizedRequestId && requestId < nextRequestId, "Invalid request id");
        lastFinalizedRequestId = requestId;
    }

    function isFinalized(uint256 id) external view returns (bool) {
        return id <= lastFinalizedRequestId;
    }

    function ownerOf(uint256 id) external view returns (address) {
        return requests[id].owner;
    }

    function getClaimableAmount(uint256 id) public view returns (uint256) {
        require(id <= lastFinalizedRequestId, "Request is not finalized");
        Request storage request = requests[id];
        require(request.owner != address(0) && !request.claimed, "Already Claimed");
        uint256 worth = eETH.amountForShare(request.shares);
        return request.amount < worth ? request.amount : worth;
    }

    function claimWithdraw(uint256 id) external {
        uint256 amount = getClaimableAmount(id);
        address owner = requests[id].owner;
        require(owner == msg.sender, "Not the owner of the NFT");
        requests[id].claimed = true;
        uint256 burned = eETH.withdraw(owner, amount);
        emit WithdrawRequestClaimed(uint32(id), amount, burned, owner, 0);
    }
}
