//! What a learner's coming in does: it is written down, and the clock starts of seats whose duration
//! begins with it.

use crate::actions::ground::contract_of;
use crate::actions::{Met, ROUNDS, gave_up, met};
use crate::audit::{Action, Actor};
use crate::change::{Change, Step, StoreError};
use crate::idempotency::Op;
use crate::ids::{ClientId, LearnerId, PoolId};
use crate::learner::SeatStatus;
use crate::ports::{Arrivals, Catalog, Clock, IdSource, Ledger, People};
use crate::stock::Delta;

/// A learner comes in, by whatever way. Whoever came in counts as somebody who uses their seats.
pub async fn come_in(
    ports: &(impl Arrivals + Ledger + Catalog + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    client: &ClientId,
    learner: LearnerId,
) -> Result<(), StoreError> {
    start_clocks(ports, clock, ids, client, learner).await?;
    ports.note_arrival(client, learner, clock.now()).await
}

/// Starts the clocks of a learner's open seats that wait for it. Those that run are left alone, so
/// that it may be asked whenever the learner comes in.
pub async fn start_clocks(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    client: &ClientId,
    learner: LearnerId,
) -> Result<(), StoreError> {
    let Some(known) = ports.learner(client, learner).await? else { return Ok(()) };
    for pool in known.seats.keys() {
        start_clock(ports, clock, ids, client, (learner, *pool)).await?;
    }
    Ok(())
}

async fn start_clock(
    ports: &(impl Ledger + Catalog + People),
    clock: &impl Clock,
    ids: &impl IdSource,
    client: &ClientId,
    (learner_id, pool): (LearnerId, PoolId),
) -> Result<(), StoreError> {
    let Some(contract) = contract_of(ports, client, pool).await? else { return Ok(()) };
    if !contract.starts_clocks() {
        return Ok(());
    }
    let Some(owner) = ports.client(client).await? else { return Ok(()) };
    let op = Op { id: ids.uuid(), guard: None };
    for _ in 0..ROUNDS {
        let now = clock.now();
        let Some(learner) = ports.learner(client, learner_id).await? else { return Ok(()) };
        let open = |learner: &crate::learner::Learner| {
            let seat = learner.live_seat(pool)?.clone();
            (learner.seat_status(&seat, now) == SeatStatus::Active).then_some(seat)
        };
        let Some(seat) = open(&learner) else { return Ok(()) };
        let Some(ends_at) = contract.clock_started(&seat, now, owner.time_zone.zone()) else {
            return Ok(());
        };
        let mut change = Change::new(client, op, Actor::Learner, now);
        let seen = seat.ends_at;
        change.step(Step::StartClock { learner_id, pool, op: seat.op, seen, ends_at });
        let ends = (seen.map(|end| end.to_string()), Some(ends_at.to_string()));
        let (nothing, action) = (Delta::default(), Action::ClockStarted);
        change.audit_shift(pool, nothing, action, &[learner_id], ends);
        match ports.apply(&change).await.map_err(|refused| met(&change, refused)) {
            Ok(()) | Err(Met::Repeated) => return Ok(()),
            // They came in twice at once, or somebody changed the seat.
            Err(Met::Raced(_) | Met::NoSeats) => {}
            Err(Met::Failed(error)) => return Err(error),
        }
    }
    Err(gave_up())
}
