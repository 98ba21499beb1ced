//! Reads a spreadsheet and checks every row, as an import does: `parse FILE`. Prints what it took.

use std::fs;
use std::time::Instant;

use anyhow::Context as _;
use jiff::civil::date;
use seatkeeper_domain::ids::GroupId;
use seatkeeper_domain::import::{DateOrder, RowRules, TermDefaults, Window, check_row};
use seatkeeper_domain::import_run::Mode;
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::role::Role;
use seatkeeper_spreadsheet::{Limits, read};
use serde_json::json;

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("parse FILE")?;
    let rules = rules();
    let (start, on_processor) = (Instant::now(), on_processor()?);
    let bytes = fs::read(&path)?;
    let limits = Limits { max_bytes: usize::MAX, max_inflated: u64::MAX, max_rows: u32::MAX };
    let mut invalid = 0_u32;
    let reading = read(&bytes, &limits, |row| {
        invalid += u32::from(!check_row(&row, &rules).errors.is_empty());
    })?;
    anyhow::ensure!(invalid == 0, "{invalid} rows are invalid");
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), self::on_processor()? - on_processor);
    println!("{}", json!({ "rows": reading.rows, "seconds": seconds, "cpu": cpu }));
    Ok(())
}

fn rules() -> RowRules {
    let groups = [(GroupId::from_bits(1), "Paris"), (GroupId::from_bits(2), "Région Nord")];
    RowRules {
        today: date(2026, 11, 23),
        window: Window { starts_on: Some(date(2026, 1, 1)), ends_on: Some(date(2028, 12, 31)) },
        languages: Languages::from_list("en,fr,de,es,it,nl,pt"),
        groups: groups.into_iter().collect(),
        create_groups: false,
        grantable: [Role::Learner].into(),
        passwords: PasswordPolicy::default(),
        mode: Mode::Create,
        date_order: DateOrder::Dmy,
        defaults: TermDefaults::default(),
    }
}

/// Seconds that this process, which has one thread, has had a processor.
fn on_processor() -> anyhow::Result<f64> {
    let told = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = told.split(' ').next().context("no time")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}
