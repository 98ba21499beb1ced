//! What an import costs, counted where its requests leave: write units as DynamoDB charges them, and
//! requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use seatkeeper_domain::actions::run_import::Importer;
use seatkeeper_domain::import_run::ImportStatus;
use seatkeeper_testkit::Cloud;
use seatkeeper_tests::runs;
use serde_json::{Value, json};

use crate::stage::{Stage, people};

/// Bytes of a write unit. A write inside a transaction takes two units for each that it begins.
const UNIT: usize = 1024;
/// Requests of an import beside those of its chunks: its claim and its end, and what it reads.
const BESIDE_CHUNKS: usize = 16;
/// Rows of a full chunk.
const CHUNK: usize = 97;

/// What leaves for DynamoDB and S3.
#[derive(Debug, Clone, Default)]
struct Meter {
    /// Keys and times of the items that were written, by how many units a started kilobyte costs.
    writes: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Meter {
    fn on(cloud: &Cloud) -> Self {
        let meter = Self::default();
        let writes = Arc::clone(&meter.writes);
        cloud.restart_trace();
        cloud.seed(move |sent| {
            let each = if sent.operation == "TransactWriteItems" { 2 } else { 1 };
            let mut writes = writes.lock().expect("one thread");
            for write in sent.every_write() {
                writes.push((format!("{} {}", write.key("pk"), write.key("sk")), each));
            }
        });
        meter
    }

    /// Write units, by the kind of item; an item counts with the size that it has in the end.
    fn units(&self, cloud: &Cloud) -> BTreeMap<String, usize> {
        let mut units = BTreeMap::new();
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let items: BTreeMap<String, Value> = cloud
            .dump()
            .into_iter()
            .map(|item| (format!("{} {}", text(&item, "pk"), text(&item, "sk")), item))
            .collect();
        for (key, each) in self.writes.lock().expect("one thread").iter() {
            // The block is gone in the end.
            let (kind, bytes) = items.get(key).map_or_else(
                || ("block".to_owned(), UNIT),
                |item| (text(item, "kind"), size(item)),
            );
            *units.entry(kind).or_default() += each * bytes.div_ceil(UNIT);
        }
        units
    }
}

/// The bytes of an item: names and values, as the service documents its sizes.
fn size(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() + size_of_value(name, value)).sum()
}

fn size_of_value(name: &str, value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number.to_string().len().div_ceil(2) + 1,
        // Binary is shown as base64.
        Value::String(text) if name == "learners" => text.len() / 4 * 3,
        Value::String(text) => text.len(),
        Value::Array(list) => 3 + list.iter().map(|one| 1 + size_of_value("", one)).sum::<usize>(),
        Value::Object(_) => 3 + size(value) + value.as_object().map_or(0, serde_json::Map::len),
    }
}

/// An import of so many people from an empty contract, as it is counted.
async fn counted(rows: usize) -> Value {
    let stage = Stage::with_seats(rows as u64).await;
    let object = stage.put("a.csv", people(rows, |_| ""));
    let meter = Meter::on(&stage.world.cloud);
    let begun = Instant::now();
    let importer = Importer { max_rows: 100_000, ..stage.importer(stage.deadline()) };
    Box::pin(importer.run(&stage.dropped(&object))).await.expect("an end");
    let seconds = begun.elapsed().as_secs_f64();
    let requests = stage.world.cloud.attempts().len();
    let units = meter.units(&stage.world.cloud);
    stage.world.cloud.unseed();
    let run = stage.found(&object).await;
    assert_eq!(run.status, ImportStatus::Completed);
    assert_eq!(run.totals.created as usize, rows);
    let all: usize = units.values().sum();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let each = |count: usize| count as f64 / rows as f64;
    let told = json!({
        "runs": rows, "requests": requests, "requests_each": each(requests), "units": units,
        "units_each": each(all), "rows_a_second": each(1).recip() / seconds,
    });
    eprintln!("{told}");
    // The pool is written when the seats are set aside and when the rest comes back.
    assert_eq!(units["pool"], 4, "{told}");
    assert!(requests <= rows.div_ceil(CHUNK) + BESIDE_CHUNKS, "{told}");
    told
}

#[tokio::test]
async fn an_import_writes_little_beside_its_learners() {
    let begun = Instant::now();
    if runs::long() {
        let told = counted(100_000).await;
        let each = |name: &str| told[name].as_f64().expect("a number");
        assert!(each("units_each") <= 2.1, "{told}");
        assert!(each("requests_each") <= 0.0105, "{told}");
        runs::write("import cost", 0, begun, told);
    } else {
        let told = counted(10 * CHUNK).await;
        // Of a thousand learners, what happens once for the file is a bigger part.
        let each = told["units_each"].as_f64().expect("a number");
        assert!(each <= 2.15, "{told}");
    }
}
