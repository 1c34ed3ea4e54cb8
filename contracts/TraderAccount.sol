// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Account} from "@openzeppelin/contracts/account/Account.sol";
import {ERC7821} from "@openzeppelin/contracts/account/extensions/draft-ERC7821.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721Holder} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Holder.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// What an amount is that is known only when the call is made.
enum Kind {
    Balance, // of the account: `source` is the token, zero is ether
    Output, // what the account has of `source` more than before step `place`, times numerator / denominator
    View, // word `place` of what the contract `source` answers to `data`
    MorphoOwed // what the account owes in Morpho's market with the id `data`, with interest up to now
}

struct Amount {
    Kind kind;
    address source;
    uint256 place;
    uint256 numerator;
    uint256 denominator;
    bytes data;
}

/// What `spender` may take during one call: `units`, or the amount that is there.
struct Allowance {
    address token;
    address spender;
    uint256 units;
    Amount[] amount;
}

/// A call. The amount that is there, if there is one, replaces the word at each of `places` in `data`, and is the ether that is sent where
/// `pays`.
struct Call {
    address target;
    uint256 value;
    bytes data;
    Amount[] amount;
    uint256[] places;
    bool pays;
    Allowance[] allowances;
}

/// The calls of one action, and the tokens whose balance is measured over it.
struct Step {
    Call[] calls;
    address[] measured;
}

/// The balance of a token at the end must be at least the one at the beginning plus `change`.
struct Floor {
    address token;
    int256 change;
}

struct MarketParams {
    address loanToken;
    address collateralToken;
    address oracle;
    address irm;
    uint256 lltv;
}

interface IMorphoMarkets {
    function idToMarketParams(bytes32 id) external view returns (MarketParams memory);
    function accrueInterest(MarketParams memory params) external;
    function flashLoan(address token, uint256 assets, bytes calldata data) external;
    function position(bytes32 id, address user) external view returns (uint256, uint128 borrowShares, uint128);
    function market(bytes32 id) external view returns (uint128, uint128, uint128 borrowed, uint128 borrowShares, uint128, uint128);
}

interface IAaveLoans {
    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16 referralCode) external;
}

/// The code of a trader's own account, under an EIP-7702 delegation: it runs a chain of actions in one transaction, all of them or none.
///
/// It has no storage, and there is nothing to initialise. Only the account itself can have anything executed (ERC-7821), and only the two
/// lenders that are part of the code can call it back: once, while a call of its own for a flash loan runs, with what that call holds.
contract TraderAccount is ERC7821, ERC721Holder {
    using SafeERC20 for IERC20;

    address public immutable aavePool;
    address public immutable morpho;

    /// The hash of the call for a flash loan that runs and was not called back yet; zero where there is none. A lender's own word is no
    /// proof of it: the code of a lender can change.
    bytes32 private transient _loan;

    error Expired(uint256 deadline);
    error BelowFloor(address token, uint256 balance, uint256 least);
    error Nothing(address source);
    error NotMeasured(uint256 step, address token);
    error NoAnswer(address target);
    error NotCalledBack(address lender);

    constructor(address aavePool_, address morpho_) {
        aavePool = aavePool_;
        morpho = morpho_;
    }

    receive() external payable {}

    /// All steps in their order, in time, and not below the floors. It is called as the one call of an ERC-7821 batch.
    function run(Step[] memory steps, Floor[] memory floors, uint256 deadline) external payable {
        if (msg.sender != address(this)) revert Account.AccountUnauthorized(msg.sender);
        if (block.timestamp > deadline) revert Expired(deadline);
        uint256[] memory held = new uint256[](floors.length);
        for (uint256 i = 0; i < floors.length; i++) held[i] = _balance(floors[i].token);
        _run(steps);
        for (uint256 i = 0; i < floors.length; i++) _check(floors[i], held[i]);
    }

    /// What Aave's pool calls while its loan is out. The pool itself takes the loan and its premium back.
    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool)
    {
        if (msg.sender != aavePool || initiator != address(this)) revert Account.AccountUnauthorized(msg.sender);
        _take(abi.encodeCall(IAaveLoans.flashLoanSimple, (address(this), asset, amount, params, 0)));
        (, Step[] memory steps) = abi.decode(params, (address, Step[]));
        _run(steps);
        IERC20(asset).forceApprove(aavePool, amount + premium);
        return true;
    }

    /// What Morpho calls while its loan is out: it calls back only who has taken the loan.
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external {
        if (msg.sender != morpho) revert Account.AccountUnauthorized(msg.sender);
        (address token, Step[] memory steps) = abi.decode(data, (address, Step[]));
        _take(abi.encodeCall(IMorphoMarkets.flashLoan, (token, assets, data)));
        _run(steps);
        IERC20(token).forceApprove(morpho, assets);
    }

    /// The loan of this call is the one under way, and is called back now.
    function _take(bytes memory loanCall) private {
        if (_loan != keccak256(loanCall)) revert Account.AccountUnauthorized(msg.sender);
        _loan = 0;
    }

    function _isLoan(Call memory made) private view returns (bool) {
        bytes4 called = bytes4(made.data);
        if (made.target == aavePool) return called == IAaveLoans.flashLoanSimple.selector;
        return made.target == morpho && called == IMorphoMarkets.flashLoan.selector;
    }

    function _run(Step[] memory steps) private {
        // Of each measured token: the balance before the step while it runs, afterwards what the step paid out.
        uint256[][] memory moved = new uint256[][](steps.length);
        for (uint256 i = 0; i < steps.length; i++) {
            address[] memory measured = steps[i].measured;
            moved[i] = new uint256[](measured.length);
            for (uint256 j = 0; j < measured.length; j++) moved[i][j] = _balance(measured[j]);
            Call[] memory calls = steps[i].calls;
            for (uint256 j = 0; j < calls.length; j++) _call(calls[j], steps, moved, i);
            for (uint256 j = 0; j < measured.length; j++) moved[i][j] = _more(measured[j], moved[i][j]);
        }
    }

    function _call(Call memory made, Step[] memory steps, uint256[][] memory moved, uint256 current) private {
        uint256 value = made.value;
        if (made.amount.length > 0) {
            uint256 units = _units(made.amount[0], steps, moved, current);
            if (made.pays) value = units;
            for (uint256 i = 0; i < made.places.length; i++) _put(made.data, made.places[i], units);
        }
        for (uint256 i = 0; i < made.allowances.length; i++) {
            Allowance memory allowance = made.allowances[i];
            uint256 units = allowance.amount.length > 0 ? _units(allowance.amount[0], steps, moved, current) : allowance.units;
            IERC20(allowance.token).forceApprove(allowance.spender, units);
        }
        if (_isLoan(made)) _loan = keccak256(made.data);
        if (made.data.length > 0) Address.functionCallWithValue(made.target, made.data, value);
        else Address.sendValue(payable(made.target), value);
        if (_loan != 0) revert NotCalledBack(made.target);
        for (uint256 i = 0; i < made.allowances.length; i++) {
            Allowance memory allowance = made.allowances[i];
            IERC20 token = IERC20(allowance.token);
            if (token.allowance(address(this), allowance.spender) != 0) token.forceApprove(allowance.spender, 0);
        }
    }

    /// An amount as it is now. One of nothing ends everything: whoever asked for it expected something.
    function _units(Amount memory amount, Step[] memory steps, uint256[][] memory moved, uint256 current)
        private
        returns (uint256 units)
    {
        if (amount.kind == Kind.Balance) units = _balance(amount.source);
        else if (amount.kind == Kind.View) units = _word(amount);
        else if (amount.kind == Kind.MorphoOwed) units = _owed(abi.decode(amount.data, (bytes32)));
        else units = _output(amount, steps, moved, current);
        if (units == 0) revert Nothing(amount.source);
    }

    function _output(Amount memory amount, Step[] memory steps, uint256[][] memory moved, uint256 current)
        private
        view
        returns (uint256)
    {
        address[] memory measured = steps[amount.place].measured;
        for (uint256 i = 0; i < measured.length; i++) {
            if (measured[i] != amount.source) continue;
            uint256 found = moved[amount.place][i];
            if (amount.place == current) found = _more(amount.source, found);
            return Math.mulDiv(found, amount.numerator, amount.denominator);
        }
        revert NotMeasured(amount.place, amount.source);
    }

    function _word(Amount memory amount) private view returns (uint256 word) {
        bytes memory answer = Address.functionStaticCall(amount.source, amount.data);
        if (answer.length < 32 * (amount.place + 1)) revert NoAnswer(amount.source);
        uint256 offset = 32 * (amount.place + 1);
        assembly ("memory-safe") {
            word := mload(add(answer, offset))
        }
    }

    function _owed(bytes32 id) private returns (uint256) {
        IMorphoMarkets markets = IMorphoMarkets(morpho);
        markets.accrueInterest(markets.idToMarketParams(id));
        (, uint128 shares,) = markets.position(id, address(this));
        (,, uint128 borrowed, uint128 borrowShares,,) = markets.market(id);
        // As Morpho does it: one virtual unit, a million virtual shares, in its own favour.
        return Math.mulDiv(shares, uint256(borrowed) + 1, uint256(borrowShares) + 1e6, Math.Rounding.Ceil);
    }

    function _put(bytes memory data, uint256 place, uint256 word) private pure {
        require(place + 32 <= data.length, "place beyond data");
        assembly ("memory-safe") {
            mstore(add(add(data, 32), place), word)
        }
    }

    function _check(Floor memory floor, uint256 before) private view {
        uint256 balance = _balance(floor.token);
        int256 least = int256(before) + floor.change;
        if (int256(balance) < least) revert BelowFloor(floor.token, balance, uint256(least));
    }

    function _balance(address token) private view returns (uint256) {
        return token == address(0) ? address(this).balance : IERC20(token).balanceOf(address(this));
    }

    function _more(address token, uint256 before) private view returns (uint256) {
        uint256 balance = _balance(token);
        return balance > before ? balance - before : 0;
    }
}
