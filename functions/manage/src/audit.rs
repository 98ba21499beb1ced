//! The trail of a client's seats.

use axum::extract::State;
use http::Uri;
use seatkeeper_aws::Store;
use seatkeeper_http::body::{Fields, instant, page_request};
use seatkeeper_http::caller::READS;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, Problem, Shared, SignedIn, views};

use crate::clients;

pub(crate) async fn list(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut fields = Fields::of_query(&uri);
    let request = page_request(&mut fields);
    let since = fields.optional("since", instant());
    fields.finish(|| Some(()))?;
    clients::known(&app, &client).await?;
    let page = app.store.client_audit(&client, since, &request).await?;
    Ok(Answer::ok(&views::list(&page, views::audit_record)))
}
