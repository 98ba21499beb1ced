//! A pool's stock, and the one law: seats are moved, never counted.

use serde::{Deserialize, Serialize};

/// The counters of a pool, in seats. `total = available + allocated + held + used + spent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stock {
    /// Bought, or allocated to this sublicense.
    pub total: u64,
    /// Given on to sublicenses.
    pub allocated: u64,
    /// Promised: invitations, later starts, issued redemption codes, running imports.
    pub held: u64,
    /// Taken by learners whose access is open.
    pub used: u64,
    /// Used up for good (consumable contracts).
    pub spent: u64,
    /// Free to give.
    pub available: u64,
}

impl Stock {
    /// A new pool of `seats`, all available.
    pub fn of(seats: u64) -> Self {
        Self { total: seats, available: seats, ..Self::default() }
    }

    /// Whether the counters add up.
    pub fn adds_up(&self) -> bool {
        let parts = self.allocated + self.held + self.used + self.spent + self.available;
        self.total == parts
    }
}

/// A movement of seats between the counters of one pool, in seats.
///
/// Every constructor moves as much into `total` as into its parts together, so no movement can
/// make a pool that [adds up](Stock::adds_up) stop adding up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// Change of `total`.
    pub total: i64,
    /// Change of `allocated`.
    pub allocated: i64,
    /// Change of `held`.
    pub held: i64,
    /// Change of `used`.
    pub used: i64,
    /// Change of `spent`.
    pub spent: i64,
    /// Change of `available`.
    pub available: i64,
}

impl Delta {
    /// `seats` bought (or, if negative, given back).
    pub fn bought(seats: i64) -> Self {
        Self { total: seats, available: seats, ..Self::default() }
    }

    /// `seats` allocated to a sublicense (or, if negative, taken back).
    pub fn allocated(seats: i64) -> Self {
        Self { allocated: seats, available: -seats, ..Self::default() }
    }

    /// `seats` promised.
    pub fn held(seats: i64) -> Self {
        Self { held: seats, available: -seats, ..Self::default() }
    }

    /// `seats` taken at once.
    pub fn used(seats: i64) -> Self {
        Self { used: seats, available: -seats, ..Self::default() }
    }

    /// `seats` that were promised, taken up.
    pub fn taken_up(seats: i64) -> Self {
        Self { held: -seats, used: seats, ..Self::default() }
    }

    /// `seats` that were promised, free again.
    pub fn let_go(seats: i64) -> Self {
        Self::held(-seats)
    }

    /// `seats` that were used, free again.
    pub fn returned(seats: i64) -> Self {
        Self::used(-seats)
    }

    /// `seats` that were used, used up for good.
    pub fn spent(seats: i64) -> Self {
        Self { used: -seats, spent: seats, ..Self::default() }
    }

    /// Both movements together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            allocated: self.allocated + other.allocated,
            held: self.held + other.held,
            used: self.used + other.used,
            spent: self.spent + other.spent,
            available: self.available + other.available,
        }
    }

    /// Whether nothing moves.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether as much enters `total` as enters its parts.
    pub fn is_balanced(&self) -> bool {
        self.total == self.allocated + self.held + self.used + self.spent + self.available
    }

    /// The counters by name, for adapters and for printing.
    pub fn parts(&self) -> [(&'static str, i64); 6] {
        [
            ("total", self.total),
            ("allocated", self.allocated),
            ("held", self.held),
            ("used", self.used),
            ("spent", self.spent),
            ("available", self.available),
        ]
    }

    /// The stock after this movement; `None` if a counter would fall below zero, which is what the
    /// store's condition refuses.
    pub fn applied_to(&self, stock: Stock) -> Option<Stock> {
        Some(Stock {
            total: stock.total.checked_add_signed(self.total)?,
            allocated: stock.allocated.checked_add_signed(self.allocated)?,
            held: stock.held.checked_add_signed(self.held)?,
            used: stock.used.checked_add_signed(self.used)?,
            spent: stock.spent.checked_add_signed(self.spent)?,
            available: stock.available.checked_add_signed(self.available)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_delta() -> impl Strategy<Value = Delta> {
        let makers: [fn(i64) -> Delta; 8] = [
            Delta::bought,
            Delta::allocated,
            Delta::held,
            Delta::used,
            Delta::taken_up,
            Delta::let_go,
            Delta::returned,
            Delta::spent,
        ];
        (0..makers.len(), -5_i64..6).prop_map(move |(which, seats)| makers[which](seats))
    }

    proptest! {
        #[test]
        fn no_sequence_of_movements_makes_a_pool_stop_adding_up(
            moves in proptest::collection::vec(any_delta(), 0..60)
        ) {
            let mut stock = Stock::of(20);
            for delta in moves {
                prop_assert!(delta.is_balanced());
                stock = delta.applied_to(stock).unwrap_or(stock);
                prop_assert!(stock.adds_up());
            }
        }
    }
}
