//! The domain's ports, answered by a model.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use seatkeeper_domain::change::{Block, Change, Refused, StoreError};
use seatkeeper_domain::client::{Client, Group};
use seatkeeper_domain::code::{Batch, CodeHash, CodeRecord, Redemption};
use seatkeeper_domain::cohort::{Cohort, CohortKey};
use seatkeeper_domain::contract::{Contract, Sublicense};
use seatkeeper_domain::idempotency::{
    Attempt, Begin, Guard, IdempotencyStore, LEASE, Op, RETENTION,
};
use seatkeeper_domain::ids::{
    BatchId, ClientId, ContractId, GroupId, InvitationId, LearnerId, PoolId, SublicenseId,
};
use seatkeeper_domain::invitation::Invitation;
use seatkeeper_domain::learner::Learner;
use seatkeeper_domain::ports::{
    Arrivals, Catalog, CodeBook, Counted, Ledger, Page, PageRequest, People, RefusedTries, TryLimit,
};
use seatkeeper_domain::stock::Stock;
use serde_json::Value;

use super::schedule::{Fate, Turn};
use super::{Kept, Model, secret};

/// A model as a store. Clones share it.
///
/// Reads of clients, contracts, sublicenses and groups take no turn: nothing that is explored
/// writes them, so their place among the other calls makes no difference.
#[derive(Debug, Clone)]
pub struct Ports {
    model: Arc<Mutex<Model>>,
    turn: Turn,
    /// Changes that are on their way still.
    late: Arc<Mutex<Vec<Change>>>,
}

impl Ports {
    /// Ports that answer at once.
    pub fn over(model: Model) -> Self {
        Self { model: Arc::new(Mutex::new(model)), turn: Turn::free(), late: Arc::default() }
    }

    /// The same model, for an actor whose calls wait for their turn.
    pub(super) fn taking_turns(&self, turn: Turn) -> Self {
        Self { model: Arc::clone(&self.model), turn, late: Arc::clone(&self.late) }
    }

    /// Changes that are on their way still.
    pub(super) fn late(&self) -> MutexGuard<'_, Vec<Change>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model.
    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: waits for its turn, has its effect at once, and is remembered by its answer.
    async fn call<T: Debug>(&self, name: &'static str, act: impl FnOnce(&mut Model) -> T) -> T {
        self.turn.pass(name).await;
        let answer = act(&mut self.model());
        self.turn.heard(name, &answer);
        answer
    }

    fn still<T>(
        &self,
        client: &ClientId,
        read: impl FnOnce(&super::Tenant) -> Option<T>,
    ) -> Option<T> {
        self.model().tenants.get(client).and_then(read)
    }
}

fn of<T>(
    model: &Model,
    client: &ClientId,
    read: impl FnOnce(&super::Tenant) -> Option<T>,
) -> Option<T> {
    model.tenants.get(client).and_then(read)
}

impl Ledger for Ports {
    async fn apply(&self, change: &Change) -> Result<(), Refused> {
        debug_assert!(change.conserves_seats(), "a change makes or loses seats");
        self.turn.pass("apply").await;
        let fate = self.turn.fate();
        if fate == Fate::Late {
            self.late().push(change.clone());
        } else {
            let answer = self.model().apply(change);
            self.turn.heard("apply", &answer);
            if fate == Fate::Heard {
                return answer;
            }
        }
        self.turn.heard("lost", &());
        Err(Refused::Store(StoreError::Unavailable("there was no reply".into())))
    }

    async fn receipts(&self, op: &Op) -> Result<Vec<Value>, StoreError> {
        let Some(guard) = op.guard.filter(|guard| guard.resumed) else {
            return Ok(Vec::new());
        };
        self.call("receipts", |model| {
            let kept = model.idempotency.get(&guard.record);
            Ok(kept.map(|kept| kept.receipts.clone()).unwrap_or_default())
        })
        .await
    }

    async fn stock(&self, client: &ClientId, pool: PoolId) -> Result<Option<Stock>, StoreError> {
        self.call("stock", |model| Ok(model.stock(client, pool))).await
    }

    async fn blocks(&self, client: &ClientId, pool: PoolId) -> Result<Vec<Block>, StoreError> {
        self.call("blocks", |model| {
            let blocks =
                of(model, client, |tenant| Some(tenant.blocks_of(pool).cloned().collect()));
            Ok(blocks.unwrap_or_default())
        })
        .await
    }

    async fn cohort(&self, key: &CohortKey) -> Result<Option<Cohort>, StoreError> {
        self.call("cohort", |model| {
            let cohort = |tenant: &super::Tenant| tenant.cohorts.get(key).cloned();
            Ok(of(model, &key.client_id, cohort).map(|cohort| cohort.value))
        })
        .await
    }

    async fn order(
        &self,
        client: &ClientId,
        contract: ContractId,
        order: &str,
    ) -> Result<Option<i64>, StoreError> {
        self.call("order", |model| {
            let key = (contract, order.to_owned());
            Ok(of(model, client, |tenant| tenant.orders.get(&key).map(|order| order.value)))
        })
        .await
    }
}

impl Catalog for Ports {
    async fn client(&self, client: &ClientId) -> Result<Option<Client>, StoreError> {
        Ok(self.model().clients.get(client).map(|client| client.value.clone()))
    }

    async fn contract(
        &self,
        client: &ClientId,
        contract: ContractId,
    ) -> Result<Option<Contract>, StoreError> {
        Ok(self.still(client, |of| Some(of.contracts.get(&contract)?.value.clone())))
    }

    async fn all_contracts(&self, client: &ClientId) -> Result<Vec<Contract>, StoreError> {
        let all = |of: &super::Tenant| {
            Some(of.contracts.values().map(|known| known.value.clone()).collect())
        };
        Ok(self.still(client, all).unwrap_or_default())
    }

    async fn sublicense(
        &self,
        client: &ClientId,
        sublicense: SublicenseId,
    ) -> Result<Option<Sublicense>, StoreError> {
        Ok(self.still(client, |of| Some(of.sublicenses.get(&sublicense)?.value.clone())))
    }

    async fn sublicenses_of(
        &self,
        client: &ClientId,
        contract: ContractId,
    ) -> Result<Vec<Sublicense>, StoreError> {
        let own = |of: &super::Tenant| {
            let all = of.sublicenses.values().map(|known| &known.value);
            Some(all.filter(|known| known.contract_id == contract).cloned().collect())
        };
        Ok(self.still(client, own).unwrap_or_default())
    }

    async fn groups(&self, client: &ClientId) -> Result<Vec<Group>, StoreError> {
        let groups = |of: &super::Tenant| {
            Some(of.groups.values().map(|group| group.value.clone()).collect())
        };
        Ok(self.still(client, groups).unwrap_or_default())
    }

    async fn groups_by_id(
        &self,
        client: &ClientId,
        ids: &BTreeSet<GroupId>,
    ) -> Result<Vec<Group>, StoreError> {
        let groups = self.groups(client).await?;
        Ok(groups.into_iter().filter(|group| ids.contains(&group.group_id)).collect())
    }
}

impl People for Ports {
    async fn learner(
        &self,
        client: &ClientId,
        learner: LearnerId,
    ) -> Result<Option<Learner>, StoreError> {
        Ok(self.learners(client, &[learner]).await?.pop())
    }

    async fn learners(
        &self,
        client: &ClientId,
        ids: &[LearnerId],
    ) -> Result<Vec<Learner>, StoreError> {
        let found: Vec<Learner> = self
            .call("learners", |model| {
                of(model, client, |tenant| {
                    Some(ids.iter().filter_map(|id| tenant.learners.get(id).cloned()).collect())
                })
                .unwrap_or_default()
            })
            .await;
        self.turn.heard("secrets", &found.iter().map(secret).collect::<Vec<_>>());
        Ok(found)
    }

    async fn erased(
        &self,
        client: &ClientId,
        learner: LearnerId,
    ) -> Result<Option<BTreeSet<PoolId>>, StoreError> {
        self.call("erased", |model| {
            let gone = |tenant: &super::Tenant| {
                let there = tenant.learners.contains_key(&learner);
                let gone = tenant.erased.get(&learner).filter(|_| !there);
                gone.map(|gone| gone.value.pools.clone())
            };
            Ok(of(model, client, gone))
        })
        .await
    }

    async fn invitation(
        &self,
        client: &ClientId,
        invitation: InvitationId,
    ) -> Result<Option<Invitation>, StoreError> {
        Ok(self.invitations(client, &[invitation]).await?.pop())
    }

    async fn invitations(
        &self,
        client: &ClientId,
        places: &[InvitationId],
    ) -> Result<Vec<Invitation>, StoreError> {
        self.call("invitations", |model| {
            let found = of(model, client, |tenant| {
                Some(places.iter().filter_map(|at| tenant.invitations.get(at).cloned()).collect())
            });
            Ok(found.unwrap_or_default())
        })
        .await
    }

    async fn invitation_place(
        &self,
        client: &ClientId,
        invitation: InvitationId,
    ) -> Result<Option<InvitationId>, StoreError> {
        self.call("invitation_place", |model| {
            Ok(of(model, client, |tenant| tenant.pointers.get(&invitation).map(|at| at.value)))
        })
        .await
    }
}

impl Arrivals for Ports {
    async fn note_arrival(
        &self,
        client: &ClientId,
        learner: LearnerId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.call("note_arrival", |model| {
            let known = model.tenants.get_mut(client);
            if let Some(known) = known.and_then(|tenant| tenant.learners.get_mut(&learner)) {
                known.entered_at = known.entered_at.max(Some(now));
            }
            Ok(())
        })
        .await
    }
}

impl CodeBook for Ports {
    async fn code(
        &self,
        client: &ClientId,
        hash: CodeHash,
    ) -> Result<Option<CodeRecord>, StoreError> {
        Ok(self.codes(client, &[hash]).await?.pop().flatten())
    }

    async fn codes(
        &self,
        client: &ClientId,
        hashes: &[CodeHash],
    ) -> Result<Vec<Option<CodeRecord>>, StoreError> {
        self.call("codes", |model| {
            let code = |hash: &CodeHash| {
                of(model, client, |tenant| tenant.codes.get(&hash.to_string()).cloned())
            };
            Ok(hashes.iter().map(code).collect())
        })
        .await
    }

    async fn batch(&self, client: &ClientId, batch: BatchId) -> Result<Option<Batch>, StoreError> {
        self.call("batch", |model| {
            Ok(of(model, client, |tenant| Some(tenant.batches.get(&batch)?.value.clone())))
        })
        .await
    }

    async fn batches(
        &self,
        client: &ClientId,
        page: &PageRequest,
    ) -> Result<Page<Batch>, StoreError> {
        self.call("batches", |model| {
            let all = of(model, client, |tenant| {
                let batches = tenant.batches.values().rev();
                Some(batches.map(|batch| batch.value.clone()).collect())
            });
            Ok(cut(all.unwrap_or_default(), page, |batch: &Batch| batch.batch_id.to_string()))
        })
        .await
    }

    async fn sealed_codes(
        &self,
        client: &ClientId,
        batch: BatchId,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        self.call("sealed_codes", |model| {
            let runs = of(model, client, |tenant| {
                let runs = tenant.sealed_codes.range((batch, 0)..=(batch, u32::MAX));
                Some(runs.map(|(_, run)| run.value.clone()).collect())
            });
            Ok(runs.unwrap_or_default())
        })
        .await
    }

    async fn sealed_run(
        &self,
        client: &ClientId,
        batch: BatchId,
        run: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.call("sealed_run", |model| {
            Ok(of(model, client, |tenant| {
                Some(tenant.sealed_codes.get(&(batch, run))?.value.clone())
            }))
        })
        .await
    }

    async fn mailed_to(
        &self,
        client: &ClientId,
        batch: BatchId,
    ) -> Result<BTreeSet<LearnerId>, StoreError> {
        self.call("mailed_to", |model| {
            let all = of(model, client, |tenant| {
                let lists = tenant.mailed_codes.range((batch, 0)..=(batch, u32::MAX));
                Some(lists.flat_map(|(_, list)| list.value.clone()).collect())
            });
            Ok(all.unwrap_or_default())
        })
        .await
    }

    async fn redemptions(
        &self,
        client: &ClientId,
        batch: BatchId,
        page: &PageRequest,
    ) -> Result<Page<Redemption>, StoreError> {
        self.call("redemptions", |model| {
            let all = of(model, client, |tenant| {
                let own = tenant.redemptions.iter().rev().filter(|((of, ..), _)| *of == batch);
                Some(own.map(|(_, redemption)| redemption.value.clone()).collect())
            });
            let place = |one: &Redemption| format!("{} {}", one.at, one.learner_id);
            Ok(cut(all.unwrap_or_default(), page, place))
        })
        .await
    }

    async fn unfinished_batches(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(ClientId, BatchId)>, StoreError> {
        self.call("unfinished_batches", |model| {
            let mut found = Vec::new();
            for (client, tenant) in &model.tenants {
                for batch in tenant.batches.values().map(|batch| &batch.value) {
                    if let Some(due) = batch.due_at().filter(|due| *due <= now) {
                        found.push((due, client.clone(), batch.batch_id));
                    }
                }
            }
            found.sort();
            Ok(found.into_iter().map(|(_, client, batch)| (client, batch)).collect())
        })
        .await
    }
}

/// A page of a list in its order; a cursor is the place of the last item given.
fn cut<T>(all: Vec<T>, page: &PageRequest, place: impl Fn(&T) -> String) -> Page<T> {
    let after = page.cursor.as_ref();
    let begin = after.and_then(|after| all.iter().position(|item| place(item) == *after));
    let rest = all.into_iter().skip(begin.map_or(0, |begin| begin + 1));
    let mut items: Vec<T> = rest.take(usize::from(page.limit) + 1).collect();
    let more = items.len() > usize::from(page.limit);
    items.truncate(usize::from(page.limit));
    let next = items.last().map(&place).filter(|_| more);
    Page { items, next }
}

impl RefusedTries for Ports {
    async fn count_try(
        &self,
        client: &ClientId,
        source: &[u8; 32],
        limits: &[TryLimit],
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        self.call("count_try", |model| {
            let tries = model.tries.entry((client.clone(), *source)).or_default();
            tries.retain(|at| *at + TryLimit::longest(limits) > now);
            if let Some(free_at) = TryLimit::free_at(limits, tries, now) {
                return Ok(Counted::Over { free_at });
            }
            tries.push(now);
            model.fingerprint = None;
            Ok(Counted::Within)
        })
        .await
    }

    async fn forget_try(
        &self,
        client: &ClientId,
        source: &[u8; 32],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.call("forget_try", |model| {
            let tries = model.tries.entry((client.clone(), *source)).or_default();
            if let Some(place) = tries.iter().position(|counted| *counted == at) {
                tries.remove(place);
                model.fingerprint = None;
            }
            Ok(())
        })
        .await
    }
}

impl IdempotencyStore for Ports {
    async fn begin(&self, attempt: &Attempt) -> Result<Begin, StoreError> {
        self.call("begin", |model| {
            model.fingerprint = None;
            Ok(model.begin(attempt))
        })
        .await
    }

    async fn complete(&self, op: &Op, status: u16, sealed: &[u8]) -> Result<(), StoreError> {
        self.held("complete", op, |kept, guard| {
            kept.answer = Some((status, sealed.to_vec()));
            kept.held_until = guard.held_since;
            true
        })
        .await
    }

    async fn abandon(&self, op: &Op) -> Result<(), StoreError> {
        self.held("abandon", op, |kept, _| kept.applied > 0).await
    }

    async fn release(&self, op: &Op) -> Result<(), StoreError> {
        self.held("release", op, |kept, guard| {
            kept.held_until = guard.held_since;
            true
        })
        .await
    }
}

impl Ports {
    /// Writes to the record of this attempt, if it holds it still; `write` says whether to keep it.
    async fn held(
        &self,
        name: &'static str,
        op: &Op,
        write: impl FnOnce(&mut Kept, &Guard) -> bool + Send,
    ) -> Result<(), StoreError> {
        let Some(guard) = op.guard else { return Ok(()) };
        self.call(name, |model| {
            let Some(kept) = model.idempotency.get_mut(&guard.record) else { return };
            if kept.held_since != guard.held_since {
                return;
            }
            if !write(kept, &guard) {
                model.idempotency.remove(&guard.record);
            }
            model.fingerprint = None;
        })
        .await;
        Ok(())
    }
}

impl Model {
    fn begin(&mut self, attempt: &Attempt) -> Begin {
        let known = self.idempotency.get(&attempt.record);
        if known.is_some_and(|known| known.forgotten_at <= attempt.now) {
            self.idempotency.remove(&attempt.record);
        }
        let new = || Kept {
            op: attempt.op,
            body: attempt.body,
            held_since: attempt.now,
            held_until: Timestamp::MIN,
            forgotten_at: attempt.now + RETENTION,
            tries: 0,
            applied: 0,
            receipts: Vec::new(),
            answer: None,
        };
        let kept = self.idempotency.entry(attempt.record).or_insert_with(new);
        if kept.body != attempt.body {
            return Begin::Mismatch;
        }
        if let Some((status, sealed)) = &kept.answer {
            return Begin::Replay { status: *status, sealed: sealed.clone() };
        }
        if kept.held_until >= attempt.now {
            return Begin::InProgress;
        }
        kept.tries += 1;
        kept.held_since = attempt.now;
        kept.held_until = attempt.now + LEASE;
        let guard =
            Guard { record: attempt.record, held_since: attempt.now, resumed: kept.tries > 1 };
        Begin::Fresh { op: Op { id: kept.op, guard: Some(guard) } }
    }
}
