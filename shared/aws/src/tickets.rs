//! Learners who come in, and their tickets, on DynamoDB.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ids::{ClientId, LearnerId};
use seatkeeper_domain::ports::{Arrivals, Ticket, Tickets};
use seatkeeper_domain::role::Scope;

use crate::apply::condition_failed;
use crate::expression::{Expression, Item, n, s};
use crate::keys;
use crate::records::{EMAIL, ENTERED_AT, text};
use crate::store::{Store, store_error};

impl Arrivals for Store {
    async fn note_arrival(
        &self,
        client: &ClientId,
        learner: LearnerId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = keys::learner(client, learner);
        // A write that comes late says nothing of one who has come in since.
        let at = s(keys::sortable(now));
        let entered = Expression::new()
            .set(ENTERED_AT, at.clone())
            .if_absent_or(ENTERED_AT, ENTERED_AT, "<", at)
            .if_present(EMAIL);
        match entered.send_to(&self.dynamodb, &self.table, &key).send().await {
            Err(error) if !condition_failed(&error) => Err(store_error(error)),
            _ => Ok(()),
        }
    }
}

impl Tickets for Store {
    async fn keep_ticket(&self, ticket: &Ticket) -> Result<(), StoreError> {
        let mut item = Item::from(keys::ticket(&ticket.hash).attributes());
        item.insert(keys::KIND.to_owned(), s("ticket"));
        item.insert("client_id".to_owned(), s(&ticket.client_id));
        item.insert("learner_id".to_owned(), s(ticket.learner_id));
        item.insert("ends_at".to_owned(), s(ticket.expires_at));
        item.insert(keys::EXPIRES_AT.to_owned(), n(ticket.expires_at.as_second()));
        let call = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        call.send().await.map(drop).map_err(store_error)
    }

    async fn take_ticket(
        &self,
        hash: &[u8; 32],
        scope: &Scope,
    ) -> Result<Option<Ticket>, StoreError> {
        let mut call = self
            .dynamodb
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::ticket(hash).attributes()))
            .return_values(ReturnValue::AllOld);
        if let Scope::Client(client) = scope {
            call = call
                .condition_expression("#client_id = :client_id")
                .expression_attribute_names("#client_id", "client_id")
                .expression_attribute_values(":client_id", s(client));
        }
        let old = match call.send().await {
            Ok(done) => done.attributes,
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => None,
                _ => return Err(store_error(error)),
            },
        };
        Ok(old.and_then(|item| {
            Some(Ticket {
                hash: *hash,
                client_id: text(&item, "client_id")?.parse().ok()?,
                learner_id: text(&item, "learner_id")?.parse().ok()?,
                expires_at: text(&item, "ends_at")?.parse().ok()?,
            })
        }))
    }
}
