//! The three forms: invitation, landing page, password.

use askama::Template;
use jiff::civil::Date;

use super::notice::Notice;
use super::shell::{Holds, Shell, segment, visible};
use super::texts::{Texts, fill};
use super::{Page, RenderError, Site};
use crate::problem::{FieldError, Problem, ProblemCode};

/// The invitation page: what is known of the invitation and what was typed before.
#[derive(Debug, Clone, Copy)]
pub struct InvitationForm<'a> {
    /// The token of the link.
    pub token: &'a str,
    /// The invited address.
    pub email: &'a str,
    /// Whether a code was redeemed with the address: there is nobody who invited, and it is to be
    /// proven.
    pub by_code: bool,
    /// Who invited, where a person did.
    pub inviter: Option<&'a str>,
    /// The last day of the invitation.
    pub expires_on: Date,
    /// Fewest characters of a password.
    pub password_min_length: usize,
    /// The first name as it was typed, or empty.
    pub first_name: &'a str,
    /// The last name as it was typed, or empty.
    pub last_name: &'a str,
}

/// The landing page of a client: what was typed before, or the code of the link.
#[derive(Debug, Clone, Copy)]
pub struct LandingForm<'a> {
    /// The client's id.
    pub client_id: &'a str,
    /// The code of the link or as it was typed, or empty.
    pub code: &'a str,
    /// The address as it was typed, or empty.
    pub email: &'a str,
    /// The first name as it was typed, or empty.
    pub first_name: &'a str,
    /// The last name as it was typed, or empty.
    pub last_name: &'a str,
    /// Fewest characters of a password.
    pub password_min_length: usize,
}

/// The page to choose a password.
#[derive(Debug, Clone, Copy)]
pub struct PasswordForm<'a> {
    /// The token of the link.
    pub token: &'a str,
    /// The learner's address.
    pub email: &'a str,
    /// Fewest characters of a password.
    pub password_min_length: usize,
}

/// What a password field says while it is typed in, with a script.
struct Typing {
    show: &'static str,
    hide: &'static str,
    /// With `{left}`, which the script fills in.
    more: &'static str,
    enough: &'static str,
    min: String,
}

/// One entry of a form, as the template sees it.
#[derive(Default)]
struct Entry<'a> {
    /// Name of the field and id of its element.
    id: &'static str,
    label: &'static str,
    hint: Option<String>,
    error: Option<String>,
    /// The `type` of the element.
    kind: &'static str,
    autocomplete: &'static str,
    value: &'a str,
    /// Shown, but neither typed nor sent.
    fixed: bool,
    /// Typed letter by letter: no capitals, corrections or spell check.
    literal: bool,
    /// For a password.
    typing: Option<Typing>,
}

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage<'a> {
    shell: &'a Shell,
    title: &'static str,
    intro: Vec<String>,
    error_prefix: &'static str,
    error_summary: &'static str,
    /// What is wrong with the form as a whole.
    refusal: Option<Refusal>,
    action: String,
    language: Option<&'static str>,
    entries: Vec<Entry<'a>>,
    submit: &'static str,
    decline: Option<Decline>,
}

/// What is wrong with a form as a whole: what no field of it can mend.
struct Refusal {
    title: &'static str,
    sentences: Vec<String>,
}

struct Decline {
    intro: &'static str,
    label: &'static str,
    action: String,
}

impl FormPage<'_> {
    fn faulty(&self) -> bool {
        self.refusal.is_some() || self.has_faulty_entry()
    }

    fn has_password(&self) -> bool {
        self.entries.iter().any(|entry| entry.typing.is_some())
    }

    fn has_faulty_entry(&self) -> bool {
        self.entries.iter().any(|entry| entry.error.is_some())
    }
}

/// What the three forms share when they are filled.
struct Form<'a> {
    texts: &'static Texts,
    problem: Option<&'a Problem>,
    min: String,
}

/// The page of an invitation, with what is wrong with the last try.
pub fn invitation(
    site: &Site<'_>,
    form: &InvitationForm<'_>,
    problem: Option<&Problem>,
) -> Result<Page, RenderError> {
    let path = format!("/i/{}", segment(form.token));
    let filled = Form::new(site, form.password_min_length, problem);
    let words = InvitationWords::of(site, form, filled.texts);
    let lang = site.language.tag();
    let shell = Shell::new(site, Some(&path));
    let page = FormPage {
        shell: &shell,
        title: words.title,
        intro: words.intro,
        error_prefix: filled.texts.error_prefix,
        error_summary: filled.texts.error_summary,
        refusal: filled.refusal(site, &["first_name", "last_name", "password"]),
        action: format!("{}{path}?lang={lang}", site.page_base),
        language: None,
        entries: vec![
            filled.own_email(form.email),
            filled.first_name(form.first_name),
            filled.last_name(form.last_name),
            filled.new_password(filled.texts.fields.password, filled.texts.fields.password_hint),
        ],
        submit: words.submit,
        decline: Some(Decline {
            intro: words.decline_intro,
            label: words.decline,
            action: format!("{}{path}/decline?lang={lang}", site.page_base),
        }),
    };
    Ok(shell.page(site, &page.render()?, Holds::LaunchingForm))
}

/// What the page of an invitation says: of one that a person sent, or of one that a code made.
struct InvitationWords {
    title: &'static str,
    intro: Vec<String>,
    submit: &'static str,
    decline_intro: &'static str,
    decline: &'static str,
}

impl InvitationWords {
    fn of(site: &Site<'_>, form: &InvitationForm<'_>, texts: &Texts) -> Self {
        let client = client_name(site);
        if form.by_code {
            let texts = &texts.proof;
            return Self {
                title: texts.title,
                intro: vec![fill(texts.intro, &[("client", &client)]), texts.lasts.to_owned()],
                submit: texts.submit,
                decline_intro: texts.decline_intro,
                decline: texts.decline,
            };
        }
        let until = texts.date(form.expires_on);
        let texts = &texts.invitation;
        let inviter = form.inviter.map(visible).filter(|name| !name.trim().is_empty());
        let intro = inviter.map_or_else(
            || fill(texts.intro, &[("client", &client)]),
            |inviter| fill(texts.intro_by, &[("inviter", &inviter), ("client", &client)]),
        );
        Self {
            title: texts.title,
            intro: vec![intro, fill(texts.valid_until, &[("date", &until)])],
            submit: texts.submit,
            decline_intro: texts.decline_intro,
            decline: texts.decline,
        }
    }
}

/// The landing page of a client, with what is wrong with the last try. Its form also sends the
/// page's language, as `language`.
pub fn landing(
    site: &Site<'_>,
    form: &LandingForm<'_>,
    problem: Option<&Problem>,
) -> Result<Page, RenderError> {
    let client_path = format!("/{}", segment(form.client_id));
    let path = match form.code {
        "" => client_path.clone(),
        code => format!("{client_path}/{}", segment(code)),
    };
    let filled = Form::new(site, form.password_min_length, problem);
    let texts = &filled.texts.landing;
    let fields = &filled.texts.fields;
    let names = ["code", "email", "first_name", "last_name", "password"];
    let lang = site.language.tag();
    let shell = Shell::new(site, Some(&path));
    let page = FormPage {
        shell: &shell,
        title: texts.title,
        intro: vec![
            fill(texts.intro, &[("client", &client_name(site))]),
            texts.existing.to_owned(),
        ],
        error_prefix: filled.texts.error_prefix,
        error_summary: filled.texts.error_summary,
        refusal: filled.refusal(site, &names),
        action: format!("{}{client_path}/redeem?lang={lang}", site.page_base),
        language: Some(lang),
        entries: vec![
            filled.code(form.code),
            filled.email(form.email),
            filled.first_name(form.first_name),
            filled.last_name(form.last_name),
            filled.new_password(fields.password, fields.password_hint_existing),
        ],
        submit: texts.submit,
        decline: None,
    };
    Ok(shell.page(site, &page.render()?, Holds::LaunchingForm))
}

/// The page to choose a password, with what is wrong with the last try.
pub fn set_password(
    site: &Site<'_>,
    form: &PasswordForm<'_>,
    problem: Option<&Problem>,
) -> Result<Page, RenderError> {
    let path = format!("/p/{}", segment(form.token));
    let filled = Form::new(site, form.password_min_length, problem);
    let texts = &filled.texts.set_password;
    let fields = &filled.texts.fields;
    let shell = Shell::new(site, Some(&path));
    let page = FormPage {
        shell: &shell,
        title: texts.title,
        intro: vec![fill(texts.intro, &[("client", &client_name(site))])],
        error_prefix: filled.texts.error_prefix,
        error_summary: filled.texts.error_summary,
        refusal: filled.refusal(site, &["password"]),
        action: format!("{}{path}?lang={}", site.page_base, site.language.tag()),
        language: None,
        entries: vec![
            filled.own_email(form.email),
            filled.new_password(fields.new_password, fields.password_hint),
        ],
        submit: texts.submit,
        decline: None,
    };
    Ok(shell.page(site, &page.render()?, Holds::LaunchingForm))
}

/// The page on which reminders of an invitation are stopped.
pub fn stop_reminders(site: &Site<'_>, token: &str) -> Result<Page, RenderError> {
    let path = format!("/i/{}/unsubscribe", segment(token));
    let filled = Form::new(site, 0, None);
    let texts = &filled.texts.stop_reminders;
    let shell = Shell::new(site, Some(&path));
    let page = FormPage {
        shell: &shell,
        title: texts.title,
        intro: vec![fill(texts.intro, &[("client", &client_name(site))])],
        error_prefix: filled.texts.error_prefix,
        error_summary: filled.texts.error_summary,
        refusal: None,
        action: format!("{}{path}?lang={}", site.page_base, site.language.tag()),
        language: None,
        entries: Vec::new(),
        submit: texts.submit,
        decline: None,
    };
    Ok(shell.page(site, &page.render()?, Holds::Form))
}

fn client_name(site: &Site<'_>) -> String {
    let some = || site.language.texts().some_client.to_owned();
    site.client.as_ref().map_or_else(some, |client| visible(client.name))
}

impl<'a> Form<'a> {
    fn new(site: &Site<'_>, min_length: usize, problem: Option<&'a Problem>) -> Self {
        Self { texts: site.language.texts(), problem, min: min_length.to_string() }
    }

    fn refusal(&self, site: &Site<'_>, fields: &[&str]) -> Option<Refusal> {
        let problem = self.problem?;
        let beside = |error: &FieldError| {
            error.pointer.strip_prefix('/').is_some_and(|name| fields.contains(&name))
        };
        match problem.code {
            ProblemCode::CodeNotRedeemable if fields.contains(&"code") => None,
            ProblemCode::InvalidRequest if problem.errors.iter().any(beside) => None,
            _ => {
                let (title, what, todo) = Notice::of(problem).words(site);
                let mut sentences = vec![what, todo];
                sentences.retain(|sentence| !sentence.is_empty());
                Some(Refusal { title, sentences })
            }
        }
    }

    /// What is wrong with a field, in the page's language.
    fn error(&self, field: &'static str) -> Option<String> {
        let problem = self.problem?;
        let texts = &self.texts.errors;
        if problem.code == ProblemCode::CodeNotRedeemable {
            let mistyped = problem.errors.iter().any(|error| error.code == "mistyped-code");
            let text = if mistyped { texts.code_mistyped } else { texts.code_refused };
            return (field == "code").then(|| text.to_owned());
        }
        let is_of = |error: &&FieldError| error.pointer.strip_prefix('/') == Some(field);
        let code = problem.errors.iter().find(is_of)?.code.as_ref();
        let missing = matches!(code, "required" | "missing" | "too-short");
        let text = match (field, code) {
            ("code", _) if missing => texts.code_missing,
            ("code", _) => texts.code_refused,
            ("email", "required" | "missing" | "too-short") => texts.email_missing,
            ("email", _) => texts.email_invalid,
            ("first_name", _) if missing => texts.first_name_missing,
            ("last_name", _) if missing => texts.last_name_missing,
            ("password", "required" | "missing") => texts.password_missing,
            ("password", "too-short" | "weak-password") => texts.password_weak,
            ("password", "wrong-password") => texts.password_wrong,
            (_, "too-long") => texts.too_long,
            _ => texts.other,
        };
        Some(fill(text, &[("min", &self.min)]))
    }

    fn code(&self, value: &'a str) -> Entry<'a> {
        Entry {
            id: "code",
            label: self.texts.fields.code,
            hint: Some(self.texts.fields.code_hint.to_owned()),
            error: self.error("code"),
            kind: "text",
            autocomplete: "off",
            value,
            literal: true,
            ..Entry::default()
        }
    }

    fn email(&self, value: &'a str) -> Entry<'a> {
        Entry {
            id: "email",
            label: self.texts.fields.email,
            error: self.error("email"),
            kind: "email",
            autocomplete: "email",
            value,
            literal: true,
            ..Entry::default()
        }
    }

    /// The known address: shown, and a user name for password managers, but not sent.
    fn own_email(&self, value: &'a str) -> Entry<'a> {
        Entry {
            id: "email",
            label: self.texts.fields.email,
            kind: "email",
            autocomplete: "username",
            value,
            fixed: true,
            ..Entry::default()
        }
    }

    fn first_name(&self, value: &'a str) -> Entry<'a> {
        Entry {
            id: "first_name",
            label: self.texts.fields.first_name,
            error: self.error("first_name"),
            kind: "text",
            autocomplete: "given-name",
            value,
            ..Entry::default()
        }
    }

    fn last_name(&self, value: &'a str) -> Entry<'a> {
        Entry {
            id: "last_name",
            label: self.texts.fields.last_name,
            error: self.error("last_name"),
            kind: "text",
            autocomplete: "family-name",
            value,
            ..Entry::default()
        }
    }

    /// A password, always empty; after a refusal for another reason it says why.
    fn new_password(&self, label: &'static str, hint: &str) -> Entry<'a> {
        let error = self.error("password");
        let emptied = self.problem.is_some() && error.is_none();
        let hint = if emptied { self.texts.fields.password_again } else { hint };
        Entry {
            id: "password",
            label,
            hint: Some(fill(hint, &[("min", &self.min)])),
            error,
            kind: "password",
            autocomplete: "new-password",
            literal: true,
            typing: Some(Typing {
                show: self.texts.fields.show_password,
                hide: self.texts.fields.hide_password,
                more: self.texts.fields.password_more,
                enough: self.texts.fields.password_enough,
                min: self.min.clone(),
            }),
            ..Entry::default()
        }
    }
}
