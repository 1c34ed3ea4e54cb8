// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// One lending reserve that follows the published arithmetic of Aave v3.7: index growth, scaled units, which way each amount is
/// rounded, the treasury's claim, the two slopes, the flash-loan premium and what a liquidation seizes. It moves no tokens and asks
/// for no collateral: it exists to check integer models of that arithmetic against an EVM.
contract ReserveMath37 {
    uint256 private constant RAY = 1e27;
    uint256 private constant WAD = 1e18;
    uint256 private constant YEAR = 365 days;
    uint256 private constant FULL = 10_000;

    error NothingScaled();
    error NotThatMuch(uint256 asked, uint256 there);

    struct Curve {
        uint256 optimalUsage;
        uint256 baseRate;
        uint256 slope1;
        uint256 slope2;
        uint256 reserveFactor;
        uint256 flashPremium;
    }

    Curve public curve;
    uint256 public liquidityIndex = RAY;
    uint256 public borrowIndex = RAY;
    uint256 public liquidityRate;
    uint256 public borrowRate;
    uint256 public updatedAt;
    uint256 public scaledSupply;
    uint256 public scaledDebt;
    uint256 public cash;
    uint256 public treasury;
    mapping(address => uint256) public supplied;
    mapping(address => uint256) public borrowed;

    constructor(Curve memory rules) {
        curve = rules;
    }

    // --- rounding ---------------------------------------------------------------------------------------------------------------

    function down(uint256 a, uint256 b, uint256 c) public pure returns (uint256) {
        return (a * b) / c;
    }

    function up(uint256 a, uint256 b, uint256 c) public pure returns (uint256) {
        uint256 product = a * b;
        return product == 0 ? 0 : (product - 1) / c + 1;
    }

    function near(uint256 a, uint256 b, uint256 c) public pure returns (uint256) {
        return (a * b + c / 2) / c;
    }

    // --- growth -----------------------------------------------------------------------------------------------------------------

    function linear(uint256 rate, uint256 elapsed) public pure returns (uint256) {
        return RAY + (rate * elapsed) / YEAR;
    }

    function compounded(uint256 rate, uint256 elapsed) public pure returns (uint256) {
        uint256 x = (rate * elapsed) / YEAR;
        uint256 tail = x / 2 + near(x, x / 6, RAY);
        return RAY + x + near(x, tail, RAY);
    }

    function indicesAt(uint256 at) public view returns (uint256 income, uint256 debt) {
        uint256 elapsed = at - updatedAt;
        income = elapsed == 0 ? liquidityIndex : near(linear(liquidityRate, elapsed), liquidityIndex, RAY);
        debt = elapsed == 0 ? borrowIndex : near(compounded(borrowRate, elapsed), borrowIndex, RAY);
    }

    function balanceOf(address user) external view returns (uint256) {
        (uint256 income, ) = indicesAt(block.timestamp);
        return down(supplied[user], income, RAY);
    }

    function totalSupply() public view returns (uint256) {
        (uint256 income, ) = indicesAt(block.timestamp);
        return down(scaledSupply, income, RAY);
    }

    /// A premium in the cash is not lent: `InvalidAmount` unless the aTokens' supply is at least the amount.
    function requireSupplied(uint256 amount) private view {
        if (amount > totalSupply()) revert NotThatMuch(amount, totalSupply());
    }

    function debtOf(address user) external view returns (uint256) {
        (, uint256 debt) = indicesAt(block.timestamp);
        return up(borrowed[user], debt, RAY);
    }

    function accrue() public {
        if (updatedAt == block.timestamp) return;
        (uint256 income, uint256 debt) = indicesAt(block.timestamp);
        uint256 before = borrowIndex;
        if (liquidityRate != 0) liquidityIndex = income;
        if (scaledDebt != 0) borrowIndex = debt;
        uint256 interest = down(scaledDebt, borrowIndex - before, RAY);
        treasury += down(near(interest, curve.reserveFactor, FULL), RAY, liquidityIndex);
        updatedAt = block.timestamp;
    }

    function settle() private {
        uint256 owed = up(scaledDebt, borrowIndex, RAY);
        (liquidityRate, borrowRate) = (0, curve.baseRate);
        if (owed == 0) return;
        uint256 usage = near(owed, RAY, cash + owed);
        if (usage <= curve.optimalUsage) {
            borrowRate += near(near(curve.slope1, usage, RAY), RAY, curve.optimalUsage);
        } else {
            uint256 excess = near(usage - curve.optimalUsage, RAY, RAY - curve.optimalUsage);
            borrowRate += curve.slope1 + near(curve.slope2, excess, RAY);
        }
        liquidityRate = near(near(borrowRate, usage, RAY), FULL - curve.reserveFactor, FULL);
    }

    // --- actions ----------------------------------------------------------------------------------------------------------------

    function supply(uint256 amount) external {
        accrue();
        uint256 minted = down(amount, RAY, liquidityIndex);
        if (minted == 0) revert NothingScaled();
        supplied[msg.sender] += minted;
        scaledSupply += minted;
        cash += amount;
        settle();
    }

    function withdraw(uint256 amount) external {
        accrue();
        uint256 held = supplied[msg.sender];
        uint256 burned = held;
        if (amount == type(uint256).max) amount = down(held, liquidityIndex, RAY);
        else burned = up(amount, RAY, liquidityIndex);
        if (burned == 0) revert NothingScaled();
        if (burned > held) revert NotThatMuch(burned, held);
        if (amount > cash) revert NotThatMuch(amount, cash);
        supplied[msg.sender] = held - burned;
        scaledSupply -= burned;
        cash -= amount;
        settle();
    }

    function borrow(uint256 amount) external {
        accrue();
        uint256 minted = up(amount, RAY, borrowIndex);
        if (minted == 0) revert NothingScaled();
        requireSupplied(amount);
        if (amount > cash) revert NotThatMuch(amount, cash);
        borrowed[msg.sender] += minted;
        scaledDebt += minted;
        cash -= amount;
        settle();
    }

    function repay(uint256 amount) external {
        accrue();
        uint256 owed = up(borrowed[msg.sender], borrowIndex, RAY);
        if (amount > owed) amount = owed;
        uint256 burned = down(amount, RAY, borrowIndex);
        if (burned == 0) revert NothingScaled();
        borrowed[msg.sender] -= burned;
        scaledDebt -= burned;
        cash += amount;
        settle();
    }

    function flashLoan(uint256 amount) external {
        requireSupplied(amount);
        if (amount > cash) revert NotThatMuch(amount, cash);
        uint256 premium = up(amount, curve.flashPremium, FULL);
        accrue();
        treasury += down(premium, RAY, liquidityIndex);
        cash += premium;
        settle();
    }

    // --- health and liquidation -------------------------------------------------------------------------------------------------

    /// `weighted` is the sum of collateral value times threshold in basis points.
    function healthFactor(uint256 weighted, uint256 debtValue) external pure returns (uint256) {
        return near(weighted, WAD, debtValue) / FULL;
    }

    function debtValue(uint256 amount, uint256 price, uint256 unit) external pure returns (uint256) {
        return up(amount, price, unit);
    }

    /// Prices and units are (collateral, debt); `bonus` is in basis points over and with the whole (10,500 for 5 %).
    function seized(
        uint256 debt,
        uint256 balance,
        uint256[2] calldata price,
        uint256[2] calldata unit,
        uint256 bonus,
        uint256 fee
    ) external pure returns (uint256 paid, uint256 repaid, uint256 kept) {
        uint256 wanted = down((price[1] * debt * unit[0]) / (price[0] * unit[1]), bonus, FULL);
        repaid = debt;
        if (wanted > balance) {
            wanted = balance;
            repaid = up((price[0] * balance * unit[1]) / (price[1] * unit[0]), FULL, bonus);
        }
        uint256 extra = wanted - down(wanted, FULL, bonus);
        kept = up(extra, fee, FULL);
        paid = wanted - kept;
    }
}
