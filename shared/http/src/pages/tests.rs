//! Every page in every language; what was typed is kept, but never a password.

use data_encoding::BASE64;
use jiff::civil::date;
use sha2::{Digest, Sha256};

use super::*;
use crate::problem::{FieldError, ProblemCode};

const BASE: &str = "https://join.seatkeeper.example";

fn site(language: PageLanguage) -> Site<'static> {
    Site {
        page_base: BASE,
        language,
        client: Some(ClientLook {
            name: "Acme",
            color: Some(Color::rgb(0x0b, 0x6e, 0x4f)),
            logo_url: Some("https://cdn.acme.example/logo.svg"),
            launch_url: "https://learn.acme.example/start",
        }),
    }
}

fn invitation_form() -> InvitationForm<'static> {
    InvitationForm {
        token: "k7m2q9",
        email: "line.aubert@example.fr",
        by_code: false,
        inviter: Some("Camille Durand"),
        expires_on: date(2026, 12, 1),
        password_min_length: 12,
        first_name: "",
        last_name: "",
    }
}

fn landing_form() -> LandingForm<'static> {
    LandingForm {
        client_id: "acme",
        code: "K7MQ-92XV",
        email: "",
        first_name: "",
        last_name: "",
        password_min_length: 12,
    }
}

fn password_form() -> PasswordForm<'static> {
    PasswordForm { token: "p4s5w0", email: "line.aubert@example.fr", password_min_length: 12 }
}

fn invalid(errors: &[(&str, &'static str)]) -> Problem {
    let error = |(name, code): &(&str, &'static str)| FieldError {
        pointer: format!("/{name}"),
        code: (*code).into(),
        detail: "in English".to_owned(),
    };
    Problem::invalid(errors.iter().map(error).collect())
}

const NOTICES: [Notice; 22] = [
    Notice::InvitationExpired,
    Notice::InvitationCancelled,
    Notice::InvitationDeclined,
    Notice::InvitationAlreadyAccepted,
    Notice::RemindersStopped,
    Notice::ProofSent,
    Notice::ProofExpired,
    Notice::ProofClosed,
    Notice::ProofDeclined,
    Notice::ProofDone,
    Notice::LinkGone,
    Notice::UnknownLink,
    Notice::PasswordLinkGone,
    Notice::AccessSuspended,
    Notice::AccessEnded,
    Notice::PasswordSet,
    Notice::NoSeatsLeft,
    Notice::ContractEnded,
    Notice::CodeNotRedeemable,
    Notice::TooManyTries { retry_after: 601 },
    Notice::Unavailable,
    Notice::Failure,
];

/// The document without its style sheet.
fn without_style(page: &Page) -> String {
    let (before, rest) = page.html.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    let Some((before_script, rest)) = after.split_once("<script>") else {
        return format!("{before}<style>…</style>{after}");
    };
    let (_, after) = rest.split_once("</script>").unwrap();
    format!("{before}<style>…</style>{before_script}<script>…</script>{after}")
}

/// What is between the tags of the main part, one text a line.
fn texts(page: &Page) -> String {
    let main = page.html.split_once("<main").unwrap().1.split_once("</main>").unwrap().0;
    let pieces = main.split('<').filter_map(|piece| Some(piece.split_once('>')?.1.trim()));
    pieces.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

fn all_pages(site: &Site<'_>) -> Vec<Page> {
    let refused = Problem::new(ProblemCode::CodeNotRedeemable, "");
    let mut pages = vec![
        invitation(site, &invitation_form(), None).unwrap(),
        landing(site, &landing_form(), Some(&refused)).unwrap(),
        set_password(site, &password_form(), None).unwrap(),
        stop_reminders(site, "k7m2q9").unwrap(),
    ];
    pages.extend(NOTICES.map(|kind| notice(site, kind, Some("/i/k7m2q9")).unwrap()));
    pages
}

#[test]
fn the_pages_as_they_open() {
    for language in available_languages() {
        let (site, tag) = (site(*language), language.tag());
        let page = invitation(&site, &invitation_form(), None).unwrap();
        insta::assert_snapshot!(format!("{tag}_invitation"), without_style(&page));
        let proof = InvitationForm { by_code: true, inviter: None, ..invitation_form() };
        let page = invitation(&site, &proof, None).unwrap();
        insta::assert_snapshot!(format!("{tag}_proof"), texts(&page));
        let page = landing(&site, &landing_form(), None).unwrap();
        insta::assert_snapshot!(format!("{tag}_landing"), without_style(&page));
        let page = set_password(&site, &password_form(), None).unwrap();
        insta::assert_snapshot!(format!("{tag}_set_password"), without_style(&page));
        let page = stop_reminders(&site, "k7m2q9").unwrap();
        insta::assert_snapshot!(format!("{tag}_stop_reminders"), texts(&page));
    }
}

#[test]
fn the_notices() {
    for language in available_languages() {
        let pages = NOTICES.map(|kind| texts(&notice(&site(*language), kind, None).unwrap()));
        insta::assert_snapshot!(format!("{}_notices", language.tag()), pages.join("\n\n"));
    }
    let page = notice(&site(PageLanguage::French), Notice::PasswordSet, None).unwrap();
    insta::assert_snapshot!("fr_notice_in_full", without_style(&page));
}

#[test]
fn errors_stand_beside_their_fields_and_what_was_typed_stays() {
    let form =
        LandingForm { email: "line@", first_name: "L\"ine", last_name: "", ..landing_form() };
    let problem =
        invalid(&[("email", "invalid"), ("last_name", "required"), ("password", "weak-password")]);
    for language in available_languages() {
        let page = landing(&site(*language), &form, Some(&problem)).unwrap();
        insta::assert_snapshot!(format!("{}_landing_errors", language.tag()), without_style(&page));
        assert!(!page.html.contains("in English"), "errors are said in the page's language");
    }
    let html = landing(&site(PageLanguage::English), &form, Some(&problem)).unwrap().html;
    assert!(html.contains("value=\"line@\"") && html.contains("value=\"L&#34;ine\""));
    assert!(html.contains("<title>Error: Redeem your code · Acme</title>"));
    for field in ["email", "last_name", "password"] {
        assert!(html.contains(&format!("<a href=\"#{field}\">")), "{field} is in the summary");
        assert!(html.contains(&format!("id=\"{field}-error\"")), "{field} has its error");
    }
    assert_eq!(html.matches("aria-invalid=\"true\"").count(), 3);
    assert!(!html.contains("first_name-error"));
}

#[test]
fn every_kind_of_field_error_has_its_own_words() {
    let said = |language: PageLanguage, field: &str, code: &'static str| {
        let problem = invalid(&[(field, code)]);
        let page = landing(&site(language), &landing_form(), Some(&problem)).unwrap();
        let marker = format!("id=\"{field}-error\">");
        let rest = page.html.split_once(&marker).unwrap().1;
        format!("{field} {code}: {}", rest.split_once('<').unwrap().0)
    };
    for language in available_languages() {
        let lines: Vec<_> = ["code", "email", "first_name", "last_name", "password"]
            .into_iter()
            .flat_map(|field| {
                let codes = ["required", "too-short", "too-long", "wrong-type"];
                let own = ["weak-password", "wrong-password"];
                let own = own.into_iter().filter(move |_| field == "password");
                codes.into_iter().chain(own).map(move |code| said(*language, field, code))
            })
            .collect();
        insta::assert_snapshot!(format!("{}_field_errors", language.tag()), lines.join("\n"));
    }
}

#[test]
fn a_refusal_of_the_whole_form_keeps_it_filled() {
    let form = LandingForm { email: "line@example.fr", ..landing_form() };
    for (code, expected) in [
        (ProblemCode::NoSeatsLeft, "There are no seats left"),
        (ProblemCode::TooManyRequests, "Too many tries"),
        (ProblemCode::Unavailable, "Please try again in a moment"),
        (ProblemCode::Internal, "Something went wrong"),
    ] {
        let problem = Problem::new(code, "not shown").retry_after(30);
        let page = landing(&site(PageLanguage::English), &form, Some(&problem)).unwrap();
        assert!(page.html.contains(&format!("id=\"summary-title\">{expected}</h2>")), "{code:?}");
        assert!(page.html.contains("value=\"line@example.fr\""));
        assert!(!page.html.contains("aria-invalid") && !page.html.contains("not shown"));
        assert!(page.html.contains("Enter your password once more"));
    }
    let unknown = invalid(&[("nickname", "unknown-field")]);
    let page = landing(&site(PageLanguage::English), &form, Some(&unknown)).unwrap();
    assert!(page.html.contains("role=\"alert\""), "an error that no field shows is shown");
}

#[test]
fn a_refused_code_is_said_beside_the_code_and_nowhere_why() {
    let problem = Problem::new(ProblemCode::CodeNotRedeemable, "expired yesterday");
    let page = landing(&site(PageLanguage::English), &landing_form(), Some(&problem)).unwrap();
    assert!(page.html.contains("id=\"code-error\">This code cannot be redeemed."));
    assert!(!page.html.contains("expired"));
    assert_eq!(page.html.matches("aria-invalid=\"true\"").count(), 1);
}

/// No form has a place for a typed password, so none can be echoed; this holds the template to it.
#[test]
fn a_password_is_never_filled_in() {
    for language in available_languages() {
        for page in all_pages(&site(*language)) {
            for tag in page.html.split('<').filter(|tag| tag.contains("type=\"password\"")) {
                let tag = tag.split_once('>').unwrap().0;
                assert!(!tag.contains("value="), "{tag}");
                assert!(tag.contains("autocomplete=\"new-password\""), "{tag}");
            }
        }
    }
}

#[test]
fn what_was_typed_cannot_become_markup() {
    const HOSTILE: &str = "\"><script>alert(1)</script>{{ x }}</title>\u{202e}";
    let mut site = site(PageLanguage::English);
    site.client = Some(ClientLook {
        name: HOSTILE,
        color: None,
        logo_url: Some("https://x/\"onerror=\"alert(1)"),
        launch_url: "javascript:alert(1)",
    });
    let form = InvitationForm {
        token: "../\"?#",
        email: HOSTILE,
        inviter: Some(HOSTILE),
        first_name: HOSTILE,
        last_name: "{client}",
        ..invitation_form()
    };
    let landing_form = LandingForm { client_id: HOSTILE, code: HOSTILE, ..landing_form() };
    let pages = [
        invitation(&site, &form, None).unwrap(),
        landing(&site, &landing_form, None).unwrap(),
        notice(&site, Notice::PasswordSet, None).unwrap(),
    ];
    for page in &pages {
        assert!(!page.html.contains("<script>alert") && !page.html.contains("\"onerror"));
        assert!(page.html.matches("<script").count() <= 1);
        assert!(!page.html.contains("javascript:"));
        assert_eq!(page.html.matches("</title>").count(), 1);
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(!policy.contains("javascript"), "{policy}");
    }
    assert!(pages[0].html.contains("action=\"https://join.seatkeeper.example/i/..%2F%22%3F%23?"));
    assert!(pages[0].html.contains("value=\"{client}\""), "braces that were typed stay");
    assert!(!pages[2].html.contains('\u{202e}'), "a name does not turn the text around it");
}

#[test]
fn every_page_has_the_headers_that_keep_it_to_itself() {
    for page in all_pages(&site(PageLanguage::French)) {
        let header = |name: &str| page.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("content-language"), "fr");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-robots-tag"), "noindex, nofollow");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let style = page.html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let digest = |text: &str| BASE64.encode(&Sha256::digest(text.as_bytes()));
        let script = page.html.split_once("<script>").map(|(_, rest)| rest);
        let script = script.and_then(|rest| rest.split_once("</script>")).map(|(script, _)| script);
        let may_run = script.map(|script| format!("script-src 'sha256-{}'; ", digest(script)));
        let has_form = page.html.contains("<form");
        let targets = match (has_form, script.is_some()) {
            (false, _) => "'none'".to_owned(),
            (true, false) => format!("'self' {BASE}"),
            (true, true) => format!("'self' {BASE} https://learn.acme.example https:"),
        };
        assert_eq!(
            header("content-security-policy"),
            format!(
                "default-src 'none'; style-src 'sha256-{}'; {}img-src data: \
                 https://cdn.acme.example; form-action {targets}; frame-ancestors 'none'; \
                 base-uri 'none'",
                digest(style),
                may_run.unwrap_or_default(),
            )
        );
        assert!(!page.html.contains(" style=") && !page.html.contains(" onclick"));
        assert_eq!(script.is_some(), page.html.contains("type=\"password\""));
    }
}

#[test]
fn a_page_about_an_unknown_link_shows_no_client() {
    let site = Site { client: None, ..site(PageLanguage::English) };
    let page = notice(&site, Notice::UnknownLink, None).unwrap();
    assert!(!page.html.contains("Acme") && !page.html.contains("<nav"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'none'; "), "{policy}");
}

#[test]
fn a_problem_that_no_field_mends_has_its_notice() {
    for (code, expected) in [
        (ProblemCode::Gone, Notice::LinkGone),
        (ProblemCode::NotFound, Notice::UnknownLink),
        (ProblemCode::AlreadyAccepted, Notice::InvitationAlreadyAccepted),
        (ProblemCode::NoSeatsLeft, Notice::NoSeatsLeft),
        (ProblemCode::ContractEnded, Notice::ContractEnded),
        (ProblemCode::CodeNotRedeemable, Notice::CodeNotRedeemable),
        (ProblemCode::TooManyRequests, Notice::TooManyTries { retry_after: 60 }),
        (ProblemCode::Unavailable, Notice::Unavailable),
        (ProblemCode::Internal, Notice::Failure),
    ] {
        assert_eq!(Notice::of(&Problem::new(code, "")), expected, "{code:?}");
    }
}

/// In French a no-break space goes before `:`, `;`, `!` and `?`; apostrophes are curly.
#[test]
fn french_punctuation_never_starts_a_line() {
    for page in all_pages(&site(PageLanguage::French)) {
        for word in texts(&page).split([' ', '\n']) {
            let bare = word.replace("\u{a0}:", "").replace("\u{a0}?", "");
            assert!(!bare.contains([':', ';', '!', '?', '\'', '&']), "{word}");
        }
    }
}

#[tokio::test]
async fn a_page_is_answered_with_the_callers_status() {
    let page = notice(&site(PageLanguage::English), Notice::LinkGone, None).unwrap();
    let html = page.html.clone();
    let response = page.with_status(StatusCode::GONE);
    assert_eq!(response.status(), StatusCode::GONE);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(response.headers().get_all("content-type").iter().count(), 1);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(body, html.as_bytes());
}
