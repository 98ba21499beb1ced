//! The same crowd on the pure model: every round another order of five hundred actions' calls.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use seatkeeper_domain::actions::issue_codes::Wanted;
use seatkeeper_testkit::model::wander;
use seatkeeper_tests::actors::{Setting, Verdict, Who};
use seatkeeper_tests::runs;
use serde_json::json;

use crate::seed;

#[test]
fn in_whatever_order_five_hundred_redeem_a_hundred_get_the_hundred_seats() {
    let begun = Instant::now();
    let rounds = if runs::long() { 1_000 } else { 2 };
    let mut settings = Vec::new();
    for max in [None, Some(100)] {
        let mut setting = Setting::with_seats(100).with_accounts(500);
        let wanted =
            Wanted::Registration { own: None, max_redemptions: max, guaranteed: max.is_some() };
        let (with, codes) = setting.with_codes(wanted);
        setting = with;
        settings.push((setting, codes[0].clone()));
    }
    let mut steps = 0;
    let (from, until) = seed().map_or((1, rounds), |seed| (seed, seed));
    for seed in from..=until {
        let (setting, code) = &settings[usize::try_from(seed % 2).expect("small")];
        let mut run = setting.begin().drawn();
        for number in 1..=500 {
            let (who, code) = (Who::new(setting, u64::from(number)), code.clone());
            run.add("redeem", move |ports| async move { who.redeem(&ports, number, &code).await });
        }
        let mut chance = StdRng::seed_from_u64(seed);
        let ended = wander(&mut run, 500, |choices| chance.random_range(0..choices));
        steps += ended.unwrap_or_else(|failure| panic!("CONTENTION_SEED={seed}: {failure}"));
        let done = run.outcomes().into_iter().flatten();
        let done = done.filter(|outcome| outcome.verdict == Verdict::Done).count();
        assert_eq!(done, 100, "CONTENTION_SEED={seed}");
        let stock = run.ports().model().stock(&setting.client, setting.pool()).expect("a pool");
        assert_eq!((stock.used, stock.available), (100, 0), "CONTENTION_SEED={seed}");
    }
    println!("{rounds} rounds of 500 for 100 seats on the model, exactly 100 each: {steps} calls");
    let told = json!({"runs": rounds, "redeemers": 500, "seats": 100, "calls": steps});
    runs::write("contention on the model", 0, begun, told);
}
