//! The outbox on DynamoDB: an intent is one item, its progress moves by conditional writes.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::ids::{ClientId, InvitationId};
use seatkeeper_domain::invitation::Delivery;
use seatkeeper_domain::outbox::{MailPlace, Owed, RETENTION};
use seatkeeper_domain::ports::{Deliveries, Outbox, Page, PageRequest};

use crate::apply::{condition_failed, due_key};
use crate::expression::{Expression, n, s};
use crate::keys::{self, Key};
use crate::records::from_item;
use crate::store::{Store, store_error};

impl Store {
    /// Sends one conditional update; says whether its condition held.
    async fn update_if(&self, expression: Expression, key: &Key) -> Result<bool, StoreError> {
        match expression.send_to(&self.dynamodb, &self.table, key).send().await {
            Ok(_) => Ok(true),
            Err(error) if condition_failed(&error) => Ok(false),
            Err(error) => Err(store_error(error)),
        }
    }
}

impl Outbox for Store {
    async fn owed(&self, place: &MailPlace) -> Result<Option<Owed>, StoreError> {
        match keys::mail_at(place) {
            Some(key) => self.get(&key).await?.map(from_item).transpose(),
            None => Ok(None),
        }
    }

    async fn advance(&self, place: &MailPlace, seen: &Owed, to: &Owed) -> Result<bool, StoreError> {
        let key = keys::mail_at(place).ok_or_else(|| broken("no place in the outbox"))?;
        let expression = Expression::new()
            .set("next", n(to.next))
            .set("in_flight", AttributeValue::Bool(to.in_flight))
            .set("unknown", numbers(&to.unknown))
            .set("refused", numbers(&to.refused))
            .set("attempts", n(to.attempts))
            .set(keys::DUE_AT, s(keys::sortable(to.intent.due_at)))
            .set_or_remove("claimed_by", to.claimed_by.map(s))
            .set_or_remove("claimed_until", to.claimed_until.map(s))
            .if_equal("next", n(seen.next))
            .if_equal("in_flight", AttributeValue::Bool(seen.in_flight))
            .if_equal("unknown", numbers(&seen.unknown))
            .if_equal("attempts", n(seen.attempts))
            .if_same("claimed_by", seen.claimed_by.map(s));
        let expression = match to.done_at {
            None => expression,
            Some(done_at) => expression
                .set("done_at", s(done_at))
                .set(keys::EXPIRES_AT, n((done_at + RETENTION).as_second()))
                .remove(keys::DUE_SHARD),
        };
        self.update_if(expression, &key).await
    }

    async fn postpone(&self, place: &MailPlace, until: Timestamp) -> Result<(), StoreError> {
        let key = keys::mail_at(place).ok_or_else(|| broken("no place in the outbox"))?;
        let expression = Expression::new()
            .set(keys::DUE_AT, s(keys::sortable(until)))
            .if_present(keys::DUE_SHARD);
        self.update_if(expression, &key).await.map(drop)
    }

    async fn cohort_mails(
        &self,
        cohort: &CohortKey,
        page: &PageRequest,
    ) -> Result<Page<MailPlace>, StoreError> {
        let found = self.page(&keys::cohort_mail_partition(cohort), "", true, page).await?;
        let places = found.items.iter().filter_map(due_key).map(keys::mail_place);
        Ok(Page { items: places.collect(), next: found.next })
    }
}

impl Deliveries for Store {
    async fn note_delivery(
        &self,
        client: &ClientId,
        invitation: InvitationId,
        version: u32,
        news: Delivery,
        sent_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        if news.replaces().is_empty() {
            return Ok(());
        }
        let mut expression = Expression::new()
            .set("delivery", s(news))
            .if_equal("version", n(version))
            .if_one_of("delivery", news.replaces());
        if let Some(sent_at) = sent_at {
            expression = expression.set("last_sent_at", s(sent_at));
        }
        let key = keys::invitation(client, invitation);
        self.update_if(expression, &key).await.map(drop)
    }
}

fn numbers(list: &[u32]) -> AttributeValue {
    AttributeValue::L(list.iter().map(n).collect())
}

fn broken(what: &str) -> StoreError {
    StoreError::Broken(what.to_owned())
}
