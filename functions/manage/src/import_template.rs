//! The template of imports: `/v1/clients/{client}/import-template`.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode, Uri};
use jiff::ToSpan as _;
use jiff::civil::Date;
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::ground::GroundError;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::client::Group;
use seatkeeper_domain::contract::Contract;
use seatkeeper_domain::dates::local_date;
use seatkeeper_domain::ids::{ClientId, ContractId};
use seatkeeper_domain::import::Window;
use seatkeeper_domain::language::Language;
use seatkeeper_domain::ports::{Catalog as _, Clock as _};
use seatkeeper_http::body::{Fields, choice, parsed, text};
use seatkeeper_http::caller::READS;
use seatkeeper_http::request::Path;
use seatkeeper_http::{App, Problem, Shared, SignedIn};
use seatkeeper_spreadsheet::{TemplateAbout, TemplateFormat, template};

use crate::clients;

/// The formats by the names they have in the query.
const FORMATS: [(&str, TemplateFormat); 2] =
    [("xlsx", TemplateFormat::Xlsx), ("csv", TemplateFormat::Csv)];
/// Longest tag of a language that is looked at.
const TAG_MAX: usize = 35;

/// Answers with the template as a file. A language that is not offered, or none, is the client's.
pub(crate) async fn download(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut query = Fields::of_query(&uri);
    let format = query.optional("format", choice(&FORMATS)).unwrap_or(TemplateFormat::Xlsx);
    let tag = query.optional("language", text(1..=TAG_MAX));
    let contract = query.optional("contract_id", parsed("unknown-contract", str::parse));
    query.finish(|| Some(()))?;
    let owner = clients::known(&app, &client).await?;
    let contract = match contract {
        Some(id) => Some(named(&app, &client, id).await?),
        None => None,
    };
    let offered = tag.and_then(|tag| app.edge.languages.parse(&tag).ok());
    let language = offered.unwrap_or_else(|| owner.default_language.clone());
    let groups = app.store.groups(&client).await?;
    let today = local_date(app.clock.now(), owner.time_zone.zone());
    let about = TemplateAbout {
        language: &language,
        languages: &app.edge.languages,
        groups: &groups.iter().map(cell_of).collect::<Vec<_>>(),
        contract: contract.as_ref().map(|contract| contract.reference.as_str()),
        start_on: example_start(contract.as_ref(), today),
        made_on: today,
    };
    // What cannot be written to memory is a defect of ours.
    let bytes = template(&about, format).map_err(|error| StoreError::Broken(error.to_string()))?;
    Ok(file(format, &language, bytes))
}

/// The contract of a query.
async fn named(
    app: &App<Store>,
    client: &ClientId,
    contract: ContractId,
) -> Result<Contract, Problem> {
    let found = app.store.contract(client, contract).await?;
    Ok(found.ok_or(GroundError::UnknownContract)?)
}

/// What a cell says to mean the group: its id where the name would be taken for several.
fn cell_of(group: &Group) -> String {
    if group.name.contains(['|', ';']) { group.group_id.to_string() } else { group.name.clone() }
}

/// A week from the first possible day on, or the contract's last day before that.
fn example_start(contract: Option<&Contract>, today: Date) -> Date {
    let window = contract.map_or_else(Window::default, |contract| Window {
        starts_on: contract.starts_on,
        ends_on: contract.ends_on,
    });
    let first = window.earliest(today);
    let start = first.saturating_add(1.week());
    window.ends_on.map_or(start, |last| start.min(last))
}

fn file(format: TemplateFormat, language: &Language, bytes: Vec<u8>) -> Response {
    let (kind, ending) = match format {
        TemplateFormat::Xlsx => {
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx")
        }
        TemplateFormat::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    let name = format!("attachment; filename=\"import-template-{language}.{ending}\"");
    // A language's tag is letters only.
    let name = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_DISPOSITION, name),
        // Has the runtime send the bytes as they are: text would lose its byte order mark.
        (CONTENT_ENCODING, HeaderValue::from_static("identity")),
    ];
    (StatusCode::OK, headers, bytes).into_response()
}
