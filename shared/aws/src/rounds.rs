//! The rounds in which counters are proved by records, on DynamoDB.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use jiff::civil::Date;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::contract::{Contract, Sublicense};
use seatkeeper_domain::ids::{ClientId, ContractId, LearnerId, PoolId};
use seatkeeper_domain::invitation::{Invitation, InvitationStatus};
use seatkeeper_domain::ports::Rounds;
use seatkeeper_domain::records::{
    CohortStanding, Invitee, KeptRound, Recorded, RecordedHold, RecordedSeat, Round,
};

use crate::apply::condition_failed;
use crate::expression::{Expression, Item, n, s};
use crate::keys;
use crate::records::{self, LEAVES_ON, LEAVES_SINCE, from_item, number, text};
use crate::store::{Store, store_error};

/// The deletion date of an account.
const DELETE_ON: &str = "delete_on";

/// Where a reading stands: in a bucket of learners, or of invitations, perhaps behind a sort key.
struct Place {
    invitations: bool,
    bucket: u8,
    after: Option<String>,
}

impl Place {
    /// A cursor that this stack did not make begins at the start: what is read twice is found to
    /// differ, and not found again by the next round.
    fn read(cursor: Option<&str>) -> Self {
        let parts = cursor.and_then(|cursor| {
            let (list, rest) = cursor.split_at_checked(1)?;
            let (bucket, after) = rest.split_once('.')?;
            Some((list == "I", bucket.parse().ok()?, after))
        });
        let (invitations, bucket, after) = parts.unwrap_or((false, 0, ""));
        Self { invitations, bucket, after: (!after.is_empty()).then(|| after.to_owned()) }
    }

    fn partition(&self, client: &ClientId) -> String {
        if self.invitations {
            keys::invitation_partition(client, self.bucket)
        } else {
            keys::learner_partition(client, self.bucket)
        }
    }

    /// The cursor of what follows, when this bucket goes on behind a sort key, or ends.
    fn next(&self, after: Option<String>) -> Option<String> {
        let cursor = |invitations, bucket, after: String| {
            let list = if invitations { "I" } else { "L" };
            Some(format!("{list}{bucket}.{after}"))
        };
        match after {
            Some(after) => cursor(self.invitations, self.bucket, after),
            None if self.bucket + 1 < keys::BUCKETS => {
                cursor(self.invitations, self.bucket + 1, String::new())
            }
            None if self.invitations => None,
            None => cursor(true, 0, String::new()),
        }
    }
}

impl Rounds for Store {
    async fn begin_round(
        &self,
        client: &ClientId,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let begun = Expression::new()
            .set_if_absent(keys::KIND, s("round"))
            .set_if_absent("client_id", s(client))
            .set_if_absent("version", n(0))
            .set_if_absent(keys::DUE_SHARD, s("round"))
            .set_if_absent(keys::DUE_AT, s(keys::sortable(at)))
            .send_to(&self.dynamodb, &self.table, &keys::round(client))
            .return_values(ReturnValue::AllNew);
        let item = begun.send().await.map_err(store_error)?.attributes.unwrap_or_default();
        Ok(text(&item, "cut").and_then(|cut| cut.parse().ok()))
    }

    async fn due_rounds(&self, now: Timestamp, limit: u16) -> Result<Vec<ClientId>, StoreError> {
        let found = self.due("round", now, limit.into()).await?;
        Ok(found.iter().filter_map(keys::round_at).collect())
    }

    async fn round(&self, client: &ClientId) -> Result<Option<KeptRound>, StoreError> {
        let Some(item) = self.get(&keys::round(client)).await? else { return Ok(None) };
        let broken = |error: serde_json::Error| StoreError::Broken(format!("a round: {error}"));
        let round = text(&item, "round").map(|text| serde_json::from_str(&text)).transpose();
        Ok(Some(KeptRound {
            version: number(&item, "version").unwrap_or(0),
            round: round.map_err(broken)?.unwrap_or_default(),
        }))
    }

    async fn keep_round(
        &self,
        client: &ClientId,
        seen: &KeptRound,
        round: &Round,
        again_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let kept = serde_json::to_string(round);
        let kept = kept.map_err(|error| StoreError::Broken(error.to_string()))?;
        let kept = Expression::new()
            .set("round", s(kept))
            .set("version", n(seen.version + 1))
            .set(keys::DUE_AT, s(keys::sortable(again_at)));
        let kept = match &round.under_way {
            Some(under_way) => kept.set("cut", s(under_way.cut)),
            None => kept.remove("cut"),
        };
        let kept = kept.if_equal("version", n(seen.version));
        let call = kept.send_to(&self.dynamodb, &self.table, &keys::round(client));
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if condition_failed(&error) => Ok(false),
            Err(error) => Err(store_error(error)),
        }
    }

    async fn erasure_told(
        &self,
        client: &ClientId,
        on: Date,
    ) -> Result<Option<Timestamp>, StoreError> {
        let item = self.get(&keys::erasure(client, on)).await?.unwrap_or_default();
        Ok(text(&item, "told_at").and_then(|at| at.parse().ok()))
    }

    async fn leaving_since(
        &self,
        client: &ClientId,
        learner: LearnerId,
        on: Date,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let key = keys::learner(client, learner);
        let item = self.get(&key).await?.unwrap_or_default();
        let day = |name| text(&item, name).and_then(|day| day.parse::<Date>().ok());
        if day(DELETE_ON) != Some(on) {
            return Ok(None);
        }
        let since = text(&item, LEAVES_SINCE).and_then(|at| at.parse().ok());
        if let Some(since) = since.filter(|_| day(LEAVES_ON) == Some(on)) {
            return Ok(Some(since));
        }
        let noted = Expression::new()
            .set(LEAVES_ON, s(on))
            .set(LEAVES_SINCE, s(now))
            .if_equal(DELETE_ON, s(on))
            .send_to(&self.dynamodb, &self.table, &key);
        match noted.send().await {
            Ok(_) => Ok(Some(now)),
            Err(error) if condition_failed(&error) => Ok(None),
            Err(error) => Err(store_error(error)),
        }
    }

    async fn client_pools(
        &self,
        client: &ClientId,
    ) -> Result<Vec<(PoolId, Option<ContractId>)>, StoreError> {
        let partition = keys::client_partition(client);
        let mut pools = Vec::new();
        for item in self.partition(&partition, keys::CONTRACTS).await? {
            let contract: Contract = from_item(item)?;
            pools.push((PoolId::Contract(contract.contract_id), None));
        }
        for item in self.partition(&partition, keys::SUBLICENSES).await? {
            let sublicense: Sublicense = from_item(item)?;
            let pool = PoolId::Sublicense(sublicense.sublicense_id);
            pools.push((pool, Some(sublicense.contract_id)));
        }
        Ok(pools)
    }

    async fn recorded(
        &self,
        client: &ClientId,
        cursor: Option<&str>,
    ) -> Result<Recorded, StoreError> {
        let place = Place::read(cursor);
        let pk = place.partition(client);
        let start = place.after.as_ref().map(|after| {
            Item::from([(keys::PK.to_owned(), s(&pk)), (keys::SK.to_owned(), s(after))])
        });
        // Eventually consistent, at half the price: what is read is what was an hour ago.
        let call = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", keys::PK)
            .expression_attribute_values(":pk", s(&pk))
            .set_exclusive_start_key(start);
        let answer = call.send().await.map_err(store_error)?;
        let after = answer.last_evaluated_key.and_then(|key| text(&key, keys::SK));
        let mut recorded = Recorded { next: place.next(after), ..Recorded::default() };
        for item in answer.items.unwrap_or_default() {
            if place.invitations {
                let (invitation, hold) = invited(item)?;
                recorded.holds.extend(hold);
                if invitation.status == InvitationStatus::Pending {
                    recorded.open.push(invitation);
                }
            } else {
                let leaves = text(&item, DELETE_ON).and_then(|date| date.parse().ok());
                let found = seats(item)?;
                let who = found.first().map(|seat| seat.learner_id).zip(leaves);
                recorded.leaving.extend(who);
                recorded.seats.extend(found);
            }
        }
        Ok(recorded)
    }

    async fn cohorts(
        &self,
        client: &ClientId,
        pool: PoolId,
    ) -> Result<Vec<CohortStanding>, StoreError> {
        let items = self.partition(&keys::cohort_partition(client, pool), "").await?;
        items.iter().map(cohort).collect()
    }
}

/// The seats of an account, and what is left of those of people who were erased. Since when these
/// had an account is forgotten: it may have been there for ever.
fn seats(item: Item) -> Result<Vec<RecordedSeat>, StoreError> {
    let id = text(&item, "learner_id").and_then(|id| id.parse().ok());
    let learner_id = id.ok_or_else(|| StoreError::Broken("a learner without id".to_owned()))?;
    let of = |created_at| {
        move |(pool, seat)| RecordedSeat { learner_id, created_at, pool, seat, reclaimed_at: None }
    };
    let gone = records::gone_seats(&item)?.into_iter().map(of(Timestamp::MIN));
    let mut recorded: Vec<RecordedSeat> = gone.collect();
    if let Some(learner) = records::learner(item)? {
        let seats = learner.seats.clone().into_iter().map(of(learner.created_at));
        recorded.extend(seats.map(|one| {
            let reclaimed_at = learner.reclaimed_at(&one.seat);
            RecordedSeat { reclaimed_at, ..one }
        }));
    }
    Ok(recorded)
}

/// An invitation, and what it holds or held, if it ever did.
fn invited(item: Item) -> Result<(Invitation, Option<RecordedHold>), StoreError> {
    let closed_at: Option<Timestamp> =
        text(&item, "closed_at").and_then(|instant| instant.parse().ok());
    let erased: Option<LearnerId> = text(&item, "learner_id").and_then(|id| id.parse().ok());
    let invitation: Invitation = from_item(item)?;
    // One that was written before this was kept: since it was made, as far as anybody knows.
    let made = invitation.holds_seat.then_some(invitation.created_at);
    let since = invitation.held_since.or(made);
    let known = since.filter(|_| invitation.holds_seat || closed_at.is_some());
    let hold = known.map(|since| RecordedHold {
        pool: invitation.pool(),
        since,
        until: closed_at.filter(|_| !invitation.holds_seat),
        first: invitation.version == 1,
        invitee: erased.map_or_else(|| Invitee::Address(invitation.email.clone()), Invitee::Erased),
    });
    Ok((invitation, hold))
}

fn cohort(item: &Item) -> Result<CohortStanding, StoreError> {
    let instant = |name: &str| text(item, name).and_then(|instant| instant.parse().ok());
    let broken = |what| StoreError::Broken(format!("a cohort without {what}"));
    let state = item.get("state").cloned().unwrap_or(AttributeValue::Null(true));
    Ok(CohortStanding {
        instant: instant("instant").ok_or_else(|| broken("instant"))?,
        count: number(item, "count").ok_or_else(|| broken("count"))?,
        state: serde_dynamo::from_attribute_value(state).map_err(|_| broken("state"))?,
        opened_at: instant("opened_at"),
        changed_at: instant("changed_at"),
    })
}
