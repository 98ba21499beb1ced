//! The outbox on DynamoDB: an intent is one item, its progress moves by conditional writes.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::cohort::CohortKey;
use seatkeeper_domain::ids::{ClientId, InvitationId, LearnerId};
use seatkeeper_domain::invitation::Delivery;
use seatkeeper_domain::outbox::{MailPlace, Owed, RETENTION};
use seatkeeper_domain::pace::Pace;
use seatkeeper_domain::ports::{
    Deliveries, InvitationNews, Outbox, PaceBook, Page, PageRequest, Suppressions,
};

use crate::apply::{condition_failed, due_key};
use crate::bulk;
use crate::expression::{Expression, n, s};
use crate::keys::{self, Key};
use crate::records::{EMAIL, from_item, text, to_value};
use crate::store::{Store, store_error};

/// When an address called a mail spam.
const COMPLAINED_AT: &str = "complained_at";

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
        let Some(key) = keys::mail_at(place) else { return Ok(None) };
        let Some(mut item) = self.get(&key).await? else { return Ok(None) };
        if let Some(record) = bulk::record_of_mails(&item) {
            let record =
                self.get(&record).await?.ok_or_else(|| broken("mails without a record"))?;
            bulk::name_mails(&mut item, &record)?;
        }
        from_item(item).map(Some)
    }

    async fn advance(&self, place: &MailPlace, seen: &Owed, to: &Owed) -> Result<bool, StoreError> {
        let key = keys::mail_at(place).ok_or_else(|| broken("no place in the outbox"))?;
        let expression = Expression::new()
            .set("next", n(to.next))
            .set("in_flight", AttributeValue::Bool(to.in_flight))
            .set("unknown", numbers(&to.unknown))
            .set("refused", numbers(&to.refused))
            .set("suppressed", numbers(&to.suppressed))
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
        news: InvitationNews,
    ) -> Result<bool, StoreError> {
        let InvitationNews { delivery, sent_at, gives_up_at } = news;
        if delivery.replaces().is_empty() {
            return Ok(true);
        }
        let mut expression = Expression::new()
            .set("delivery", s(delivery))
            .if_equal("version", n(version))
            .compare("status", "<>", s("moved"))
            .if_one_of("delivery", delivery.replaces());
        if let Some(sent_at) = sent_at {
            expression = expression.set("last_sent_at", s(sent_at));
        }
        if let Some(gives_up_at) = gives_up_at {
            // The sweep looks at it then; one that is closed has no place in the index any more.
            expression = expression
                .set("gives_up_at", s(gives_up_at))
                .set(keys::DUE_AT, s(keys::sortable(gives_up_at)));
        }
        let key = keys::invitation(client, invitation);
        self.update_if(expression, &key).await
    }

    async fn note_learner_delivery(
        &self,
        client: &ClientId,
        learner: LearnerId,
        mail: &str,
        news: Delivery,
    ) -> Result<(), StoreError> {
        let expression = Expression::new()
            .set("delivery", s(news))
            .set("last_mail", s(mail))
            .if_present(EMAIL)
            .if_newer_or_one_of("last_mail", s(mail), "delivery", news.replaces());
        let key = keys::learner(client, learner);
        self.update_if(expression, &key).await.map(drop)
    }
}

impl Suppressions for Store {
    async fn complained_at(
        &self,
        client: &ClientId,
        addressee: LearnerId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let item = self.get(&keys::suppression(client, addressee)).await?.unwrap_or_default();
        Ok(text(&item, COMPLAINED_AT).and_then(|at| at.parse().ok()))
    }

    async fn suppress(
        &self,
        client: &ClientId,
        addressee: LearnerId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let expression = Expression::new()
            .set_if_absent(keys::KIND, s("suppression"))
            .set_if_absent("client_id", s(client))
            .set_if_absent(COMPLAINED_AT, s(at));
        self.update_if(expression, &keys::suppression(client, addressee)).await.map(drop)
    }
}

impl PaceBook for Store {
    async fn pace(&self) -> Result<Pace, StoreError> {
        Ok(self.get(&keys::pace()).await?.map(from_item).transpose()?.unwrap_or_default())
    }

    async fn keep_pace(&self, seen: &Pace, to: &Pace) -> Result<bool, StoreError> {
        let expression = Expression::new()
            .set(keys::KIND, s("pace"))
            .set("revision", n(to.revision))
            .set_or_remove("free_at", to.free_at.map(s))
            .set("hours", to_value(&to.hours)?);
        let expression = match seen.revision {
            0 => expression.if_absent(keys::PK),
            revision => expression.if_equal("revision", n(revision)),
        };
        self.update_if(expression, &keys::pace()).await
    }
}

fn numbers(list: &[u32]) -> AttributeValue {
    AttributeValue::L(list.iter().map(n).collect())
}

fn broken(what: &str) -> StoreError {
    StoreError::Broken(what.to_owned())
}
