//! Identifiers: one type per kind, so that a contract's id cannot stand where a group's belongs.
//!
//! Clients are slugs chosen by the vendor; everything else is `<kind>_` and 26 characters of
//! lower-case Crockford base32 holding 128 bits: a `UUIDv7`, or a keyed hash where the key itself
//! has to be unique (learners, invitations).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The digits of Crockford's base32, lower case: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Number of characters that hold 128 bits, five bits each.
const LENGTH: usize = 26;

/// A kind of identified thing: the prefix of its ids.
pub trait Kind {
    /// The prefix, without its underscore.
    const PREFIX: &'static str;
}

/// An identifier of the kind `K`.
pub struct Id<K>([u8; LENGTH], PhantomData<fn() -> K>);

/// Why a text is no identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}_` and 26 characters of 0-9 a-z without i, l, o, u")]
pub struct InvalidId {
    prefix: &'static str,
}

impl<K: Kind> Id<K> {
    /// The id that holds these 128 bits.
    pub fn from_bits(bits: u128) -> Self {
        let mut text = [0; LENGTH];
        for (place, digit) in text.iter_mut().enumerate() {
            let shift = 5 * (LENGTH - 1 - place);
            *digit = ALPHABET[((bits >> shift) & 31) as usize];
        }
        Self(text, PhantomData)
    }

    /// The id of this `UUID`; of a version 7 one, ids sort by time.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self::from_bits(uuid.as_u128())
    }

    /// The 128 bits.
    pub fn bits(&self) -> u128 {
        self.0.iter().fold(0, |bits, digit| (bits << 5) | u128::from(value_of(*digit).unwrap_or(0)))
    }

    /// The 26 characters, without the prefix.
    pub fn body(&self) -> &str {
        // The bytes come from `ALPHABET` only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Which of `count` equal shares of all ids this one falls into, by its last bits.
    pub fn bucket(&self, count: u8) -> u8 {
        u8::try_from(self.bits() % u128::from(count.max(1))).unwrap_or(0)
    }
}

fn value_of(digit: u8) -> Option<u8> {
    ALPHABET.iter().position(|known| *known == digit).and_then(|place| u8::try_from(place).ok())
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId { prefix: K::PREFIX };
        let body = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or(invalid)?
            .as_bytes();
        // 26 digits have room for 130 bits: the first digit of a 128-bit value is at most 7.
        let fits = body.len() == LENGTH
            && body.iter().all(|digit| value_of(*digit).is_some())
            && value_of(body[0]).is_some_and(|first| first < 8);
        let digits: [u8; LENGTH] = body.try_into().map_err(|_| invalid)?;
        if fits { Ok(Self(digits, PhantomData)) } else { Err(invalid) }
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.body())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Marks the ids of contracts.
pub enum ContractKind {}
/// Marks the ids of sublicenses.
pub enum SublicenseKind {}
/// Marks the ids of groups.
pub enum GroupKind {}
/// Marks the ids of learners.
pub enum LearnerKind {}
/// Marks the ids of invitations.
pub enum InvitationKind {}
/// Marks the ids of code batches.
pub enum BatchKind {}
/// Marks the ids of imports.
pub enum ImportKind {}

impl Kind for ContractKind {
    const PREFIX: &'static str = "con";
}
impl Kind for SublicenseKind {
    const PREFIX: &'static str = "sub";
}
impl Kind for GroupKind {
    const PREFIX: &'static str = "grp";
}
impl Kind for LearnerKind {
    const PREFIX: &'static str = "lrn";
}
impl Kind for InvitationKind {
    const PREFIX: &'static str = "inv";
}
impl Kind for BatchKind {
    const PREFIX: &'static str = "bat";
}
impl Kind for ImportKind {
    const PREFIX: &'static str = "imp";
}

/// A contract's id, `con_…`.
pub type ContractId = Id<ContractKind>;
/// A sublicense's id, `sub_…`.
pub type SublicenseId = Id<SublicenseKind>;
/// A group's id, `grp_…`.
pub type GroupId = Id<GroupKind>;
/// A learner's id, `lrn_…`: a keyed hash of client and address.
pub type LearnerId = Id<LearnerKind>;
/// An invitation's id, `inv_…`: a keyed hash of client, pool and address.
pub type InvitationId = Id<InvitationKind>;
/// The bits of an invitation's id that tell invitations of one place apart.
const GENERATION: u128 = 0xffff << 8;

impl InvitationId {
    /// The id of the first invitation that is made at this one's place: where an invitation
    /// stands as long as its address is the one it was made for.
    #[must_use]
    pub fn home(self) -> Self {
        Self::from_bits(self.bits() & !GENERATION)
    }

    /// The id of an invitation made at the same place after `generation` others left it for
    /// another address.
    #[must_use]
    pub fn of_generation(self, generation: u16) -> Self {
        Self::from_bits(self.home().bits() | (u128::from(generation) << 8))
    }
}

/// A code batch's id, `bat_…`.
pub type BatchId = Id<BatchKind>;
/// An import's id, `imp_…`.
pub type ImportId = Id<ImportKind>;

/// A pool's id: that of the contract or the sublicense whose stock it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolId {
    /// The seats of a contract that are not allocated to a sublicense.
    Contract(ContractId),
    /// The seats of a sublicense.
    Sublicense(SublicenseId),
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contract(id) => id.fmt(f),
            Self::Sublicense(id) => id.fmt(f),
        }
    }
}

impl FromStr for PoolId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with(SublicenseKind::PREFIX) {
            return text.parse().map(Self::Sublicense);
        }
        text.parse().map(Self::Contract)
    }
}

impl Serialize for PoolId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PoolId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A client's id: a slug of 3 to 40 characters, the first path segment of its landing page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ClientId(String);

/// Slugs that the routes of the API and its pages need for themselves.
const RESERVED: [&str; 9] =
    ["api", "v1", "i", "admin", "static", "assets", "scim", "health", "docs"];

/// Why a text is no client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClientId {
    /// It has other characters, a hyphen at an end, or another length.
    #[error("expected 3 to 40 characters of a-z, 0-9 and hyphens, with no hyphen at either end")]
    Form,
    /// It is one of the names the routes need.
    #[error("this name is reserved; choose another")]
    Reserved,
}

impl ClientId {
    /// The slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let well_formed = (3..=40).contains(&bytes.len())
            && bytes.iter().all(|byte| letter(*byte) || *byte == b'-')
            && bytes.first().is_some_and(|byte| letter(*byte))
            && bytes.last().is_some_and(|byte| letter(*byte));
        if !well_formed {
            return Err(InvalidClientId::Form);
        }
        if RESERVED.contains(&text) {
            return Err(InvalidClientId::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_reads_back_what_it_shows(bits: u128) {
            let id = ContractId::from_bits(bits);
            prop_assert_eq!(id.bits(), bits);
            prop_assert_eq!(id.to_string().parse::<ContractId>(), Ok(id));
            prop_assert_eq!(id.to_string().len(), 30);
        }

        #[test]
        fn ids_sort_like_their_bits(a: u128, b: u128) {
            prop_assert_eq!(ContractId::from_bits(a).cmp(&ContractId::from_bits(b)), a.cmp(&b));
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let group = GroupId::from_bits(7).to_string();
        assert!(group.parse::<ContractId>().is_err());
        assert!("con_".parse::<ContractId>().is_err());
        assert!("con_8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<ContractId>().is_err());
    }

    #[test]
    fn the_generations_of_a_place_share_its_home_and_its_bucket() {
        let home = InvitationId::from_bits(u128::MAX).home();
        for generation in [0, 1, 0x1234, u16::MAX] {
            let id = home.of_generation(generation);
            assert_eq!((id.home(), id.bucket(64)), (home, home.bucket(64)));
        }
        assert_eq!(home.of_generation(0), home);
        assert_ne!(home.of_generation(1), home.of_generation(2));
    }

    #[test]
    fn a_pool_is_a_contract_or_a_sublicense() {
        let contract = PoolId::Contract(ContractId::from_bits(1));
        let sublicense = PoolId::Sublicense(SublicenseId::from_bits(1));
        assert_eq!(contract.to_string().parse(), Ok(contract));
        assert_eq!(sublicense.to_string().parse(), Ok(sublicense));
    }

    #[test]
    fn slugs_are_short_lower_case_and_not_reserved() {
        assert!("acme".parse::<ClientId>().is_ok());
        assert!("a-1".parse::<ClientId>().is_ok());
        for bad in ["ac", "-acme", "acme-", "Acme", "a me", ""] {
            assert_eq!(bad.parse::<ClientId>(), Err(InvalidClientId::Form), "{bad}");
        }
        assert_eq!("admin".parse::<ClientId>(), Err(InvalidClientId::Reserved));
        assert_eq!("a".repeat(41).parse::<ClientId>(), Err(InvalidClientId::Form));
    }
}
