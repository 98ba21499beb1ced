//! What each step demands and what it writes, after the words beside it in the domain.

use std::collections::BTreeSet;

use seatkeeper_domain::change::{Block, Change, Over, Presence, Refused, Step};
use seatkeeper_domain::code::BatchState;
use seatkeeper_domain::cohort::{Cohort, CohortState};
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::invitation::{Grant, Invitation, InvitationStatus};
use seatkeeper_domain::learner::{Learner, Profile, ProfileChange, Seat, SeatState};
use seatkeeper_domain::stock::{Delta, Stock};
use uuid::Uuid;

use super::{Gone, Marked, Model, Rule, Tenant, broken};

/// A change writes or checks a record once.
pub(super) fn check_targets(change: &Change) -> Result<(), Refused> {
    let mut seen = BTreeSet::new();
    for (place, step) in change.steps.iter().enumerate() {
        if !seen.insert(target(place, step)) {
            return Err(Refused::Store(broken("a change with two steps on one record")));
        }
    }
    Ok(())
}

fn target(place: usize, step: &Step) -> String {
    match step {
        Step::AddClient(_) | Step::ReplaceClient(_) => "client".to_owned(),
        Step::AddContract(record) => format!("contract {}", record.contract_id),
        Step::AddModules { contract_id, .. }
        | Step::NoteWarned { contract_id, .. }
        | Step::NoteRenewal { contract_id, .. } => {
            format!("contract {contract_id}")
        }
        Step::NoteErasure { on, .. } => format!("erasure {on}"),
        Step::TakeReference { reference, .. } => format!("reference {reference}"),
        Step::AddSublicense(record) => format!("sublicense {}", record.sublicense_id),
        Step::AddGroup(group) => format!("group {}", group.group_id),
        Step::TakeGroupName { folded, .. } => format!("group name {folded}"),
        Step::TakeOrder { contract_id, order, .. } => format!("order {contract_id} {order}"),
        Step::OpenPool { pool, .. } | Step::MovePool { pool, .. } => format!("pool {pool}"),
        Step::OpenBlock { key, .. }
        | Step::DrawBlock { key, .. }
        | Step::TakeUpKept { key, .. }
        | Step::ReturnKept { key }
        | Step::FenceBlock { key, .. }
        | Step::ResizeBlock { key, .. }
        | Step::SettleBlock { key, .. }
        | Step::CloseBlock(Block { key, .. }) => format!("block {key:?}"),
        Step::SeatLearner(seating) => format!("learner {}", seating.learner_id),
        Step::ReleaseSeat { learner_id, .. }
        | Step::NoLiveSeat { learner_id, .. }
        | Step::UpdateProfile { learner_id, .. }
        | Step::ChangeLearner { learner_id, .. }
        | Step::StartClock { learner_id, .. }
        | Step::MarkUnused { learner_id, .. }
        | Step::EraseLearner { learner_id, .. }
        | Step::SetPassword { learner_id, .. } => format!("learner {learner_id}"),
        Step::PutInvitation { invitation, .. } => {
            format!("invitation {}", invitation.place())
        }
        Step::CloseInvitation { invitation_id, .. }
        | Step::NoLiveInvitation { invitation_id }
        | Step::CountReminder { invitation_id, .. }
        | Step::StopReminders { invitation_id, .. }
        | Step::EraseInvitation { invitation_id, .. }
        | Step::ReaddressInvitation { from: invitation_id, .. }
        | Step::MoveInvitation { from: invitation_id, .. } => {
            format!("invitation {invitation_id}")
        }
        Step::PointInvitation { invitation_id, .. } => format!("pointer {invitation_id}"),
        Step::JoinCohort { key, .. }
        | Step::LeaveCohort { key, .. }
        | Step::OpenCohort { key, .. }
        | Step::CohortHasOpened { key } => format!("cohort {key}"),
        Step::AddBatch(batch) | Step::SteerBatch { batch, .. } => {
            format!("batch {}", batch.batch_id)
        }
        Step::CountRedemption { batch_id, .. }
        | Step::UncountRedemption { batch_id }
        | Step::BatchIsActive { batch_id, .. } => format!("batch {batch_id}"),
        Step::AddCode { hash, .. }
        | Step::RemoveCode { hash, .. }
        | Step::UseCode { hash, .. }
        | Step::FreeCode { hash, .. } => format!("code {hash}"),
        Step::LotIsOpen { batch_id, lot, lane } | Step::BarLot { batch_id, lot, lane } => {
            format!("lot {batch_id} {lot} {lane}")
        }
        Step::AddSealedCodes { batch_id, run, .. } | Step::RemoveSealedCodes { batch_id, run } => {
            format!("sealed {batch_id} {run}")
        }
        Step::ListMailed { batch_id, first, .. } => format!("mailed {batch_id} {first}"),
        Step::ListRedemption { batch_id, redemption } => {
            format!("redemption {batch_id} {} {}", redemption.at, redemption.learner_id)
        }
        Step::PutImport { run, .. } => format!("import {}", run.import_id),
        Step::ListImport { import_id, created_at } => format!("listing {created_at} {import_id}"),
        Step::Mail(intent) => format!("mail {}", intent.key),
        Step::Audit(_) => format!("audit {place}"),
    }
}

/// Whether somebody has this live seat; nothing is asked of `None`.
fn has_live(known: Option<&Learner>, seat: Option<(PoolId, Uuid)>) -> bool {
    let Some((pool, op)) = seat else { return true };
    known.and_then(|known| known.live_seat(pool)).is_some_and(|seat| seat.op == op)
}

impl Model {
    /// Whether what a step demands is so.
    #[expect(clippy::too_many_lines, reason = "one arm a step, nothing shared between them")]
    pub(super) fn holds(&self, of: &Tenant, change: &Change, place: usize, step: &Step) -> bool {
        let left_out = |rule: Rule| self.omitted == Some(rule);
        match step {
            Step::AddClient(_) => !self.clients.contains_key(&change.client_id),
            Step::ReplaceClient(_) => self.clients.contains_key(&change.client_id),
            Step::AddContract(record) => !of.contracts.contains_key(&record.contract_id),
            Step::NoteErasure { on, .. } => !of.erasures.contains_key(on),
            Step::TakeReference { reference, .. } => !of.references.contains_key(reference),
            Step::AddModules { contract_id, seen, .. } => {
                let known = of.contracts.get(contract_id).map(|known| &known.value);
                known.is_some_and(|known| known.version == *seen)
            }
            Step::NoteRenewal { contract_id, .. } => {
                let known = of.contracts.get(contract_id).map(|known| &known.value);
                known.is_some_and(|known| known.renewed_by.is_none())
            }
            Step::NoteWarned { contract_id, seen, renewed_by, .. } => {
                let known = of.contracts.get(contract_id).map(|known| &known.value);
                known.is_some_and(|known| {
                    known.warned.version == *seen && known.renewed_by == *renewed_by
                })
            }
            Step::AddSublicense(record) => !of.sublicenses.contains_key(&record.sublicense_id),
            Step::AddGroup(group) => !of.groups.contains_key(&group.group_id),
            Step::TakeGroupName { folded, .. } => !of.group_names.contains_key(folded),
            Step::TakeOrder { contract_id, order, .. } => {
                left_out(Rule::OrderOnce) || !of.orders.contains_key(&(*contract_id, order.clone()))
            }
            Step::OpenPool { pool, .. } => !of.pools.contains_key(pool),
            Step::MovePool { pool, delta } => of.pools.get(pool).is_some_and(|counters| {
                let before = counters.value.parts().into_iter().zip(delta.parts());
                let mut leaving = before.filter(|(_, (_, seats))| *seats < 0);
                left_out(Rule::Quantity) || leaving.all(|((_, has), (_, seats))| has + seats >= 0)
            }),
            Step::OpenBlock { key, .. } => !of.blocks.contains_key(key),
            Step::DrawBlock { key, used, kept, cursor } => {
                of.blocks.get(key).map(|block| &block.value).is_some_and(|block| {
                    let enough = left_out(Rule::BlockRemainder) || used + kept <= block.rem;
                    let mine =
                        cursor.is_none_or(|cut| cut.lo == block.cursor && cut.epoch == block.epoch);
                    enough && mine
                })
            }
            Step::TakeUpKept { key, used, epoch } => of
                .blocks
                .get(key)
                .is_some_and(|block| block.value.kept >= *used && block.value.epoch == *epoch),
            Step::ReturnKept { key } => {
                of.blocks.get(key).is_some_and(|block| block.value.kept >= 1)
            }
            Step::FenceBlock { key, epoch } => {
                of.blocks.get(key).is_some_and(|block| block.value.epoch < *epoch)
            }
            Step::ResizeBlock { key, by } => of.blocks.get(key).is_some_and(|block| {
                block.value.rem >= by.min(&0).unsigned_abs() || left_out(Rule::BlockRemainder)
            }),
            Step::SettleBlock { key, used } => {
                let block = of.blocks.get(key);
                block.is_some_and(|block| block.value.used >= *used || left_out(Rule::BlockUsed))
            }
            Step::CloseBlock(seen) => of.blocks.get(&seen.key).is_some_and(|block| {
                let is = &block.value;
                (is.size, is.used, is.kept, is.epoch)
                    == (seen.size, seen.used, seen.kept, seen.epoch)
            }),
            Step::SeatLearner(seating) => {
                let known = of.learners.get(&seating.learner_id);
                let expected = match seating.presence {
                    Presence::New => known.is_none() || left_out(Rule::NewAccount),
                    Presence::Unseen => {
                        known.is_none() && !of.erased.contains_key(&seating.learner_id)
                    }
                    Presence::Existing => known.is_some(),
                };
                let live = known.is_some_and(|known| known.live_seat(seating.pool).is_some());
                let beside = has_live(known, seating.beside);
                expected && beside && (!live || left_out(Rule::LiveSeat))
            }
            Step::MarkUnused { learner_id, pool, op, seen, .. } => {
                let known = of.learners.get(learner_id);
                let touched = known.and_then(|known| known.entered_at.max(known.changed_at));
                let mark = known.and_then(|known| known.seats.get(pool)?.reclaim);
                has_live(known, Some((*pool, *op)))
                    && touched <= Some(change.at)
                    && mark.map(|mark| mark.warned_at) == *seen
            }
            Step::ReleaseSeat { learner_id, pool, op, untouched_since, beside, .. } => {
                let known = of.learners.get(learner_id);
                let seat = known.and_then(|known| known.seats.get(pool));
                let touched = known.and_then(|known| known.entered_at.max(known.changed_at));
                let untouched = untouched_since.is_none() || touched <= *untouched_since;
                let beside = has_live(known, *beside);
                seat.is_some_and(|seat| {
                    (seat.is_live() && seat.op == *op && untouched && beside)
                        || left_out(Rule::SeatAsSeen)
                })
            }
            Step::NoLiveSeat { learner_id, pool } => {
                let known = of.learners.get(learner_id);
                known.is_none_or(|known| known.live_seat(*pool).is_none())
                    || left_out(Rule::NoLiveSeat)
            }
            Step::UpdateProfile { learner_id, seats, .. }
            | Step::ChangeLearner { learner_id, seats, .. } => {
                of.learners.get(learner_id).is_some_and(|known| {
                    seats.iter().all(|change| {
                        let seat = known.seats.get(&change.pool);
                        let same =
                            |seat: &Seat| seat.op == change.op && seat.ends_at == change.seen_end;
                        seat.is_some_and(|seat| seat.is_live() && same(seat))
                            || left_out(Rule::SeatAsSeen)
                    })
                })
            }
            Step::StartClock { learner_id, pool, op, seen, .. } => {
                let known = of.learners.get(learner_id);
                let seat = known.and_then(|known| known.live_seat(*pool));
                seat.is_some_and(|seat| seat.op == *op && seat.ends_at == *seen)
            }
            Step::EraseLearner { learner_id, given, .. } => {
                let known = of.learners.get(learner_id);
                known.is_some_and(|known| known.given == *given || left_out(Rule::GivenAsSeen))
            }
            Step::SetPassword { learner_id, serial, .. } => {
                of.learners.get(learner_id).is_some_and(|known| known.password_serial == *serial)
            }
            Step::PutInvitation { invitation, replaces } => {
                let known = of.invitations.get(&invitation.place());
                known.map(|known| (known.version, known.status)) == *replaces
                    || left_out(Rule::InvitationAsSeen)
            }
            Step::CloseInvitation { invitation_id, version, .. } => {
                of.invitations.get(invitation_id).is_some_and(|known| {
                    (known.version == *version && known.status == InvitationStatus::Pending)
                        || left_out(Rule::InvitationAsSeen)
                })
            }
            Step::NoLiveInvitation { invitation_id } => {
                let known = of.invitations.get(invitation_id);
                known.is_none_or(|known| known.status != InvitationStatus::Pending)
                    || left_out(Rule::NoLiveInvitation)
            }
            Step::EraseInvitation { invitation_id: from, version, status, .. }
            | Step::ReaddressInvitation { from, version, status, .. }
            | Step::MoveInvitation { from, version, status, .. } => {
                of.invitations.get(from).is_some_and(|known| {
                    (known.version, known.status) == (*version, *status)
                        || left_out(Rule::InvitationAsSeen)
                })
            }
            Step::CountReminder { invitation_id, version, reminders } => {
                of.invitations.get(invitation_id).is_some_and(|known| {
                    known.version == *version
                        && known.status == InvitationStatus::Pending
                        && known.reminders == *reminders
                })
            }
            Step::StopReminders { invitation_id, version } => {
                of.invitations.get(invitation_id).is_some_and(|known| {
                    known.version == *version && known.status == InvitationStatus::Pending
                })
            }
            Step::JoinCohort { key, .. } => {
                of.waits(key) != Some(false) || left_out(Rule::CohortWaiting)
            }
            Step::LeaveCohort { key, count } => {
                let known = of.cohorts.get(key).map(|cohort| &cohort.value);
                known.is_some_and(|known| {
                    (known.state == CohortState::Waiting || left_out(Rule::CohortWaiting))
                        && known.count >= *count
                })
            }
            Step::OpenCohort { key, count } => {
                let known = of.cohorts.get(key).map(|cohort| &cohort.value);
                known.is_some_and(|known| {
                    known.state == CohortState::Waiting
                        && (known.count == *count || left_out(Rule::CohortCount))
                })
            }
            Step::CohortHasOpened { key } => of.waits(key) == Some(false),
            Step::AddBatch(batch) => !of.batches.contains_key(&batch.batch_id),
            Step::SteerBatch { batch, seen, .. } => {
                let known = of.batches.get(&batch.batch_id).map(|known| &known.value);
                known.is_some_and(|known| {
                    let below = batch.max_redemptions.is_none_or(|max| known.redeemed <= max);
                    known.steering.version == *seen && below
                })
            }
            Step::AddCode { hash, .. } => !of.codes.contains_key(&hash.to_string()),
            Step::RemoveCode { hash, batch_id, index } => {
                of.codes.get(&hash.to_string()).is_none_or(|code| {
                    let there = (code.batch_id, code.index) == (*batch_id, *index);
                    there && code.redeemed_by.is_none()
                })
            }
            Step::LotIsOpen { batch_id, lot, lane } => {
                !of.barred_lots.contains(&(*batch_id, *lot, *lane))
            }
            Step::ListMailed { batch_id, first, .. } => {
                !of.mailed_codes.contains_key(&(*batch_id, *first))
            }
            Step::AddSealedCodes { batch_id, run, .. } => {
                !of.sealed_codes.contains_key(&(*batch_id, *run))
            }
            Step::UseCode { hash, .. } => of
                .codes
                .get(&hash.to_string())
                .is_some_and(|code| code.redeemed_by.is_none() || left_out(Rule::CodeUnused)),
            Step::FreeCode { hash, learner_id } => of
                .codes
                .get(&hash.to_string())
                .is_some_and(|code| code.redeemed_by == Some(*learner_id)),
            Step::UncountRedemption { batch_id } => {
                of.batches.get(batch_id).is_some_and(|batch| batch.value.redeemed >= 1)
            }
            Step::BatchIsActive { batch_id, version } => {
                of.batches.get(batch_id).map(|batch| &batch.value).is_some_and(|batch| {
                    batch.state == BatchState::Active && batch.steering.version == *version
                })
            }
            Step::CountRedemption { batch_id, version, max } => {
                of.batches.get(batch_id).map(|batch| &batch.value).is_some_and(|batch| {
                    let below = max.is_none_or(|max| batch.redeemed < max)
                        || left_out(Rule::RedemptionMaximum);
                    let as_seen = batch.steering.version == *version;
                    batch.state == BatchState::Active && as_seen && below
                })
            }
            Step::ListRedemption { batch_id, redemption } => {
                let key = (*batch_id, redemption.at, redemption.learner_id);
                !of.redemptions.contains_key(&key)
            }
            Step::PutImport { run, expects } => {
                let seen = |epoch| (epoch, run.revision.saturating_sub(1));
                let known = of.imports.get(&run.import_id).map(|known| &known.value);
                known.map(|known| (known.epoch, known.revision)) == expects.map(seen)
            }
            Step::ListImport { import_id, created_at } => {
                !of.import_list.contains_key(&(*created_at, *import_id))
            }
            Step::PointInvitation { .. } | Step::BarLot { .. } | Step::RemoveSealedCodes { .. } => {
                true
            }
            Step::Mail(intent) => !of.mails.contains_key(&intent.key) || left_out(Rule::MailInside),
            Step::Audit(record) => {
                let key = (record.pool, record.at, change.op.id, change.part, place);
                !of.audit.contains_key(&key)
            }
        }
    }

    /// The operation that wrote what stands in a step's way, where records keep that.
    pub(super) fn mark(&self, of: &Tenant, change: &Change, step: &Step) -> Option<Uuid> {
        match step {
            Step::AddClient(_) | Step::ReplaceClient(_) => self.clients.get(&change.client_id)?.op,
            Step::AddContract(record) => of.contracts.get(&record.contract_id)?.op,
            Step::AddModules { contract_id, .. }
            | Step::NoteWarned { contract_id, .. }
            | Step::NoteRenewal { contract_id, .. } => of.contracts.get(contract_id)?.op,
            Step::NoteErasure { on, .. } => of.erasures.get(on)?.op,
            Step::TakeReference { reference, .. } => of.references.get(reference)?.op,
            Step::AddSublicense(record) => of.sublicenses.get(&record.sublicense_id)?.op,
            Step::AddGroup(group) => of.groups.get(&group.group_id)?.op,
            Step::TakeGroupName { folded, .. } => of.group_names.get(folded)?.op,
            Step::TakeOrder { contract_id, order, .. } => {
                of.orders.get(&(*contract_id, order.clone()))?.op
            }
            Step::OpenPool { pool, .. } | Step::MovePool { pool, .. } => of.pools.get(pool)?.op,
            Step::OpenBlock { key, .. }
            | Step::DrawBlock { key, .. }
            | Step::TakeUpKept { key, .. }
            | Step::ReturnKept { key }
            | Step::FenceBlock { key, .. }
            | Step::ResizeBlock { key, .. }
            | Step::SettleBlock { key, .. }
            | Step::CloseBlock(Block { key, .. }) => of.blocks.get(key)?.op,
            Step::SeatLearner(seating) => {
                Some(of.learners.get(&seating.learner_id)?.seats.get(&seating.pool)?.op)
            }
            Step::ReleaseSeat { learner_id, pool, .. } => {
                let seat = of.learners.get(learner_id)?.seats.get(pool)?;
                (!seat.is_live()).then_some(seat.op)
            }
            Step::EraseLearner { learner_id, .. } => of.erased.get(learner_id)?.op,
            Step::ChangeLearner { learner_id, seats, .. } => {
                let known = of.learners.get(learner_id)?;
                let mut ops = seats.iter().filter_map(|seat| Some(known.seats.get(&seat.pool)?.op));
                ops.find(|op| *op == change.op.id)
            }
            Step::PutInvitation { invitation, .. } => {
                Some(of.invitations.get(&invitation.place())?.op)
            }
            Step::CloseInvitation { invitation_id, .. }
            | Step::NoLiveInvitation { invitation_id }
            | Step::CountReminder { invitation_id, .. }
            | Step::StopReminders { invitation_id, .. }
            | Step::EraseInvitation { invitation_id, .. }
            | Step::ReaddressInvitation { from: invitation_id, .. }
            | Step::MoveInvitation { from: invitation_id, .. } => {
                Some(of.invitations.get(invitation_id)?.op)
            }
            Step::PointInvitation { invitation_id, .. } => of.pointers.get(invitation_id)?.op,
            Step::JoinCohort { key, .. }
            | Step::LeaveCohort { key, .. }
            | Step::OpenCohort { key, .. }
            | Step::CohortHasOpened { key } => of.cohorts.get(key)?.op,
            Step::AddBatch(batch) | Step::SteerBatch { batch, .. } => {
                of.batches.get(&batch.batch_id)?.op
            }
            Step::CountRedemption { batch_id, .. }
            | Step::UncountRedemption { batch_id }
            | Step::BatchIsActive { batch_id, .. } => of.batches.get(batch_id)?.op,
            Step::AddCode { hash, .. }
            | Step::RemoveCode { hash, .. }
            | Step::UseCode { hash, .. }
            | Step::FreeCode { hash, .. } => Some(of.codes.get(&hash.to_string())?.op),
            Step::AddSealedCodes { batch_id, run, .. }
            | Step::RemoveSealedCodes { batch_id, run } => {
                of.sealed_codes.get(&(*batch_id, *run))?.op
            }
            Step::ListMailed { batch_id, first, .. } => {
                of.mailed_codes.get(&(*batch_id, *first))?.op
            }
            Step::ListRedemption { batch_id, redemption } => {
                of.redemptions.get(&(*batch_id, redemption.at, redemption.learner_id))?.op
            }
            Step::PutImport { run, .. } => of.imports.get(&run.import_id)?.op,
            Step::ListImport { import_id, created_at } => {
                of.import_list.get(&(*created_at, *import_id)).copied()
            }
            // The trail's key holds the operation.
            Step::Audit(_) => Some(change.op.id),
            Step::NoLiveSeat { .. }
            | Step::UpdateProfile { .. }
            | Step::StartClock { .. }
            | Step::MarkUnused { .. }
            | Step::SetPassword { .. }
            | Step::LotIsOpen { .. }
            | Step::BarLot { .. }
            | Step::Mail(_) => None,
        }
    }
}

impl Tenant {
    pub(super) fn blocks_of(&self, pool: PoolId) -> impl Iterator<Item = &Block> {
        self.blocks.values().map(|block| &block.value).filter(move |block| block.key.pool == pool)
    }

    /// Whether a cohort that is there waits still.
    fn waits(&self, key: &seatkeeper_domain::cohort::CohortKey) -> Option<bool> {
        self.cohorts.get(key).map(|cohort| cohort.value.state == CohortState::Waiting)
    }

    /// Writes what a step says. Its condition holds.
    #[expect(clippy::too_many_lines, reason = "one arm a step, nothing shared between them")]
    pub(super) fn perform(&mut self, change: &Change, place: usize, step: &Step) {
        let op = change.op.id;
        match step {
            Step::AddContract(record) => {
                let contract = Marked::by(change, (**record).clone());
                self.contracts.insert(record.contract_id, contract);
            }
            Step::NoteErasure { on, told_at } => {
                self.erasures.insert(*on, Marked::by(change, *told_at));
            }
            Step::TakeReference { reference, contract_id } => {
                self.references.insert(reference.clone(), Marked::by(change, *contract_id));
            }
            Step::AddModules { contract_id, modules, .. } => {
                if let Some(contract) = self.contracts.get_mut(contract_id) {
                    contract.op = Some(change.op.id);
                    contract.value.modules = modules.iter().cloned().collect();
                    contract.value.version += 1;
                }
            }
            Step::NoteRenewal { contract_id, by } => {
                if let Some(contract) = self.contracts.get_mut(contract_id) {
                    contract.op = Some(change.op.id);
                    contract.value.renewed_by = Some(*by);
                    contract.value.version += 1;
                }
            }
            Step::NoteWarned { contract_id, warned, .. } => {
                if let Some(contract) = self.contracts.get_mut(contract_id) {
                    contract.value.warned = *warned;
                }
            }
            Step::AddSublicense(record) => {
                self.sublicenses.insert(record.sublicense_id, Marked::by(change, record.clone()));
            }
            Step::AddGroup(group) => {
                self.groups.insert(group.group_id, Marked::by(change, group.clone()));
            }
            Step::TakeGroupName { folded, group_id } => {
                self.group_names.insert(folded.clone(), Marked::by(change, *group_id));
            }
            Step::TakeOrder { contract_id, order, add } => {
                self.orders.insert((*contract_id, order.clone()), Marked::by(change, *add));
            }
            Step::OpenPool { pool, stock } => {
                self.pools.insert(*pool, Marked::by(change, counters(*stock)));
            }
            Step::MovePool { pool, delta } => {
                if let Some(counters) = self.pools.get_mut(pool) {
                    counters.value = counters.value.and(*delta);
                }
            }
            Step::OpenBlock { key, size, epoch } => {
                let block = Block {
                    key: key.clone(),
                    size: *size,
                    used: 0,
                    kept: 0,
                    settled: 0,
                    rem: *size,
                    cursor: 0,
                    rows: 0,
                    epoch: *epoch,
                };
                self.blocks.insert(key.clone(), Marked::by(change, block));
            }
            Step::DrawBlock { key, used, kept, cursor } => {
                if let Some(Marked { value: block, .. }) = self.blocks.get_mut(key) {
                    block.used += used;
                    block.kept += kept;
                    block.rem = block.rem.saturating_sub(used + kept);
                    block.cursor = cursor.map_or(block.cursor, |cut| cut.hi);
                    block.rows += cursor.map_or(0, |cut| cut.rows);
                }
            }
            Step::TakeUpKept { key, used, .. } => {
                if let Some(Marked { value: block, .. }) = self.blocks.get_mut(key) {
                    block.used += used;
                    block.kept = block.kept.saturating_sub(*used);
                }
            }
            Step::ReturnKept { key } => {
                if let Some(Marked { value: block, .. }) = self.blocks.get_mut(key) {
                    block.kept = block.kept.saturating_sub(1);
                    block.rem += 1;
                }
            }
            Step::FenceBlock { key, epoch } => {
                if let Some(block) = self.blocks.get_mut(key) {
                    block.value.epoch = *epoch;
                }
            }
            Step::ResizeBlock { key, by } => {
                if let Some(Marked { value: block, .. }) = self.blocks.get_mut(key) {
                    block.size = block.size.saturating_add_signed(*by);
                    block.rem = block.rem.saturating_add_signed(*by);
                }
            }
            Step::SettleBlock { key, used } => {
                if let Some(block) = self.blocks.get_mut(key) {
                    let block = &mut block.value;
                    block.used = block.used.saturating_sub(*used);
                    block.size = block.size.saturating_sub(*used);
                    block.settled += used;
                }
            }
            Step::CloseBlock(block) => {
                self.blocks.remove(&block.key);
            }
            Step::SeatLearner(seating) => {
                let before =
                    self.erased.get(&seating.learner_id).map(|erased| erased.value.clone());
                let before = before.unwrap_or_default();
                let known = self.learners.entry(seating.learner_id).or_insert_with(|| Learner {
                    delivery: None,
                    learner_id: seating.learner_id,
                    email: seating.email.clone(),
                    profile: Profile::default(),
                    credential: None,
                    password_serial: before.password_serial,
                    given: before.given,
                    created_at: change.at,
                    entered_at: None,
                    suspended_at: None,
                    changed_at: None,
                    seats: std::collections::BTreeMap::new(),
                });
                write_profile(&mut known.profile, &seating.profile, Over::Joining);
                if known.credential.is_none() {
                    known.credential.clone_from(&seating.credential);
                }
                known.seats.insert(seating.pool, seating.seat.clone());
                known.given += 1;
            }
            Step::ReleaseSeat { learner_id, pool, seat, .. } => {
                if let Some(known) = self.learners.get_mut(learner_id) {
                    known.seats.insert(*pool, seat.clone());
                }
            }
            Step::UpdateProfile { learner_id, profile, over, seats } => {
                if let Some(known) = self.learners.get_mut(learner_id) {
                    write_profile(&mut known.profile, profile, *over);
                    known.changed_at = Some(change.at);
                    for change in seats {
                        known.seats.insert(change.pool, change.seat.clone());
                    }
                }
            }
            Step::ChangeLearner { learner_id, profile, seats } => {
                if let Some(known) = self.learners.get_mut(learner_id) {
                    (**profile).clone().apply(&mut known.profile);
                    known.suspended_at = match profile.suspended {
                        None => known.suspended_at,
                        Some(true) => known.suspended_at.or(Some(change.at)),
                        Some(false) => None,
                    };
                    if **profile != ProfileChange::default() {
                        known.changed_at = Some(change.at);
                    }
                    for change in seats {
                        known.seats.insert(change.pool, change.seat.clone());
                    }
                }
            }
            Step::MarkUnused { learner_id, pool, reclaim, .. } => {
                let known = self.learners.get_mut(learner_id);
                if let Some(seat) = known.and_then(|known| known.seats.get_mut(pool)) {
                    seat.reclaim = Some(*reclaim);
                }
            }
            Step::StartClock { learner_id, pool, ends_at, .. } => {
                let known = self.learners.get_mut(learner_id);
                if let Some(seat) = known.and_then(|known| known.seats.get_mut(pool)) {
                    seat.ends_at = Some(*ends_at);
                }
            }
            Step::EraseLearner { learner_id, serial, seats, .. } => {
                if let Some(known) = self.learners.remove(learner_id) {
                    let gone = Marked::by(change, Gone::default());
                    let gone = self.erased.entry(*learner_id).or_insert(gone);
                    gone.op = Some(op);
                    gone.value.given = known.given;
                    gone.value.password_serial = *serial;
                    gone.value.pools.extend(seats.keys());
                }
            }
            Step::SetPassword { learner_id, serial, credential } => {
                if let Some(known) = self.learners.get_mut(learner_id) {
                    known.entered_at = Some(change.at);
                    known.credential = Some(credential.clone());
                    known.password_serial = serial + 1;
                }
            }
            Step::PutInvitation { invitation, .. } => {
                self.invitations.insert(invitation.place(), (**invitation).clone());
            }
            Step::CloseInvitation { invitation_id, to, .. } => {
                if let Some(known) = self.invitations.get_mut(invitation_id) {
                    known.status = *to;
                    known.holds_seat = false;
                    known.op = op;
                }
            }
            Step::MoveInvitation { from, left, .. } => {
                if let Some(known) = self.invitations.get_mut(from) {
                    known.status = InvitationStatus::Moved;
                    known.holds_seat = false;
                    known.left = *left;
                    known.op = op;
                }
            }
            Step::ReaddressInvitation { from, left, .. } => {
                if let Some(known) = self.invitations.get_mut(from) {
                    forget_invited(known, op);
                    known.holds_seat = false;
                    known.left = *left;
                }
            }
            Step::EraseInvitation { invitation_id, .. } => {
                if let Some(known) = self.invitations.get_mut(invitation_id) {
                    forget_invited(known, op);
                }
            }
            Step::PointInvitation { invitation_id, place } => {
                self.pointers.insert(*invitation_id, Marked::by(change, *place));
            }
            Step::CountReminder { invitation_id, .. } => {
                if let Some(known) = self.invitations.get_mut(invitation_id) {
                    known.reminders += 1;
                    known.sent_count += 1;
                    known.reminded_at = Some(change.at);
                    known.op = op;
                }
            }
            Step::StopReminders { invitation_id, .. } => {
                if let Some(known) = self.invitations.get_mut(invitation_id) {
                    known.reminders_unwanted = true;
                    known.op = op;
                }
            }
            Step::JoinCohort { key, start_on, count } => {
                let new = || Marked {
                    value: Cohort {
                        key: key.clone(),
                        start_on: *start_on,
                        count: 0,
                        state: CohortState::Waiting,
                    },
                    op: None,
                };
                self.cohorts.entry(key.clone()).or_insert_with(new).value.count += count;
            }
            Step::LeaveCohort { key, count } => {
                if let Some(cohort) = self.cohorts.get_mut(key) {
                    cohort.value.count -= count;
                }
            }
            Step::OpenCohort { key, .. } => {
                if let Some(cohort) = self.cohorts.get_mut(key) {
                    cohort.value.state = CohortState::Opened;
                    cohort.op = Some(op);
                }
            }
            // Clients stand apart; the others only look.
            Step::AddClient(_)
            | Step::ReplaceClient(_)
            | Step::NoLiveSeat { .. }
            | Step::NoLiveInvitation { .. }
            | Step::BatchIsActive { .. }
            | Step::LotIsOpen { .. }
            | Step::CohortHasOpened { .. } => {}
            Step::AddBatch(batch) => {
                self.batches.insert(batch.batch_id, Marked::by(change, (**batch).clone()));
            }
            Step::SteerBatch { batch, settled, .. } => {
                if let Some(known) = self.batches.get_mut(&batch.batch_id) {
                    let is = &mut known.value;
                    let counted = u64::from(is.redeemed) + settled;
                    is.redeemed = u32::try_from(counted).unwrap_or(u32::MAX);
                    is.state = batch.state;
                    is.count = batch.count;
                    is.valid_until = batch.valid_until;
                    is.max_redemptions = batch.max_redemptions;
                    is.steering = batch.steering.clone();
                    known.op = Some(op);
                }
            }
            Step::AddCode { hash, record } => {
                self.codes.insert(hash.to_string(), record.clone());
            }
            Step::RemoveCode { hash, .. } => {
                self.codes.remove(&hash.to_string());
            }
            Step::AddSealedCodes { batch_id, run, sealed } => {
                let sealed = Marked::by(change, sealed.clone());
                self.sealed_codes.insert((*batch_id, *run), sealed);
            }
            Step::ListMailed { batch_id, first, to } => {
                let to = Marked::by(change, to.clone());
                self.mailed_codes.insert((*batch_id, *first), to);
            }
            Step::BarLot { batch_id, lot, lane } => {
                self.barred_lots.insert((*batch_id, *lot, *lane));
            }
            Step::RemoveSealedCodes { batch_id, run } => {
                self.sealed_codes.remove(&(*batch_id, *run));
            }
            Step::UseCode { hash, learner_id } => {
                if let Some(code) = self.codes.get_mut(&hash.to_string()) {
                    code.redeemed_by = Some(*learner_id);
                    code.op = op;
                }
            }
            Step::FreeCode { hash, .. } => {
                if let Some(code) = self.codes.get_mut(&hash.to_string()) {
                    code.redeemed_by = None;
                    code.op = op;
                }
            }
            Step::UncountRedemption { batch_id } => {
                if let Some(batch) = self.batches.get_mut(batch_id) {
                    batch.value.redeemed = batch.value.redeemed.saturating_sub(1);
                }
            }
            Step::CountRedemption { batch_id, .. } => {
                if let Some(batch) = self.batches.get_mut(batch_id) {
                    batch.value.redeemed += 1;
                }
            }
            Step::ListRedemption { batch_id, redemption } => {
                let key = (*batch_id, redemption.at, redemption.learner_id);
                self.redemptions.insert(key, Marked::by(change, redemption.clone()));
            }
            Step::PutImport { run, .. } => {
                self.imports.insert(run.import_id, Marked::by(change, (**run).clone()));
            }
            Step::ListImport { import_id, created_at } => {
                self.import_list.insert((*created_at, *import_id), op);
            }
            Step::Mail(intent) => {
                self.mails.entry(intent.key.clone()).or_default().push(intent.clone());
            }
            Step::Audit(record) => {
                let key = (record.pool, record.at, op, change.part, place);
                self.audit.insert(key, record.clone());
            }
        }
    }
}

/// What is left of an invitation says nothing of who was invited.
fn forget_invited(known: &mut Invitation, op: Uuid) {
    known.email = EmailAddress::nobody();
    known.status = InvitationStatus::Moved;
    known.grant = Grant::default();
    known.message = None;
    known.redeems = None;
    known.op = op;
}

fn counters(stock: Stock) -> Delta {
    let seats = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Delta {
        total: seats(stock.total),
        allocated: seats(stock.allocated),
        held: seats(stock.held),
        used: seats(stock.used),
        spent: seats(stock.spent),
        available: seats(stock.available),
    }
}

/// Blanks of the new values change nothing.
fn write_profile(known: &mut Profile, new: &Profile, over: Over) {
    fn write<T: Clone>(known: &mut Option<T>, new: Option<&T>, over: Over) {
        if new.is_some() && (known.is_none() || over == Over::Replacing) {
            *known = new.cloned();
        }
    }
    fn write_set<T: Clone + Ord>(known: &mut BTreeSet<T>, new: &BTreeSet<T>, over: Over) {
        match over {
            Over::Joining => known.extend(new.iter().cloned()),
            Over::Keeping if !known.is_empty() => {}
            Over::Keeping | Over::Replacing if new.is_empty() => {}
            Over::Keeping | Over::Replacing => known.clone_from(new),
        }
    }
    write(&mut known.first_name, new.first_name.as_ref(), over);
    write(&mut known.last_name, new.last_name.as_ref(), over);
    write(&mut known.language, new.language.as_ref(), over);
    write(&mut known.external_id, new.external_id.as_ref(), over);
    write(&mut known.additional_info, new.additional_info.as_ref(), over);
    write(&mut known.end_on, new.end_on.as_ref(), over);
    write(&mut known.delete_on, new.delete_on.as_ref(), over);
    write_set(&mut known.roles, &new.roles, over);
    write_set(&mut known.group_ids, &new.group_ids, over);
    write_set(&mut known.labels, &new.labels, over);
}

/// Whether a seat is counted as used: in use since it was given, or opened with its cohort.
pub(super) fn counts_as_used(
    of: &Tenant,
    client: &seatkeeper_domain::ids::ClientId,
    pool: PoolId,
    seat: &Seat,
) -> Option<bool> {
    match seat.state {
        SeatState::Released { .. } => None,
        SeatState::Active { .. } => Some(true),
        SeatState::Scheduled { opens_at } => {
            let key = seatkeeper_domain::cohort::CohortKey {
                client_id: client.clone(),
                pool,
                instant: opens_at,
            };
            Some(of.waits(&key) == Some(false))
        }
    }
}
