//! Where everything stands in the table. This is the only file that spells a key.
//!
//! The tenant comes first in every key of something a tenant owns.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use seatkeeper_domain::change::BlockKey;
use seatkeeper_domain::code::CodeHash;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::ids::{
    BatchId, ClientId, ContractId, GroupId, ImportId, InvitationId, LearnerId, PoolId, SublicenseId,
};
use seatkeeper_domain::outbox::{MailIntent, MailPlace};

/// Partition key attribute.
pub const PK: &str = "pk";
/// Sort key attribute.
pub const SK: &str = "sk";
/// The sparse index of what is due: hash `due_shard`, range `due_at`.
pub const DUE_INDEX: &str = "due";
/// Hash key of [`DUE_INDEX`].
pub const DUE_SHARD: &str = "due_shard";
/// Range key of [`DUE_INDEX`]; a [`sortable`] instant.
pub const DUE_AT: &str = "due_at";
/// The attribute that says what an item is.
pub const KIND: &str = "kind";
/// TTL attribute, in seconds since 1970.
pub const EXPIRES_AT: &str = "expires_at";

/// Partitions a client's learners and invitations are spread over: one partition takes 1,000
/// write units a second, an import wants more.
pub const BUCKETS: u8 = 64;

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    /// The key as the SDK wants it.
    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PK.to_owned(), AttributeValue::S(self.pk.clone())),
            (SK.to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// An instant whose text sorts like the instant: microseconds, always.
pub fn sortable(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// The partition of a client, its contracts, sublicenses and groups.
pub fn client_partition(client: &ClientId) -> String {
    format!("CLIENT#{client}")
}

/// A client.
pub fn client(client: &ClientId) -> Key {
    Key::new(client_partition(client), "CLIENT")
}

/// Sort key prefix of contracts.
pub const CONTRACTS: &str = "CONTRACT#";
/// Sort key prefix of sublicenses.
pub const SUBLICENSES: &str = "SUBLICENSE#";
/// Sort key prefix of groups.
pub const GROUPS: &str = "GROUP#";

/// A contract.
pub fn contract(client: &ClientId, contract: ContractId) -> Key {
    Key::new(client_partition(client), format!("{CONTRACTS}{contract}"))
}

/// What keeps a contract's reference from being used twice.
pub fn reference(client: &ClientId, reference: &str) -> Key {
    Key::new(client_partition(client), format!("REFERENCE#{reference}"))
}

/// A sublicense.
pub fn sublicense(client: &ClientId, sublicense: SublicenseId) -> Key {
    Key::new(client_partition(client), format!("{SUBLICENSES}{sublicense}"))
}

/// A group.
pub fn group(client: &ClientId, group: GroupId) -> Key {
    Key::new(client_partition(client), format!("{GROUPS}{group}"))
}

/// What keeps a group's name from being used twice.
pub fn group_name(client: &ClientId, folded: &str) -> Key {
    Key::new(client_partition(client), format!("GROUPNAME#{folded}"))
}

/// An order that added seats.
pub fn order(client: &ClientId, contract: ContractId, order: &str) -> Key {
    Key::new(format!("ORDER#{client}#{contract}"), order)
}

/// A pool and its open blocks.
pub fn pool_partition(client: &ClientId, pool: PoolId) -> String {
    format!("POOL#{client}#{pool}")
}

/// A pool's counters.
pub fn pool(client: &ClientId, pool: PoolId) -> Key {
    Key::new(pool_partition(client, pool), "POOL")
}

/// Sort key prefix of a pool's blocks.
pub const BLOCKS: &str = "BLOCK#";

/// A block.
pub fn block(client: &ClientId, block: &BlockKey) -> Key {
    let sk = format!("{BLOCKS}{}#{:03}", block.owner, block.shard);
    Key::new(pool_partition(client, block.pool), sk)
}

/// A bucket of a client's learners.
pub fn learner_partition(client: &ClientId, bucket: u8) -> String {
    format!("L#{client}#{bucket:02}")
}

/// A learner.
pub fn learner(client: &ClientId, learner: LearnerId) -> Key {
    Key::new(learner_partition(client, learner.bucket(BUCKETS)), learner.to_string())
}

/// A bucket of a client's invitations.
pub fn invitation_partition(client: &ClientId, bucket: u8) -> String {
    format!("I#{client}#{bucket:02}")
}

/// The invitation at a place.
pub fn invitation(client: &ClientId, place: InvitationId) -> Key {
    Key::new(invitation_partition(client, place.bucket(BUCKETS)), place.to_string())
}

/// Where an invitation stands whose address was changed.
pub fn invitation_place(client: &ClientId, invitation: InvitationId) -> Key {
    Key::new(format!("PLACE#{client}#{invitation}"), "PLACE")
}

/// The cohorts of a pool.
pub fn cohort_partition(client: &ClientId, pool: PoolId) -> String {
    format!("COHORT#{client}#{pool}")
}

/// A cohort.
pub fn cohort(key: &CohortKey) -> Key {
    Key::new(cohort_partition(&key.client_id, key.pool), sortable(key.instant))
}

/// The trail of a pool.
pub fn audit_partition(client: &ClientId, pool: PoolId) -> String {
    format!("AUDIT#{client}#{pool}")
}

/// A record of the trail: by time, then by operation, part and place.
pub fn audit(
    client: &ClientId,
    pool: PoolId,
    at: Timestamp,
    op: uuid::Uuid,
    part: u32,
    place: usize,
) -> Key {
    let sk = format!("{}#{}#{part:04}#{place:02}", sortable(at), op.simple());
    Key::new(audit_partition(client, pool), sk)
}

/// The mails that wait for a cohort.
pub fn cohort_mail_partition(cohort: &CohortKey) -> String {
    format!("MAIL#{}#{}#{}", cohort.client_id, cohort.pool, sortable(cohort.instant))
}

/// A mail intent: with its cohort, or in one of the client's partitions.
pub fn mail(intent: &MailIntent) -> Key {
    let client = &intent.client_id;
    let pk = if let Some(pool) = intent.cohort {
        cohort_mail_partition(&CohortKey {
            client_id: client.clone(),
            pool,
            instant: intent.due_at,
        })
    } else {
        let spread = intent.key.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31) ^ byte);
        format!("MAIL#{client}#{:02}", spread % BUCKETS)
    };
    Key::new(pk, intent.key.clone())
}

/// What keeps mails of a client from an address, by the id that a learner of it has.
pub fn suppression(client: &ClientId, addressee: LearnerId) -> Key {
    let bucket = addressee.bucket(BUCKETS);
    Key::new(format!("SUPPRESSED#{client}#{bucket:02}"), addressee.to_string())
}

/// What all senders of the stack have booked.
pub fn pace() -> Key {
    Key::new("PACE".to_owned(), "PACE")
}

/// A client's batches, by time.
pub fn batches_partition(client: &ClientId) -> String {
    format!("BATCHES#{client}")
}

/// A batch.
pub fn batch(client: &ClientId, batch: BatchId) -> Key {
    Key::new(batches_partition(client), batch.to_string())
}

/// The codes' texts and the redemptions of a batch.
pub fn batch_partition(client: &ClientId, batch: BatchId) -> String {
    format!("BATCH#{client}#{batch}")
}

/// Sort key prefix of a batch's sealed codes.
pub const SEALED_CODES: &str = "CODES#";
/// Sort key prefix of lists of whom a batch's codes were mailed to.
pub const MAILED_CODES: &str = "MAILED#";
/// Sort key prefix of a batch's redemptions.
pub const REDEMPTIONS: &str = "REDEEMED#";

/// A run of a batch's sealed codes.
pub fn sealed_codes(client: &ClientId, batch: BatchId, run: u32) -> Key {
    Key::new(batch_partition(client, batch), format!("{SEALED_CODES}{run:04}"))
}

/// A list of whom a batch's codes were mailed to, from the `first` on.
pub fn mailed_codes(client: &ClientId, batch: BatchId, first: u32) -> Key {
    Key::new(batch_partition(client, batch), format!("{MAILED_CODES}{first:08}"))
}

/// The bar of one lane of a batch's lot.
pub fn barred_lot(client: &ClientId, batch: BatchId, lot: u32, lane: u8) -> Key {
    Key::new(batch_partition(client, batch), format!("BARRED#{lot:08}#{lane}"))
}

/// A redemption in its batch's list.
pub fn redemption(client: &ClientId, batch: BatchId, at: Timestamp, learner: LearnerId) -> Key {
    Key::new(batch_partition(client, batch), format!("{REDEMPTIONS}{}#{learner}", sortable(at)))
}

/// A code.
pub fn code(client: &ClientId, hash: CodeHash) -> Key {
    Key::new(format!("CODE#{client}#{hash}"), "CODE")
}

/// A client's round of proofs.
pub fn round(client: &ClientId) -> Key {
    Key::new(format!("ROUND#{client}"), "ROUND")
}

/// That those who look after a client were told of accounts erased on a day.
pub fn erasure(client: &ClientId, on: Date) -> Key {
    Key::new(format!("ERASURE#{client}"), on.to_string())
}

/// An import.
pub fn import(client: &ClientId, import: ImportId) -> Key {
    Key::new(format!("IMPORT#{client}#{import}"), "IMPORT")
}

/// A client's imports, by time.
pub fn imports_partition(client: &ClientId) -> String {
    format!("IMPORTS#{client}")
}

/// An import in its client's list.
pub fn import_listing(client: &ClientId, created_at: Timestamp, import: ImportId) -> Key {
    Key::new(imports_partition(client), format!("{}#{import}", sortable(created_at)))
}

/// An idempotency record.
pub fn idempotency(record: &[u8; 32]) -> Key {
    Key::new(format!("IDEM#{}", hex(record)), "IDEM")
}

/// A ticket, by the hash of its text.
pub fn ticket(hash: &[u8; 32]) -> Key {
    Key::new(format!("TICKET#{}", hex(hash)), "TICKET")
}

/// The refused tries of one source at one client.
pub fn refused_tries(client: &ClientId, source: &[u8; 32]) -> Key {
    Key::new(format!("TRIES#{client}#{}", hex(&source[..16])), "TRIES")
}

/// The client and batch whose key this is.
pub fn read_batch(key: &Key) -> Option<(ClientId, BatchId)> {
    let client = key.pk.strip_prefix("BATCHES#")?;
    Some((client.parse().ok()?, key.sk.parse().ok()?))
}

/// Where an intent stands, as the domain carries it about.
pub fn mail_place(key: Key) -> MailPlace {
    MailPlace { partition: key.pk, key: key.sk }
}

/// The key of an intent's place; `None` if it is none in the outbox.
pub fn mail_at(place: &MailPlace) -> Option<Key> {
    place.partition.starts_with("MAIL#").then(|| Key::new(place.partition.clone(), &*place.key))
}

/// The client and the second part of a partition that belongs to a client.
fn owned<'a>(pk: &'a str, prefix: &str) -> Option<(ClientId, &'a str)> {
    let (client, rest) = pk.strip_prefix(prefix)?.split_once('#')?;
    Some((client.parse().ok()?, rest))
}

/// The cohort that stands here.
pub fn cohort_at(key: &Key) -> Option<CohortKey> {
    let (client_id, pool) = owned(&key.pk, "COHORT#")?;
    Some(CohortKey { client_id, pool: pool.parse().ok()?, instant: key.sk.parse().ok()? })
}

/// The invitation that stands here.
pub fn invitation_at(key: &Key) -> Option<(ClientId, InvitationId)> {
    let (client, _) = owned(&key.pk, "I#")?;
    Some((client, key.sk.parse().ok()?))
}

/// The contract that stands here.
pub fn contract_at(key: &Key) -> Option<(ClientId, ContractId)> {
    let client = key.pk.strip_prefix("CLIENT#")?.parse().ok()?;
    Some((client, key.sk.strip_prefix(CONTRACTS)?.parse().ok()?))
}

/// The import that stands here.
pub fn import_at(key: &Key) -> Option<(ClientId, ImportId)> {
    let (client, import) = owned(&key.pk, "IMPORT#")?;
    Some((client, import.parse().ok()?))
}

/// The client whose round stands here.
pub fn round_at(key: &Key) -> Option<ClientId> {
    key.pk.strip_prefix("ROUND#")?.parse().ok()
}

/// The pool that stands here.
pub fn pool_at(key: &Key) -> Option<(ClientId, PoolId)> {
    let (client, pool) = owned(&key.pk, "POOL#")?;
    Some((client, pool.parse().ok()?))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
