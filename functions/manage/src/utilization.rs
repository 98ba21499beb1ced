//! How a client's seats were used, day by day.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use jiff::civil::Date;
use jiff::{Span, Unit};
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::utilization::{
    DAYS_MAX, PoolDay, UtilizationError, utilization as added_up,
};
use seatkeeper_domain::dates::local_date;
use seatkeeper_domain::ids::PoolId;
use seatkeeper_domain::ports::{Clock as _, Rounds as _};
use seatkeeper_domain::stock::Delta;
use seatkeeper_http::body::{Fields, choice, date, parsed};
use seatkeeper_http::caller::READS;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, Problem, Shared, SignedIn, views};
use serde_json::{Value, json};

use crate::clients;

/// How it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

/// The formats by the names they have in the query.
const FORMATS: [(&str, Format); 2] = [("csv", Format::Csv), ("json", Format::Json)];
/// Days that are told if none are named.
const DAYS: i64 = 30;
/// The first line of a file.
const COLUMNS: &str = "day,pool,contract_id,source,used,held,spent,available,\
                       stock_total,stock_allocated,stock_held,stock_used,stock_spent,stock_available";

/// `GET …/utilization`: as csv, or as JSON.
pub(crate) async fn tell(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let owner = clients::known(&app, &client).await?;
    let zone = owner.time_zone.zone();
    let mut fields = Fields::of_query(&uri);
    let format = fields.optional("format", choice(&FORMATS)).unwrap_or(Format::Csv);
    let pool: Option<PoolId> = fields.optional("pool", parsed("unknown-pool", str::parse));
    let until = fields.optional("until", date());
    let until = until.unwrap_or_else(|| local_date(app.clock.now(), zone));
    let since = fields.optional("since", date());
    let since = since.unwrap_or_else(|| until.saturating_sub(Span::new().days(DAYS - 1)));
    if since > until {
        fields.refuse("since", "end-before-start", "The first day lies behind the last.");
    } else if days(since, until) > DAYS_MAX {
        let detail = format!("Ask for at most {DAYS_MAX} days at once.");
        fields.refuse("since", "too-long", detail);
    }
    fields.finish(|| Some(()))?;
    let mut pools = app.store.client_pools(&client).await?;
    if let Some(pool) = pool {
        pools.retain(|(known, _)| *known == pool);
        if pools.is_empty() {
            let detail = "This client has no such contract or sublicense.";
            return Err(Problem::invalid_field("/pool", "unknown-pool", detail));
        }
    }
    let told = added_up(&app.store, &client, zone, &pools, (since, until)).await;
    let told = told.map_err(|error| match error {
        UtilizationError::TooLong => Problem::invalid_field(
            "/pool",
            "too-long",
            "So many records are too much for one answer; name one pool, or an earlier `until`.",
        ),
        UtilizationError::Store(error) => error.into(),
    })?;
    if format == Format::Json {
        let items: Vec<Value> = told.iter().map(item).collect();
        return Ok(Answer::ok(&json!({"items": items, "next_cursor": null})).into_response());
    }
    let name = HeaderValue::from_static("attachment; filename=\"utilization.csv\"");
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name)], file(&told)).into_response())
}

/// How many days, the first and the last among them.
fn days(since: Date, until: Date) -> u32 {
    let span = since.until((Unit::Day, until)).unwrap_or_default();
    u32::try_from(span.get_days()).map_or(u32::MAX, |days| days + 1)
}

fn item(day: &PoolDay) -> Value {
    let sources: serde_json::Map<String, Value> =
        day.moved.iter().map(|(origin, moved)| (origin.to_string(), json!(moved))).collect();
    json!({
        "day": day.day, "pool": day.pool, "contract_id": day.contract,
        "stock": views::stock(day.stock), "sources": sources,
    })
}

/// One line a day, pool and source; a day on which nothing moved has one without a source.
fn file(told: &[PoolDay]) -> String {
    let mut text = format!("{COLUMNS}\r\n");
    for day in told {
        if day.moved.is_empty() {
            line(&mut text, day, "", Delta::default());
        }
        for (origin, moved) in &day.moved {
            line(&mut text, day, &origin.to_string(), *moved);
        }
    }
    text
}

fn line(text: &mut String, day: &PoolDay, source: &str, moved: Delta) {
    let PoolDay { day, pool, contract, stock, .. } = day;
    let contract = contract.map(|contract| contract.to_string()).unwrap_or_default();
    let Delta { used, held, spent, available, .. } = moved;
    let written = write!(
        text,
        "{day},{pool},{contract},{source},{used},{held},{spent},{available},{},{},{},{},{},{}\r\n",
        stock.total, stock.allocated, stock.held, stock.used, stock.spent, stock.available,
    );
    debug_assert!(written.is_ok());
}
