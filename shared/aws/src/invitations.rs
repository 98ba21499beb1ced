//! The lists of a client's invitations on DynamoDB.

use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ids::ClientId;
use seatkeeper_domain::invitation::{Invitation, InvitationStatus};
use seatkeeper_domain::ports::{Page, PageRequest, PendingInvitations};

use crate::keys;
use crate::records::from_item;
use crate::store::Store;

impl Store {
    /// Invitations in the order of their buckets and places; `keep` filters. A page may hold fewer
    /// than it could and still have a next one.
    pub async fn invitations_page(
        &self,
        client: &ClientId,
        request: &PageRequest,
        keep: impl Fn(&Invitation) -> bool,
    ) -> Result<Page<Invitation>, StoreError> {
        let bucket = |bucket| keys::invitation_partition(client, bucket);
        // What one left behind at its former place is no invitation.
        let there = |found: &Invitation| found.status != InvitationStatus::Moved && keep(found);
        self.bucket_page(bucket, request, |item| from_item(item).map(Some), there).await
    }
}

impl PendingInvitations for Store {
    async fn pending_invitations(
        &self,
        client: &ClientId,
        page: &PageRequest,
    ) -> Result<Page<Invitation>, StoreError> {
        let pending = |found: &Invitation| found.status == InvitationStatus::Pending;
        self.invitations_page(client, page, pending).await
    }
}
