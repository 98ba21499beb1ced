//! `GET …/codes/{batch}/download`: the codes again, as csv, as a workbook, or as cards to print.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, LINK};
use http::{HeaderValue, StatusCode, Uri};
use seatkeeper_aws::Store;
use seatkeeper_domain::actions::download_codes::{ListedCode, download_codes};
use seatkeeper_domain::client::Client;
use seatkeeper_domain::code::Batch;
use seatkeeper_domain::dates::local_date;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::language::Language;
use seatkeeper_domain::ports::{Catalog as _, Clock as _, IdSource as _};
use seatkeeper_http::body::{Fields, choice, integer};
use seatkeeper_http::caller::ADMINISTRATION;
use seatkeeper_http::pages::{
    ClientLook, CodeSheet, PrintedCode, Site, code_sheet, resolve_language,
};
use seatkeeper_http::request::{AcceptLanguage, Path};
use seatkeeper_http::{Problem, Shared, SignedIn};
use seatkeeper_spreadsheet::{code_list, csv_separator};

use super::batch_of;

/// Most codes of one sheet: with their squares they take some 3 MB of the 6 that Lambda answers.
const SHEET_MAX: usize = 500;

/// The formats of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Xlsx,
    /// Cards to print.
    Html,
}

pub(super) async fn download(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path((client, batch)): Path<(String, String)>,
    accepted: AcceptLanguage,
    uri: Uri,
) -> Result<Response, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    let mut query = Fields::of_query(&uri);
    let formats = [("csv", Format::Csv), ("xlsx", Format::Xlsx), ("html", Format::Html)];
    let format = query.optional("format", choice(&formats)).unwrap_or(Format::Csv);
    let from = query.optional("from", integer(1..=u32::MAX));
    if from.is_some() && format != Format::Html {
        query.refuse("from", "not-allowed", "Only cards to print come in parts.");
    }
    query.finish(|| Some(()))?;
    let batch = batch_of(&app, &client, &batch).await?;
    let owner = app.store.client(&client).await?.ok_or_else(Problem::not_found)?;
    let op = Op { id: app.ids.uuid(), guard: None };
    let (keys, caller) = (&app.edge.keys, signed_in.caller());
    let codes = download_codes(&app.store, &app.clock, keys, caller, op, &client, &batch).await?;
    let base = &app.edge.page_base_url;
    let rows: Vec<PrintedCode> = codes
        .iter()
        .map(|ListedCode { code, redeemed }| PrintedCode {
            code: code.to_string(),
            link: format!("{base}/{client}/{code}"),
            redeemed: *redeemed,
        })
        .collect();
    match format {
        Format::Csv => {
            let bytes = csv(&owner.default_language, &rows).into();
            file(&batch, "csv", "text/csv; charset=utf-8", bytes)
        }
        Format::Xlsx => {
            let today = local_date(app.clock.now(), owner.time_zone.zone());
            let cells = rows.iter().map(cells);
            let bytes = code_list("codes", today, cells).map_err(|e| Problem::internal(&e))?;
            file(&batch, "xlsx", XLSX, bytes)
        }
        Format::Html => {
            let site = Site {
                page_base: base,
                language: resolve_language(
                    None,
                    &accepted.0,
                    Some(owner.default_language.as_str()),
                ),
                client: Some(ClientLook::of(&owner)),
            };
            let from = from.and_then(|from| usize::try_from(from).ok()).unwrap_or(1);
            sheet(&site, &owner, &batch, &rows, from, &uri)
        }
    }
}

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// A file to keep. Its name says nothing of the client.
fn file(
    batch: &Batch,
    extension: &str,
    content_type: &'static str,
    bytes: Vec<u8>,
) -> Result<Response, Problem> {
    let name = format!("attachment; filename=\"{}.{extension}\"", batch.batch_id);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CONTENT_DISPOSITION, HeaderValue::try_from(name).map_err(|_| Problem::not_found())?),
        // Has the runtime send the bytes as they are: text would lose its byte order mark.
        (CONTENT_ENCODING, HeaderValue::from_static("identity")),
    ];
    Ok((StatusCode::OK, headers, bytes).into_response())
}

/// One sheet of cards, and where the next one is.
fn sheet(
    site: &Site<'_>,
    owner: &Client,
    batch: &Batch,
    rows: &[PrintedCode],
    from: usize,
    uri: &Uri,
) -> Result<Response, Problem> {
    let rest = rows.get(from - 1..).unwrap_or_default();
    let codes = rest.get(..SHEET_MAX).unwrap_or(rest);
    let page = format!("{}/{}", site.page_base, owner.client_id);
    // The last day that is whole: an end at midnight is that of the day before.
    let until = batch.valid_until.map(|until| {
        local_date(until - jiff::SignedDuration::from_secs(1), owner.time_zone.zone())
    });
    let printed = CodeSheet {
        label: &batch.label,
        landing_page: page.split_once("://").map_or(page.as_str(), |(_, page)| page),
        valid_until: until,
        first: from,
        count: rows.len(),
        codes,
    };
    let mut response = code_sheet(site, &printed)?.with_status(StatusCode::OK);
    if rest.len() > codes.len() {
        let next = format!("<{}?format=html&from={}>; rel=\"next\"", uri.path(), from + SHEET_MAX);
        let next = HeaderValue::try_from(next).map_err(|_| Problem::not_found())?;
        response.headers_mut().insert(LINK, next);
    }
    Ok(response)
}

fn cells(row: &PrintedCode) -> [&str; 3] {
    [&row.code, &row.link, if row.redeemed { "redeemed" } else { "unused" }]
}

/// The list for a spreadsheet: UTF-8 with a byte order mark, and the separator that the client's
/// Excel expects.
fn csv(language: &Language, rows: &[PrintedCode]) -> String {
    let separator = csv_separator(language).to_string();
    let mut text = String::from("\u{feff}");
    for row in std::iter::once(["code", "link", "state"]).chain(rows.iter().map(cells)) {
        let cells = row.map(safe_cell);
        text.push_str(&cells.join(&separator));
        text.push_str("\r\n");
    }
    text
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection), in quotes if needed.
fn safe_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', ';', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use seatkeeper_domain::language::Languages;

    use super::*;

    #[test]
    fn a_list_has_the_separator_that_spreadsheets_of_its_language_expect() {
        let languages = Languages::from_list("en,fr,de,es");
        let code = PrintedCode {
            code: "ABCD-EFGH".to_owned(),
            link: "https://learn.example/acme/ABCD-EFGH".to_owned(),
            redeemed: false,
        };
        for (tag, separator) in [("en", ","), ("fr", ";"), ("de", ";"), ("es", ";")] {
            let language = languages.parse(tag).expect("a language of the list");
            let list = csv(&language, std::slice::from_ref(&code));
            let cells = [&code.code, &code.link, "unused"].join(separator);
            let heading = ["code", "link", "state"].join(separator);
            assert_eq!(list, format!("\u{feff}{heading}\r\n{cells}\r\n"), "{tag}");
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, expected) in [
            ("ABCD-EFGH", "ABCD-EFGH"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("a;b", "\"a;b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
        ] {
            assert_eq!(safe_cell(cell), expected);
        }
    }
}
