//! Codes: what is printed on paper, and what is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use data_encoding::HEXLOWER;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::change::Block;
use crate::ids::{BatchId, ClientId, ContractId, GroupId, LearnerId, PoolId, SublicenseId};
use crate::language::Language;
use crate::secrets::Keys;

/// Most codes issued or added at once.
pub const CODES_MAX: usize = 10_000;

/// How far a code's place leaves room for its lot: [`CODES_MAX`] fits below it.
const LOT_SHIFT: u32 = 14;
/// Lanes of a lot: chunks of its codes that are written at once each look at another one for a bar,
/// for two transactions that only look at one item conflict as well. Chunks written at once: some
/// 1,600 write units, well below what a new table takes a second.
pub const LANES: u8 = 8;

/// Bits below which an own code is called guessable: what eleven letters and digits have at most.
/// People choose words, and words have far less.
const GUESSABLE_BELOW: f64 = 60.0;

/// Crockford's base32 digits, as they are shown.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Digits of a generated code before its check character: 80 bits.
const LENGTH: usize = 16;

/// A code in its canonical form: upper case, no separators.
///
/// A generated one has 16 Crockford digits and a check character over GF(32) that catches every
/// single substitution and every adjacent transposition; an administrator's own one has 8 to 40
/// letters and digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(String);

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCode {
    /// It has too few or too many characters, or others than letters and digits.
    #[error("expected 8 to 40 letters and digits; spaces and dashes do not count")]
    Form,
    /// It has the shape of a generated code, but its check character does not fit.
    #[error("it looks like a generated code, but its last character does not fit the others")]
    Mistyped,
}

impl Code {
    /// Reads a code as a person would type or paste it. Spaces, dashes and invisible characters do
    /// not count, nor does case; in what has the shape of a generated code, O is 0 and I and L are
    /// 1.
    pub fn parse(text: &str) -> Result<Self, InvalidCode> {
        let plain: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && !is_separator(*c))
            .flat_map(char::to_uppercase)
            .collect();
        let usable = plain.chars().all(|c| c.is_ascii_alphanumeric());
        if !usable || !(8..=40).contains(&plain.len()) {
            return Err(InvalidCode::Form);
        }
        let read = plain.replace('O', "0").replace(['I', 'L'], "1");
        if is_checked(&read) {
            Ok(Self(read))
        } else if has_generated_shape(&read) {
            Err(InvalidCode::Mistyped)
        } else {
            Ok(Self(plain))
        }
    }

    /// Whether an own code can be guessed: it is short, or made of few different characters.
    pub fn is_guessable(&self) -> bool {
        if is_checked(&self.0) {
            return false;
        }
        let different: BTreeSet<char> = self.0.chars().collect();
        let has = |kind: fn(&char) -> bool| self.0.chars().any(|c| kind(&c));
        let alphabet: f64 = match (has(char::is_ascii_digit), has(char::is_ascii_alphabetic)) {
            (true, true) => 36.0,
            (false, _) => 26.0,
            (true, false) => 10.0,
        };
        let letters = f64::from(u32::try_from(self.0.len()).unwrap_or(0));
        different.len() < 5 || letters * alphabet.log2() < GUESSABLE_BELOW
    }

    /// The `index`-th code of a batch: derived, so that a repeated call makes the same codes.
    pub fn generated(keys: &Keys, client: &ClientId, batch: BatchId, index: u32) -> Self {
        let batch = batch.to_string();
        let parts = [client.as_str().as_bytes(), batch.as_bytes(), &index.to_be_bytes()];
        let hash = keys.mac("code", &parts);
        let mut values: Vec<u8> = hash.iter().take(LENGTH).map(|byte| byte & 31).collect();
        values.push(check_value(&values));
        Self(values.iter().map(|value| char::from(DIGITS[usize::from(*value)])).collect())
    }

    /// What stands for the code in the table. Nothing there can be redeemed.
    pub fn hash(&self, keys: &Keys, client: &ClientId) -> CodeHash {
        CodeHash(keys.mac("code-hash", &[client.as_str().as_bytes(), self.0.as_bytes()]))
    }

    /// The last four characters, for lists.
    pub fn last4(&self) -> String {
        self.0[self.0.len() - 4..].to_owned()
    }

    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands between a code's characters or around them: dashes, the minus sign, and what cannot
/// be seen but comes along when a code is copied out of a page or a sheet.
const fn is_separator(c: char) -> bool {
    matches!(
        c,
        '-' | '_'
            | '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2010}'..='\u{2015}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'
            | '\u{2066}'..='\u{2069}'
            | '\u{2212}'
            | '\u{feff}'
    )
}

/// As it is printed: a generated code as `XXXX-XXXX-XXXX-XXXX-X`, another as it is.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !is_checked(&self.0) {
            return f.write_str(&self.0);
        }
        for (place, digit) in self.0.chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// The keyed hash of a code at a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CodeHash([u8; 32]);

impl From<CodeHash> for String {
    fn from(hash: CodeHash) -> Self {
        HEXLOWER.encode(&hash.0)
    }
}

impl TryFrom<String> for CodeHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("not the hash of a code")
    }
}

impl fmt::Display for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(20).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn is_checked(text: &str) -> bool {
    let values: Option<Vec<u8>> = text.bytes().map(value_of).collect();
    values.is_some_and(|values| {
        values.len() == LENGTH + 1 && check_value(&values[..LENGTH]) == values[LENGTH]
    })
}

fn has_generated_shape(text: &str) -> bool {
    text.len() == LENGTH + 1 && text.bytes().all(|digit| value_of(digit).is_some())
}

/// Which of an administrator's own codes can be guessed, by their places: weak ones, and those that
/// count up, so that one code tells the next.
pub fn guessable(codes: &[Code]) -> Vec<usize> {
    const COUNTER: usize = 6;
    let stem = |code: &Code| code.0[..code.0.len().saturating_sub(COUNTER)].to_owned();
    let own = |code: &&Code| !is_checked(&code.0);
    let mut stems: BTreeMap<String, usize> = BTreeMap::new();
    for code in codes.iter().filter(own) {
        *stems.entry(stem(code)).or_default() += 1;
    }
    let weak = |code: &Code| {
        !is_checked(&code.0)
            && (code.is_guessable() || stems.get(&stem(code)).is_some_and(|n| *n > 1))
    };
    let places = codes.iter().enumerate().filter(|(_, code)| weak(code));
    places.map(|(place, _)| place).collect()
}

fn value_of(digit: u8) -> Option<u8> {
    DIGITS.iter().position(|known| *known == digit).and_then(|place| u8::try_from(place).ok())
}

/// The check digit: Σ αⁱ·dᵢ over GF(32) = GF(2)[x]/(x⁵+x²+1), α = x. The weights differ from
/// neighbor to neighbor and are never 0, and α has order 31: all single substitutions and all
/// adjacent transpositions change the sum, also those that touch the check digit itself (weight 1,
/// beside α).
fn check_value(values: &[u8]) -> u8 {
    // Horner from the first digit: each step multiplies the sum by α.
    values.iter().fold(0, |sum, value| times_alpha(sum ^ value))
}

fn times_alpha(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 32 == 0 { shifted } else { (shifted & 31) ^ 0b00101 }
}

/// The two kinds of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeKind {
    /// One code, many learners.
    Registration,
    /// One code, one learner.
    Redemption,
}

/// How long a batch may be at its issuing; whatever began it is gone by then, and what it had set
/// aside can be given back. Longer than an attempt holds its idempotency record.
pub const UNFINISHED_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Whether a batch's codes can be redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Its codes are being written; none can be redeemed yet.
    Issuing,
    /// They can.
    Active,
    /// Not for the moment.
    Paused,
    /// Never again.
    Revoked,
}

/// Codes issued together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id.
    pub batch_id: BatchId,
    /// Its kind; `kind` is what every stored item calls the type of the item.
    #[serde(rename = "code_kind")]
    pub kind: CodeKind,
    /// The administrator's name for it.
    pub label: String,
    /// Whether its codes can be redeemed.
    pub state: BatchState,
    /// The contract.
    pub contract_id: ContractId,
    /// The sublicense, if one was named.
    pub sublicense_id: Option<SublicenseId>,
    /// How many codes it has.
    pub count: u32,
    /// How many redemptions a registration code allows.
    pub max_redemptions: Option<u32>,
    /// How many there were; kept here for registration codes without a block.
    pub redeemed: u32,
    /// Whether its seats are held in a block of the pool.
    pub guaranteed: bool,
    /// From when codes can be redeemed.
    pub valid_from: Option<Timestamp>,
    /// Until when.
    pub valid_until: Option<Timestamp>,
    /// The local day the seats open; those that are redeemed later open at once.
    #[serde(default)]
    pub start_on: Option<Date>,
    /// How long the seats last, in days.
    pub seat_duration_days: Option<u32>,
    /// Groups the redeemers join.
    pub group_ids: BTreeSet<GroupId>,
    /// Labels they get.
    pub labels: BTreeSet<String>,
    /// The language of their mails, where they choose none.
    pub language: Option<Language>,
    /// Domains their addresses must have; empty: any.
    pub allowed_domains: BTreeSet<String>,
    /// Whether an address has to be proven before its seat is given.
    #[serde(default)]
    pub require_email_proof: bool,
    /// When it was issued.
    pub created_at: Timestamp,
    /// What changes when it is steered.
    #[serde(flatten)]
    pub steering: Steering,
}

/// How a batch was steered since it was issued.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Steering {
    /// Grows whenever the batch is steered: nothing is written over what was not seen.
    #[serde(default)]
    pub version: u32,
    /// Grows whenever the batch lets in less than before. Its blocks follow: a redemption that was
    /// planned before then finds a block of another epoch.
    #[serde(default)]
    pub epoch: u32,
    /// How many shards its block has.
    #[serde(default)]
    pub shards: u16,
    /// Whether what its block had left went back: it was revoked, or its time is over.
    #[serde(default)]
    pub returned: bool,
    /// The lots of codes added since it was issued. A code of another lot cannot be redeemed.
    #[serde(default)]
    pub lots: BTreeSet<u32>,
    /// The lot that is being added.
    #[serde(default)]
    pub adding: Option<Adding>,
    /// How many codes were mailed, those passed over because they had been redeemed included: of
    /// redemption codes, the next one to mail is at this place of the list.
    #[serde(default)]
    pub mailed: u32,
}

/// Codes that are being added to a batch. None of them can be redeemed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adding {
    /// The operation that adds them.
    pub op: Uuid,
    /// Their lot.
    pub lot: u32,
    /// How many.
    pub count: u32,
    /// Their first sealed run.
    pub first_run: u32,
    /// How many sealed runs they take.
    pub runs: u32,
    /// When it began.
    pub began_at: Timestamp,
}

impl Adding {
    /// The place of a code of a lot, by its offset there.
    pub fn place_in(lot: u32, offset: u32) -> u32 {
        (lot << LOT_SHIFT) + offset
    }

    /// The lot of a place, 0 for the codes a batch was issued with.
    pub fn lot_of(place: u32) -> u32 {
        place >> LOT_SHIFT
    }
}

impl Batch {
    /// The pool it draws on.
    pub fn pool(&self) -> PoolId {
        self.sublicense_id.map_or(PoolId::Contract(self.contract_id), PoolId::Sublicense)
    }

    /// Whether its seats stand in a block: always for redemption codes.
    pub fn has_block(&self) -> bool {
        self.kind == CodeKind::Redemption || self.guaranteed
    }

    /// How many redemptions there were, those its open blocks gave seats to included.
    pub fn redeemed_with(&self, blocks: &[Block]) -> u64 {
        let owner = self.batch_id.to_string();
        let own = blocks.iter().filter(|block| block.key.owner == owner);
        u64::from(self.redeemed) + own.map(Block::gave).sum::<u64>()
    }

    /// How many seats its block sets aside: one for each redemption to come, as far as those that
    /// were are counted at the batch itself.
    pub fn block_size(&self) -> u64 {
        let adding = self.steering.adding.as_ref().map_or(0, |adding| adding.count);
        let most = match self.kind {
            CodeKind::Redemption => self.count + adding,
            CodeKind::Registration if self.guaranteed => self.max_redemptions.unwrap_or(0),
            CodeKind::Registration => 0,
        };
        u64::from(most.saturating_sub(self.redeemed))
    }

    /// Whether the code at this place is one of the batch: issued with it, or added in full.
    pub fn has_place(&self, place: u32) -> bool {
        let lot = Adding::lot_of(place);
        lot == 0 || self.steering.lots.contains(&lot)
    }

    /// Whether its time is over at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.valid_until.is_some_and(|until| until <= now)
    }

    /// When the sweep has to look at it, if nobody did before: what was begun has to end, and seats
    /// that nobody can redeem any more go back.
    pub fn due_at(&self) -> Option<Timestamp> {
        let holds = self.has_block() && !self.steering.returned;
        match (self.state, &self.steering.adding) {
            (BatchState::Issuing, _) => Some(self.created_at + UNFINISHED_AFTER),
            (BatchState::Revoked, _) => holds.then_some(self.created_at),
            (_, Some(adding)) => Some(adding.began_at + UNFINISHED_AFTER),
            (BatchState::Active | BatchState::Paused, None) => self.valid_until.filter(|_| holds),
        }
    }

    /// Whether its codes can be redeemed at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == BatchState::Active
            && self.valid_from.is_none_or(|from| from <= now)
            && !self.is_over(now)
    }
}

/// Into how many shards a batch's seats are split, so that learners who redeem at once do not all
/// write the same item: a power of two, with at least eight seats each. One item takes some 16
/// transactions a second without conflicts, so the most serve a thousand.
pub fn shards(seats: u64) -> u16 {
    const MOST: u16 = 64;
    let wanted = u16::try_from(seats / 8).unwrap_or(MOST).clamp(1, MOST);
    1 << wanted.ilog2()
}

/// What the table keeps of one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRecord {
    /// Its batch.
    pub batch_id: BatchId,
    /// Its place in the batch.
    pub index: u32,
    /// Its last four characters.
    pub last4: String,
    /// Who redeemed it, for a redemption code.
    pub redeemed_by: Option<LearnerId>,
    /// The operation that last wrote it.
    pub op: Uuid,
}

/// One redemption, for the batch's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redemption {
    /// Who.
    pub learner_id: LearnerId,
    /// Which code.
    pub code_last4: String,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(seed: u128) -> Code {
        let keys = Keys::derive(&"k".repeat(32)).unwrap();
        Code::generated(&keys, &"acme".parse().unwrap(), BatchId::from_bits(seed), 3)
    }

    proptest! {
        #[test]
        fn a_code_reads_back_however_it_is_typed(seed: u128) {
            let code = code(seed);
            let shown = code.to_string();
            prop_assert_eq!(shown.len(), 21);
            let sloppy = shown.to_lowercase().replace('0', "o").replace('1', "l").replace('-', " ");
            prop_assert_eq!(Code::parse(&shown), Ok(code.clone()));
            prop_assert_eq!(Code::parse(&sloppy), Ok(code));
        }

        #[test]
        fn every_substitution_and_every_adjacent_swap_is_noticed(seed: u128) {
            let good = code(seed).0.into_bytes();
            for place in 0..good.len() {
                for digit in DIGITS {
                    let mut bad = good.clone();
                    bad[place] = *digit;
                    let text = String::from_utf8(bad.clone()).unwrap();
                    prop_assert_eq!(is_checked(&text), bad == good);
                }
                if place > 0 {
                    let mut bad = good.clone();
                    bad.swap(place, place - 1);
                    let text = String::from_utf8(bad.clone()).unwrap();
                    prop_assert_eq!(is_checked(&text), bad == good);
                }
            }
        }
    }

    /// The check is linear over GF(32): a swap changes it by what it changes for two digits among
    /// zeros. So this is every swap of neighbors in every code.
    #[test]
    fn no_swap_of_neighbors_keeps_the_check() {
        for place in 0..LENGTH {
            for (one, other) in (0..32).flat_map(|one| (0..32).map(move |other| (one, other))) {
                let mut values = vec![0; LENGTH + 1];
                values[place] = one;
                if place + 1 < LENGTH {
                    values[place + 1] = other;
                }
                values[LENGTH] = check_value(&values[..LENGTH]);
                values.swap(place, place + 1);
                let same = values[place] == values[place + 1];
                assert_eq!(check_value(&values[..LENGTH]) == values[LENGTH], same, "{values:?}");
            }
        }
    }

    #[test]
    fn own_codes_that_are_short_plain_or_in_a_row_are_called_guessable() {
        let codes = |texts: &[&str]| -> Vec<Code> {
            texts.iter().map(|text| Code::parse(text).unwrap()).collect()
        };
        let list = codes(&[
            "WELCOME2027",
            "a quiet lake in autumn",
            "1234567890123456",
            "aaaabbbbaaaabbbb",
        ]);
        assert_eq!(guessable(&list), [0, 2, 3]);
        let row = codes(&["participant 0001", "participant 0002", "a quiet lake in autumn"]);
        assert_eq!(guessable(&row), [0, 1]);
        assert_eq!(guessable(&[code(1), code(2)]), Vec::<usize>::new());
    }

    #[test]
    fn a_block_is_split_by_powers_of_two_into_shards_of_at_least_eight_seats() {
        for (seats, expected) in
            [(0, 1), (7, 1), (15, 1), (16, 2), (31, 2), (32, 4), (512, 64), (u64::MAX, 64)]
        {
            assert_eq!(shards(seats), expected, "{seats}");
        }
    }

    #[test]
    fn own_codes_keep_their_letters() {
        assert_eq!(Code::parse("welcome-2027").unwrap().as_str(), "WELCOME2027");
        let pasted = "\u{feff}\u{200b}welcome\u{2212}2027\u{202c}";
        assert_eq!(Code::parse(pasted).unwrap().as_str(), "WELCOME2027");
        for bad in ["short", "", "eight chars!", &"x".repeat(41), "été-2027-acme"] {
            assert_eq!(Code::parse(bad), Err(InvalidCode::Form), "{bad}");
        }
    }
}
