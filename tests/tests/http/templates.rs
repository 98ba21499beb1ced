//! The template of imports, as an administrator downloads it.

use seatkeeper_domain::import::Field;
use seatkeeper_spreadsheet::{Limits, read};
use seatkeeper_tests::http::{Call, House, Person, Reply};
use serde_json::json;

use crate::{GLOBEX, admin, contract, globex, group};

const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

async fn download(house: &House, query: &str) -> Reply {
    house.send(Call::get(&format!("{GLOBEX}/import-template{query}")).by(&admin())).await
}

/// The headings of a template whose every column means something.
fn headings(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let reading = read(&reply.bytes, &Limits::default(), |_| {}).expect("a spreadsheet");
    let columns = reading.detected.columns;
    assert!(columns.iter().all(|column| column.field.is_some()));
    assert_eq!(columns.len(), Field::COUNT);
    columns.into_iter().map(|column| column.heading).collect()
}

#[tokio::test]
async fn the_template_is_a_workbook_in_the_clients_language_or_what_the_query_asks_for() {
    let (house, contract) = globex(5).await;
    group(&house, "Région Nord").await;
    let french = download(&house, &format!("?contract_id={contract}")).await;
    assert_eq!(headings(&french)[..3], ["Adresse e-mail", "Prénom", "Nom"]);
    assert_eq!(french.header("content-type"), WORKBOOK);
    let name = "attachment; filename=\"import-template-fr.xlsx\"";
    assert_eq!(french.header("content-disposition"), name);
    let english = download(&house, "?format=csv&language=en-GB").await;
    assert_eq!(headings(&english)[..3], ["Email", "First name", "Last name"]);
    assert!(english.bytes.starts_with("\u{feff}Email,First name".as_bytes()));
    let csv = download(&house, "?format=csv&language=fr").await;
    assert!(csv.bytes.starts_with("\u{feff}Adresse e-mail;Prénom".as_bytes()));
    // A language that nobody speaks here is the client's.
    assert_eq!(headings(&download(&house, "?language=tlh").await), headings(&french));
}

#[tokio::test]
async fn the_template_is_for_readers_and_for_contracts_of_the_client() {
    let (house, _) = globex(5).await;
    let unknown = download(&house, "?contract_id=con_00000000000000000000000000").await;
    assert_eq!(
        (unknown.status, unknown.faults()),
        (422, vec!["/contract_id unknown-contract".to_owned()])
    );
    let made_up = download(&house, "?format=pdf&contract_id=x&colour=red").await;
    assert_eq!(made_up.status, 422, "{}", made_up.text);
    assert_eq!(made_up.faults().len(), 3, "{}", made_up.text);
    let path = format!("{GLOBEX}/import-template");
    assert_eq!(house.get(&Person::new("instructor", "globex"), &path).await.status, 403);
    assert_eq!(house.get(&Person::admin("acme"), &path).await.status, 404);
    assert_eq!(house.get(&Person::lms("globex"), &path).await.status, 200);
    // A contract that has ended still has its template.
    let order = json!({"reference": "2020", "seats": 1, "starts_on": "2020-01-01", "ends_on": "2020-12-31"});
    let ended = contract(&house, order).await;
    assert_eq!(
        headings(&download(&house, &format!("?contract_id={ended}")).await)[0],
        "Adresse e-mail"
    );
}
