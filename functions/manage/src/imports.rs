//! Imports: `/v1/clients/{client}/imports` and below.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::Uri;
use jiff::SignedDuration;
use seatkeeper_aws::upload_form::UploadForms;
use seatkeeper_aws::{S3Files, Store};
use seatkeeper_domain::actions::cancel_import::cancel_import;
use seatkeeper_domain::actions::commit_import::commit_import;
use seatkeeper_domain::actions::import_rows::{ImportRowsError, import_rows, page_of};
use seatkeeper_domain::actions::open_import::{OpenImport, open_import};
use seatkeeper_domain::actions::release_import::release_import;
use seatkeeper_domain::actions::run_import::RowDefaults;
use seatkeeper_domain::actions::undo_import::undo_import;
use seatkeeper_domain::audit::Actor;
use seatkeeper_domain::idempotency::Op;
use seatkeeper_domain::ids::{ClientId, ImportId, PoolId};
use seatkeeper_domain::import::DateOrder;
use seatkeeper_domain::import_run::{
    FILE_MAX, ImportRun, ImportSettings, ImportStatus, Mode, OnExisting, OnShortage, Verdict,
};
use seatkeeper_domain::language::Languages;
use seatkeeper_domain::ports::{Clock as _, Files as _, ImportLog as _, Ledger as _, Proofs as _};
use seatkeeper_domain::stock::Stock;
use seatkeeper_http::body::{
    Fields, Payload, choice, date, flag, integer, lines, next_cursor, page_request, text,
};
use seatkeeper_http::caller::{ADMINISTRATION, READS};
use seatkeeper_http::idempotency::Repeatable;
use seatkeeper_http::request::Path;
use seatkeeper_http::{Answer, App, Problem, ProblemCode, Shared, SignedIn, person, views};
use serde_json::{Value, json};

use crate::{WORKS_FOR, clients, contracts};

/// How long the address of a report can be followed: long enough for a redirect.
const LINK_LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// Most characters of a file's name.
const FILENAME_MAX: usize = 255;
/// Most characters of a personal message.
const MESSAGE_MAX: usize = 2_000;
/// Longest duration of a seat, in days: a century.
const DURATION_MAX: u32 = 36_525;
/// Most kept rows that an import shows itself; the list of rows has all of them.
const KEPT_MAX: usize = 1_000;

/// The routes. They want the [`S3Files`] and the [`UploadForms`] as extensions.
pub(crate) fn routes() -> Router<Shared<Store>> {
    let imports = Router::new()
        .route("/imports", get(list).post(open))
        .route("/imports/{import}", get(one))
        .route("/imports/{import}/rows", get(rows))
        .route("/imports/{import}/report", get(report))
        .route("/imports/{import}/commit", post(commit))
        .route("/imports/{import}/cancel", post(cancel))
        .route("/imports/{import}/undo", post(undo))
        .route("/imports/{import}/release", post(release));
    Router::new().nest("/v1/clients/{client}", imports)
}

async fn open(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Extension(forms): Extension<UploadForms>,
    Path(client): Path<String>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    let (wanted, file) = read(&app, client, &payload)?;
    let (app, caller, wanted, file) = (&app, signed_in.caller(), &wanted, &file);
    let work = |op: Op| async move {
        let run = open_import(&app.store, &app.clock, caller, op, wanted).await?;
        let stock = app.store.stock(&wanted.client_id, run.pool()).await?;
        Ok(Answer::created(&views::import(&run, stock)).unrepeatable("/upload"))
    };
    let mut answer = app.once().answer(&caller.subject, &request, &payload, work).await?;
    // Also of a replay: the form that was answered first may be over.
    let key = answer.body()["key"].as_str().unwrap_or_default().to_owned();
    let form = forms.form(&key, file.content_type, FILE_MAX, app.clock.now()).await?;
    answer.body_mut()["upload"] = json!({"url": form.url, "fields": form.fields});
    Ok(answer)
}

/// What the name of a file says of it, for whoever stores it. What it is, its bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileType {
    extension: &'static str,
    content_type: &'static str,
}

/// The names of files that an import reads.
const FILE_TYPES: [FileType; 6] = [
    FileType {
        extension: "xlsx",
        content_type: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    },
    FileType { extension: "csv", content_type: "text/csv" },
    FileType { extension: "txt", content_type: "text/plain" },
    FileType { extension: "tsv", content_type: "text/tab-separated-values" },
    FileType { extension: "ods", content_type: "application/vnd.oasis.opendocument.spreadsheet" },
    FileType { extension: "xls", content_type: "application/vnd.ms-excel" },
];

/// A name that says nothing.
const UNKNOWN_TYPE: FileType =
    FileType { extension: "bin", content_type: "application/octet-stream" };

impl FileType {
    fn of(filename: &str) -> Self {
        let extension = filename.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_it = |known: &FileType| extension.eq_ignore_ascii_case(known.extension);
        FILE_TYPES.into_iter().find(is_it).unwrap_or(UNKNOWN_TYPE)
    }
}

fn read(
    app: &App<Store>,
    client_id: ClientId,
    payload: &Payload,
) -> Result<(OpenImport, FileType), Problem> {
    const MODES: [(&str, Mode); 2] = [("create", Mode::Create), ("invite", Mode::Invite)];
    const EXISTING: [(&str, OnExisting); 4] = [
        ("skip", OnExisting::Skip),
        ("fill_blank", OnExisting::FillBlank),
        ("update", OnExisting::Update),
        ("error", OnExisting::Error),
    ];
    const SHORTAGE: [(&str, OnShortage); 3] = [
        ("none", OnShortage::None),
        ("valid_only", OnShortage::ValidOnly),
        ("fill", OnShortage::Fill),
    ];
    const ORDERS: [(&str, DateOrder); 2] = [("dmy", DateOrder::Dmy), ("mdy", DateOrder::Mdy)];
    let mut fields = Fields::of(payload)?;
    let (contract_id, sublicense_id) = person::pool(&mut fields);
    let filename = fields.required("filename", text(1..=FILENAME_MAX));
    let mode = fields.required("mode", choice(&MODES));
    let on_existing = fields.optional("on_existing", choice(&EXISTING)).unwrap_or_default();
    let on_shortage = fields.optional("on_shortage", choice(&SHORTAGE));
    let auto_commit = fields.optional("auto_commit", flag()).unwrap_or(false);
    let create_groups = fields.optional("create_groups", flag()).unwrap_or(false);
    let date_order = fields.optional("date_order", choice(&ORDERS)).unwrap_or_default();
    let languages = &app.edge.languages;
    let mode_now = mode.unwrap_or_default();
    let defaults =
        fields.optional_object("defaults", |fields| Some(defaults(fields, languages, mode_now)));
    let settings = ImportSettings {
        mode: mode_now,
        on_existing,
        on_shortage: on_shortage.unwrap_or(OnShortage::ValidOnly),
        auto_commit,
        create_groups,
        date_order,
        defaults: Value::Null,
    };
    fields.finish(|| {
        let filename = filename?;
        let file = FileType::of(&filename);
        let wanted = OpenImport {
            client_id,
            contract_id: contract_id?,
            sublicense_id,
            filename,
            extension: file.extension,
            settings,
            defaults: defaults.unwrap_or_default(),
        };
        Some((wanted, file))
    })
}

/// What rows get that say nothing themselves: the fields of an account or an invitation that many
/// can share.
fn defaults(fields: &mut Fields, languages: &Languages, mode: Mode) -> RowDefaults {
    let both = fields.has("end_on") && fields.has("duration_days");
    let defaults = RowDefaults {
        start_on: fields.optional("start_on", date()),
        end_on: fields.optional("end_on", date()),
        duration_days: fields.optional("duration_days", integer(1..=DURATION_MAX)),
        delete_on: fields.optional("delete_on", date()),
        roles: person::roles(fields),
        group_ids: person::groups(fields),
        labels: person::labels(fields),
        language: fields.optional("language", person::language(languages)),
        additional_info: fields.optional("additional_info", lines(1..=person::INFO_MAX)),
        notify: fields.optional("notify", flag()),
        message: match mode {
            Mode::Invite => fields.optional("message", lines(1..=MESSAGE_MAX)),
            Mode::Create => None,
        },
        generate_password: match mode {
            Mode::Create => fields.optional("generate_password", flag()).unwrap_or(false),
            Mode::Invite => false,
        },
    };
    if both {
        let detail = "Give a last day or a duration, not both.";
        fields.refuse("end_on", "conflicting-end", detail);
    }
    defaults
}

/// What may be done with an import once it has been read.
#[derive(Debug, Clone, Copy)]
enum Steering {
    Commit,
    Cancel,
    Undo,
}

async fn commit(
    app: State<Shared<Store>>,
    signed_in: SignedIn,
    files: Extension<S3Files>,
    path: Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    steer(Steering::Commit, app, signed_in, files, path, request, payload).await
}

async fn cancel(
    app: State<Shared<Store>>,
    signed_in: SignedIn,
    files: Extension<S3Files>,
    path: Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    steer(Steering::Cancel, app, signed_in, files, path, request, payload).await
}

async fn undo(
    app: State<Shared<Store>>,
    signed_in: SignedIn,
    files: Extension<S3Files>,
    path: Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    steer(Steering::Undo, app, signed_in, files, path, request, payload).await
}

async fn steer(
    how: Steering,
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Extension(files): Extension<S3Files>,
    Path((client, import)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, ADMINISTRATION)?;
    Fields::of_optional(&payload)?.finish(|| Some(()))?;
    let id: ImportId = import.parse().map_err(|_| Problem::not_found())?;
    let (app, caller, client, files) = (&app, signed_in.caller(), &client, &files);
    let work = |op: Op| async move {
        let (store, clock) = (&app.store, &app.clock);
        let run = match how {
            Steering::Commit => commit_import(store, clock, caller, op, client, id).await?,
            Steering::Cancel => cancel_import(store, clock, caller, op, client, id).await?,
            Steering::Undo => undo_import(store, files, clock, caller, op, client, id).await?,
        };
        if run.lease_until.is_some() {
            // If this is lost, the sweep finds that nobody is at it.
            if let Err(error) = files.wake_import(client, id, run.epoch).await {
                tracing::warn!(%error, import = %id, "an import was not woken");
            }
        }
        let view = views::import(&run, store.stock(client, run.pool()).await?);
        Ok(match how {
            Steering::Commit | Steering::Undo => Answer::accepted(&view),
            Steering::Cancel => Answer::ok(&view),
        })
    };
    app.once().answer(&caller.subject, &request, &payload, work).await
}

/// `POST …/imports/{import}/release`: the seats of everyone the import let in.
async fn release(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Extension(files): Extension<S3Files>,
    Path((client, import)): Path<(String, String)>,
    request: Repeatable,
    payload: Payload,
) -> Result<Answer, Problem> {
    let client = &signed_in.admitted(&client, ADMINISTRATION)?;
    Fields::of_optional(&payload)?.finish(|| Some(()))?;
    let id: ImportId = import.parse().map_err(|_| Problem::not_found())?;
    let (app, subject, files) = (&app, &signed_in.subject, &files);
    let work = |op: Op| async move {
        let actor = Actor::Caller(subject.clone());
        let (store, clock, ids, keys) = (&app.store, &app.clock, &app.ids, &app.edge.keys);
        let until = clock.now() + WORKS_FOR;
        let done = release_import(store, files, clock, ids, keys, actor, op, client, id, until);
        let done = done.await?;
        Ok(Answer::ok(&json!({
            "released": done.released,
            "cancelled": done.cancelled,
            "complete": done.complete,
            "stock": views::stock(contracts::stock(app, client, done.pool).await?),
        })))
    };
    app.once().answer(subject, &request, &payload, work).await
}

async fn list(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Path(client): Path<String>,
    uri: Uri,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut query = Fields::of_query(&uri);
    let page = page_request(&mut query);
    let page = query.finish(|| Some(page))?;
    clients::known(&app, &client).await?;
    let page = app.store.imports(&client, &page).await?;
    let mut stocks: BTreeMap<PoolId, Option<Stock>> = BTreeMap::new();
    let mut items: Vec<Value> = Vec::new();
    for run in &page.items {
        let pool = run.pool();
        let stock = match stocks.get(&pool) {
            Some(known) => *known,
            None => app.store.stock(&client, pool).await?,
        };
        stocks.insert(pool, stock);
        items.push(views::import(run, stock));
    }
    Ok(Answer::ok(&json!({"items": items, "next_cursor": next_cursor(page.next.as_deref())})))
}

async fn one(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Extension(files): Extension<S3Files>,
    Path((client, import)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let mut run = import_of(&app, &client, &import).await?;
    let standing = app.store.standing(&client, run.pool()).await?;
    if let Some(standing) = &standing {
        let owner = run.import_id.to_string();
        // Rows are counted in the block while they are written.
        let block = standing.blocks.iter().find(|block| block.key.owner == owner);
        run.rows_done = block.map_or(run.rows_done, |block| block.rows);
    }
    let mut view = views::import(&run, standing.map(|standing| standing.shown()));
    let was_undone = matches!(run.status, ImportStatus::Undone | ImportStatus::PartlyUndone);
    if was_undone || run.undoing.kept > 0 {
        let rows = match run.undoing.kept {
            0 => Vec::new(),
            _ => match import_rows(&app.store, &files, &client, &run).await {
                // It still says how many were kept.
                Err(ImportRowsError::Gone) => Vec::new(),
                rows => rows?,
            },
        };
        view["kept"] = rows.iter().filter_map(views::kept_row).take(KEPT_MAX).collect();
    }
    Ok(Answer::ok(&view))
}

async fn rows(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Extension(files): Extension<S3Files>,
    Path((client, import)): Path<(String, String)>,
    uri: Uri,
) -> Result<Answer, Problem> {
    const VERDICTS: [(&str, Verdict); 4] = [
        ("valid", Verdict::Valid),
        ("invalid", Verdict::Invalid),
        ("duplicate", Verdict::Duplicate),
        ("existing", Verdict::Existing),
    ];
    let client = signed_in.admitted(&client, READS)?;
    let mut query = Fields::of_query(&uri);
    let page = page_request(&mut query);
    let verdict = query.optional("verdict", choice(&VERDICTS));
    let page = query.finish(|| Some(page))?;
    let run = import_of(&app, &client, &import).await?;
    let rows = import_rows(&app.store, &files, &client, &run).await?;
    Ok(Answer::ok(&views::list(&page_of(rows, verdict, &page), views::import_row)))
}

async fn report(
    State(app): State<Shared<Store>>,
    signed_in: SignedIn,
    Extension(files): Extension<S3Files>,
    Path((client, import)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let client = signed_in.admitted(&client, READS)?;
    let run = import_of(&app, &client, &import).await?;
    let Some(key) = &run.report_key else {
        let detail =
            "There is no report yet: it is written when the file was read. Look at the import.";
        return Err(Problem::new(ProblemCode::ImportNotReady, detail));
    };
    Ok(Answer::see_other(files.report_link(key, LINK_LIFETIME).await?))
}

async fn import_of(
    app: &App<Store>,
    client: &ClientId,
    import: &str,
) -> Result<ImportRun, Problem> {
    let id: ImportId = import.parse().map_err(|_| Problem::not_found())?;
    app.store.import(client, id).await?.ok_or_else(Problem::not_found)
}
