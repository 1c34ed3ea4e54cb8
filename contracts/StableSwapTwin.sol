// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IERC20, SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// A stable-swap pool with the calls and the rounding of Curve's StableSwap-NG (`ng`) or of its older 3pool.
/// Who adds liquidity gets shares of it without a fee; nobody can take it out: it is there to be traded against.
contract StableSwapTwin {
    using SafeERC20 for IERC20;

    uint256 private constant PRECISION = 1e18;
    uint256 private constant FEE_DENOMINATOR = 1e10;
    bool public immutable ng;
    uint256 private immutable aPrecision;
    uint256 private amplification;
    uint256 public fee;
    uint256 public admin_fee;
    uint256 public offpeg_fee_multiplier;
    address[] public coins;
    uint256[] public balances;
    uint256[] public admin_balances;
    uint256[] private multipliers;
    address[] private oracles;
    bytes4[] private oracleCalls;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    event TokenExchange(address indexed buyer, int128 sold_id, uint256 tokens_sold, int128 bought_id, uint256 tokens_bought);

    /// `multipliers_`: 10 ** (36 - decimals) of each coin; `oracles_`: who answers `oracleCalls_` with 1e18 units per coin, or 0.
    constructor(
        bool ng_,
        uint256 a,
        uint256 fee_,
        uint256 adminFee,
        uint256 offpeg,
        address[] memory coins_,
        uint256[] memory multipliers_,
        address[] memory oracles_,
        bytes4[] memory oracleCalls_
    ) {
        ng = ng_;
        aPrecision = ng_ ? 100 : 1;
        amplification = a * aPrecision;
        fee = fee_;
        admin_fee = adminFee;
        offpeg_fee_multiplier = offpeg;
        coins = coins_;
        multipliers = multipliers_;
        oracles = oracles_;
        oracleCalls = oracleCalls_;
        balances = new uint256[](coins_.length);
        admin_balances = new uint256[](coins_.length);
    }

    function N_COINS() external view returns (uint256) {
        return coins.length;
    }

    function A() external view returns (uint256) {
        return amplification / aPrecision;
    }

    function A_precise() external view returns (uint256) {
        return amplification;
    }

    function get_balances() external view returns (uint256[] memory) {
        return balances;
    }

    function stored_rates() public view returns (uint256[] memory rates) {
        rates = multipliers;
        for (uint256 i = 0; i < rates.length; i++) {
            if (oracles[i] == address(0)) continue;
            (bool answered, bytes memory answer) = oracles[i].staticcall(abi.encodeWithSelector(oracleCalls[i]));
            require(answered, "rate oracle");
            rates[i] = rates[i] * abi.decode(answer, (uint256)) / PRECISION;
        }
    }

    function add_liquidity(uint256[] calldata amounts, uint256 minimum) external returns (uint256 minted) {
        uint256[] memory rates = stored_rates();
        uint256 before = getD(held(rates));
        for (uint256 i = 0; i < amounts.length; i++) {
            if (amounts[i] != 0) balances[i] += takeIn(i, amounts[i]);
        }
        uint256 grown = getD(held(rates));
        minted = totalSupply == 0 ? grown : (grown - before) * totalSupply / before;
        require(minted >= minimum, "Slippage screwed you");
        totalSupply += minted;
        balanceOf[msg.sender] += minted;
    }

    function get_dy(int128 sold, int128 bought, uint256 dx) external view returns (uint256) {
        uint256[] memory rates = stored_rates();
        (uint256 i, uint256 j) = indices(sold, bought);
        (uint256 gross, uint256 taken) = grossAndFee(rates, i, j, dx);
        if (ng) return (gross - taken) * PRECISION / rates[j];
        uint256 dy = gross * PRECISION / rates[j];
        return dy - dy * fee / FEE_DENOMINATOR;
    }

    function exchange(int128 sold, int128 bought, uint256 dx, uint256 minDy) external returns (uint256) {
        return exchangeFor(sold, bought, dx, minDy, msg.sender);
    }

    function exchange(int128 sold, int128 bought, uint256 dx, uint256 minDy, address receiver) external returns (uint256) {
        return exchangeFor(sold, bought, dx, minDy, receiver);
    }

    function exchangeFor(int128 sold, int128 bought, uint256 dx, uint256 minDy, address receiver) private returns (uint256 dy) {
        (uint256 i, uint256 j) = indices(sold, bought);
        require(!ng || dx > 0, "do not exchange 0 coins");
        uint256[] memory rates = stored_rates();
        (uint256 gross, uint256 taken) = grossAndFee(rates, i, j, dx);
        dy = (gross - taken) * PRECISION / rates[j];
        require(dy >= minDy, "Exchange resulted in fewer coins than expected");
        uint256 admin = taken * admin_fee / FEE_DENOMINATOR * PRECISION / rates[j];
        require(takeIn(i, dx) == dx, "received less than was sent");
        balances[i] += dx;
        balances[j] -= dy + admin;
        admin_balances[j] += admin;
        IERC20(coins[j]).safeTransfer(receiver, dy);
        emit TokenExchange(msg.sender, sold, dx, bought, dy);
    }

    function takeIn(uint256 i, uint256 amount) private returns (uint256) {
        IERC20 coin = IERC20(coins[i]);
        uint256 before = coin.balanceOf(address(this));
        coin.safeTransferFrom(msg.sender, address(this), amount);
        return coin.balanceOf(address(this)) - before;
    }

    function indices(int128 sold, int128 bought) private view returns (uint256 i, uint256 j) {
        require(sold != bought && sold >= 0 && bought >= 0, "coin index out of range");
        (i, j) = (uint256(uint128(sold)), uint256(uint128(bought)));
        require(i < coins.length && j < coins.length, "coin index out of range");
    }

    function held(uint256[] memory rates) private view returns (uint256[] memory xp) {
        xp = new uint256[](rates.length);
        for (uint256 k = 0; k < rates.length; k++) xp[k] = balances[k] * rates[k] / PRECISION;
    }

    function grossAndFee(uint256[] memory rates, uint256 i, uint256 j, uint256 dx) private view returns (uint256 gross, uint256 taken) {
        uint256[] memory xp = held(rates);
        uint256 x = xp[i] + dx * rates[i] / PRECISION;
        uint256 y = getY(i, j, x, xp, getD(xp));
        gross = xp[j] - y - 1;
        taken = gross * (ng ? dynamicFee((xp[i] + x) / 2, (xp[j] + y) / 2) : fee) / FEE_DENOMINATOR;
    }

    function dynamicFee(uint256 xi, uint256 xj) private view returns (uint256) {
        uint256 multiplier = offpeg_fee_multiplier;
        if (multiplier <= FEE_DENOMINATOR) return fee;
        uint256 weight = (multiplier - FEE_DENOMINATOR) * 4 * xi * xj / ((xi + xj) ** 2);
        return multiplier * fee / (weight + FEE_DENOMINATOR);
    }

    function getD(uint256[] memory xp) private view returns (uint256 d) {
        uint256 n = xp.length;
        for (uint256 k = 0; k < n; k++) d += xp[k];
        if (d == 0) return 0;
        uint256 ann = amplification * n;
        uint256 weighted = ann * d / aPrecision;
        for (uint256 round = 0; round < 255; round++) {
            uint256 dP = d;
            for (uint256 k = 0; k < n; k++) dP = ng ? dP * d / xp[k] : dP * d / (xp[k] * n);
            if (ng) dP /= n ** n;
            uint256 before = d;
            d = (weighted + dP * n) * d / ((ann - aPrecision) * d / aPrecision + (n + 1) * dP);
            if (d > before ? d - before <= 1 : before - d <= 1) return d;
        }
        require(!ng, "D does not converge");
    }

    function getY(uint256 i, uint256 j, uint256 x, uint256[] memory xp, uint256 d) private view returns (uint256 y) {
        uint256 n = xp.length;
        uint256 ann = amplification * n;
        uint256 c = d;
        uint256 others = 0;
        for (uint256 k = 0; k < n; k++) {
            if (k == j) continue;
            uint256 one = k == i ? x : xp[k];
            others += one;
            c = c * d / (one * n);
        }
        c = c * d * aPrecision / (ann * n);
        uint256 b = others + d * aPrecision / ann;
        y = d;
        for (uint256 round = 0; round < 255; round++) {
            uint256 before = y;
            y = (y * y + c) / (2 * y + b - d);
            if (y > before ? y - before <= 1 : before - y <= 1) return y;
        }
        require(!ng, "y does not converge");
    }
}
