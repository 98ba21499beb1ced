//! The list of a client's invitations on DynamoDB.

use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ids::ClientId;
use seatkeeper_domain::invitation::Invitation;
use seatkeeper_domain::ports::{Page, PageRequest};

use crate::keys;
use crate::records::from_item;
use crate::store::Store;

impl Store {
    /// Invitations in the order of their buckets and ids; `keep` filters. A page may hold fewer
    /// than it could and still have a next one.
    pub async fn invitations_page(
        &self,
        client: &ClientId,
        request: &PageRequest,
        keep: impl Fn(&Invitation) -> bool,
    ) -> Result<Page<Invitation>, StoreError> {
        let bucket = |bucket| keys::invitation_partition(client, bucket);
        self.bucket_page(bucket, request, |item| from_item(item).map(Some), keep).await
    }
}
