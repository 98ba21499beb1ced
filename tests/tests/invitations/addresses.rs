//! An invitation that was sent to the wrong address: it keeps its seat and its id, whatever happens
//! around the two addresses.

use seatkeeper_domain::actions::change_address::{ChangeAddressError, change_address};
use seatkeeper_domain::actions::invitations::invitation_of;

use super::*;

async fn move_to(
    world: &World,
    id: InvitationId,
    number: usize,
) -> Result<InvitationNow, ChangeAddressError> {
    let (store, clock, keys) = (&world.store, &world.clock, &world.keys);
    let (caller, to) = (world.administrator(), address(number));
    change_address(store, clock, keys, &caller, world.op(), &world.client, id, &to).await
}

async fn by_id(world: &World, id: InvitationId) -> Option<Invitation> {
    invitation_of(&world.store, &world.client, id).await.unwrap()
}

/// Where the link of this version leads: to this address, or why nowhere.
async fn followed(
    world: &World,
    id: InvitationId,
    version: u32,
) -> Result<EmailAddress, Option<LinkClosed>> {
    let link = Link::Invitation { client: world.client.clone(), invitation: id, version };
    let token = link.token(&world.keys);
    let now = world.clock.now();
    let opened = open_invitation_link(&world.store, &world.keys, now, &token).await.unwrap();
    let opened = opened.ok_or(None)?;
    match opened.closed {
        None => Ok(opened.invitation.email),
        Some(closed) => Err(Some(closed)),
    }
}

/// Accepts the invitation of this id at this version.
async fn accept_by(
    world: &World,
    id: InvitationId,
    version: u32,
) -> Result<Accepted, AcceptInvitationError> {
    let command = AcceptInvitation { invitation_id: id, ..acceptance(world, 0, version) };
    accept_as(world, world.op(), &command).await
}

/// The invitations of the client as its list shows them: address and status, by address.
async fn listed(world: &World) -> Vec<(String, InvitationStatus)> {
    let page = PageRequest { limit: 100, cursor: None };
    let page = world.store.invitations_page(&world.client, &page, |_| true).await.unwrap();
    let mut list: Vec<_> =
        page.items.into_iter().map(|one| (one.email.to_string(), one.status)).collect();
    list.sort_by(|one, other| one.0.cmp(&other.0));
    list
}

#[tokio::test]
async fn a_changed_address_keeps_the_seat_and_the_id_and_gets_a_new_link() {
    let world = World::with_seats(1).await;
    invited(&world, [1]).await;
    let id = id_of(&world, &address(1));
    let moved = move_to(&world, id, 2).await.unwrap();
    let invitation = &moved.invitation;
    assert_eq!((invitation.invitation_id, &invitation.email), (id, &address(2)));
    assert_eq!((invitation.sent_count, invitation.delivery), (2, Delivery::Queued));
    assert_eq!((moved.stock.held, moved.stock.available), (1, 0), "the same seat");
    assert_eq!(followed(&world, id, 1).await, Err(Some(LinkClosed::Replaced)));
    assert_eq!(followed(&world, id, 2).await, Ok(address(2)));
    assert_eq!(listed(&world).await, [(address(2).to_string(), InvitationStatus::Pending)]);
    let accepted = accept_by(&world, id, 2).await.unwrap();
    assert_eq!(accepted.learner_id, world.keys.learner_id(&world.client, &address(2)));
    assert!(learner(&world, 1).await.is_none() && learner(&world, 2).await.is_some());
    assert_eq!(world.stock().await.used, 1);
    assert_eq!(followed(&world, id, 2).await, Err(Some(LinkClosed::Accepted)));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn both_addresses_have_one_live_invitation_each_whoever_is_invited_again() {
    let world = World::with_seats(5).await;
    invited(&world, [1]).await;
    let first = id_of(&world, &address(1));
    move_to(&world, first, 2).await.unwrap();
    // The new address is invited, under the id of the first one; the old one is free again.
    let again = invited(&world, [1, 2]).await;
    assert_eq!(words(&again), ["invited", "already_invited"]);
    let (Verdict::Invited { invitation_id: second, version }, known) =
        (again.results[0].verdict, again.results[1].verdict)
    else {
        panic!("invited and known")
    };
    assert_eq!(known, Verdict::AlreadyInvited { invitation_id: first });
    assert_ne!(second, first, "two invitations, two ids");
    assert_eq!(by_id(&world, first).await.unwrap().email, address(2));
    assert_eq!(by_id(&world, second).await.unwrap().email, address(1));
    assert_eq!(followed(&world, second, version).await, Ok(address(1)));
    assert_eq!(words(&invited(&world, [1]).await), ["already_invited"]);
    assert_eq!(world.stock().await.held, 2);

    // Each to where the other was is a conflict; around a third address it works.
    let taken = move_to(&world, first, 1).await;
    assert!(matches!(taken, Err(ChangeAddressError::AlreadyInvited)));
    move_to(&world, first, 3).await.unwrap();
    move_to(&world, second, 2).await.unwrap();
    move_to(&world, first, 1).await.unwrap();
    assert_eq!(by_id(&world, first).await.unwrap().email, address(1));
    assert_eq!(by_id(&world, second).await.unwrap().email, address(2));
    assert_eq!(
        words(&invited(&world, [1, 2, 3]).await),
        ["already_invited", "already_invited", "invited"]
    );
    let ids: BTreeSet<_> = [first, second, id_of(&world, &address(3))].into();
    assert_eq!(ids.len(), 3);
    assert_eq!(listed(&world).await.len(), 3);
    assert_eq!(world.stock().await.held, 3);
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn no_id_is_given_twice_while_it_lives_however_often_an_address_is_left() {
    let world = World::with_seats(20).await;
    let mut ids = BTreeSet::new();
    for number in 2..8 {
        let answer = invited(&world, [1]).await;
        let Verdict::Invited { invitation_id, .. } = answer.results[0].verdict else {
            panic!("invited")
        };
        assert!(ids.insert(invitation_id), "a new id");
        move_to(&world, invitation_id, number).await.unwrap();
    }
    // What comes back and ends does not set the others' ids free.
    let back = *ids.first().unwrap();
    move_to(&world, back, 1).await.unwrap();
    let moved = move_to(&world, back, 50).await.unwrap();
    let fresh = invited(&world, [1]).await;
    let Verdict::Invited { invitation_id, .. } = fresh.results[0].verdict else {
        panic!("invited")
    };
    assert!(ids.insert(invitation_id), "a new id");
    assert_eq!(moved.invitation.email, address(50));
    let mut addresses = BTreeSet::new();
    for id in &ids {
        addresses.insert(by_id(&world, *id).await.unwrap().email);
    }
    assert_eq!(addresses.len(), 7, "each id leads to its own");
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_invitation_that_comes_to_the_place_of_an_ended_one_replaces_it() {
    let world = World::with_seats(3).await;
    invited(&world, [1, 2]).await;
    let (first, second) = (id_of(&world, &address(1)), id_of(&world, &address(2)));
    cancel(&world, 2).await.unwrap();
    let moved = move_to(&world, first, 2).await.unwrap();
    assert_eq!(moved.stock.held, 1);
    assert!(by_id(&world, second).await.is_none());
    assert_eq!(followed(&world, second, 1).await, Err(Some(LinkClosed::Replaced)), "gone, 410");
    assert_eq!(followed(&world, first, moved.invitation.version).await, Ok(address(2)));
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_expired_invitation_takes_a_seat_again_and_a_lapsed_one_in_the_way_gives_its_own() {
    let world = World::with_seats(1).await;
    invited(&world, [1]).await;
    let first = id_of(&world, &address(1));
    world.clock.advance(SignedDuration::from_hours(24 * 15));
    assert!(expire(&world, 1).await);
    invited(&world, [2]).await;
    let none = move_to(&world, first, 3).await;
    assert!(matches!(none, Err(ChangeAddressError::NoSeatsLeft)));
    // The other one runs out too, and no sweep has seen it: its seat is there to be taken.
    world.clock.advance(SignedDuration::from_hours(24 * 15));
    let moved = move_to(&world, first, 2).await.unwrap();
    assert_eq!((moved.stock.held, moved.stock.available), (1, 0));
    assert!(!expire(&world, 2).await, "what stands there is live");
    world.assert_seats_are_conserved().await;
}

#[tokio::test]
async fn an_address_is_not_changed_to_one_that_is_served_already_nor_after_the_end() {
    let world = World::with_seats(5).await;
    invited(&world, [1, 2]).await;
    account_on(&world, world.contract.contract_id, 3, PasswordChoice::Link).await;
    let first = id_of(&world, &address(1));
    let before = world.cloud.dump();
    let invited_there = move_to(&world, first, 2).await;
    assert!(matches!(invited_there, Err(ChangeAddressError::AlreadyInvited)));
    let seated_there = move_to(&world, first, 3).await;
    assert!(matches!(seated_there, Err(ChangeAddressError::AlreadySeated)));
    let unknown = move_to(&world, InvitationId::from_bits(7), 9).await;
    assert!(matches!(unknown, Err(ChangeAddressError::NotFound)));
    let same = move_to(&world, first, 1).await.unwrap();
    assert_eq!((same.invitation.version, same.invitation.sent_count), (1, 1), "nothing is sent");
    assert_eq!(world.cloud.dump(), before);
    cancel(&world, 2).await.unwrap();
    let closed = move_to(&world, id_of(&world, &address(2)), 9).await;
    assert!(matches!(closed, Err(ChangeAddressError::Closed)));
    accept(&world, 1).await.unwrap();
    let accepted = move_to(&world, first, 9).await;
    assert!(matches!(accepted, Err(ChangeAddressError::AlreadyAccepted)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_changes_an_address_once() {
    for fault in [Fault::LoseReply, Fault::ErrorAfter, Fault::FailBefore, Fault::Throttle] {
        let world = World::with_seats(2).await;
        invited(&world, [1]).await;
        world.cloud.restart_trace();
        world.cloud.inject(When::call("TransactWriteItems", 1), fault);
        let moved = move_to(&world, id_of(&world, &address(1)), 2).await.unwrap();
        assert_eq!(world.cloud.fired().len(), 1, "the fault fired");
        assert_eq!((moved.invitation.version, mails(&world)), (2, 2));
        world.assert_seats_are_conserved().await;
    }
}

#[tokio::test]
async fn who_changes_an_address_twice_at_once_hears_twice_that_it_is_changed() {
    let mut met = 0;
    for attempt in 1..=9 {
        let world = Arc::new(World::with_seats(2).await);
        invited(&world, [1]).await;
        let id = id_of(&world, &address(1));
        world.cloud.restart_trace();
        let other = Arc::clone(&world);
        world.cloud.let_first(When::attempt(attempt), move || async move {
            move_to(&other, id, 2).await.expect("the first of both");
        });
        let moved = move_to(&world, id, 2).await.expect("the other one");
        assert_eq!((moved.invitation.email, moved.invitation.version), (address(2), 2));
        met += world.cloud.fired().len();
        world.assert_seats_are_conserved().await;
    }
    assert!(met >= 7, "reads and the change: {met}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_changes_and_answers_at_once_the_seat_stays_one() {
    for _ in 0..5 {
        let world = Arc::new(World::with_seats(4).await);
        invited(&world, [1]).await;
        let id = id_of(&world, &address(1));
        let tasks: Vec<_> = (0..12)
            .map(|number| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    match number % 4 {
                        0 => drop(accept_by(&world, id, 1).await),
                        1 => drop(invited(&world, [1, 2]).await),
                        _ => drop(move_to(&world, id, number % 3 + 1).await),
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut live = BTreeSet::new();
        for (email, status) in listed(&world).await {
            assert!(
                status != InvitationStatus::Pending || live.insert(email),
                "two live invitations of one address"
            );
        }
        world.assert_seats_are_conserved().await;
    }
}
