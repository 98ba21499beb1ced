//! What the templates see: cleaned text and computed colors.

use seatkeeper_domain::color::Color;

use crate::{
    FirstSignIn, ImportEnding, ImportNews, Letter, LetterKind, Link, MailLanguage, Reader, clean,
};

/// A letter as its templates see it.
pub(crate) struct View {
    /// The language, for the `lang` attribute.
    pub(crate) lang: &'static str,
    pub(crate) client: String,
    pub(crate) from_name: String,
    pub(crate) logo: Option<String>,
    pub(crate) palette: Palette,
    pub(crate) email: String,
    pub(crate) first_name: Option<String>,
    pub(crate) inviter: Option<String>,
    /// The lines of the personal message; none if there is no message.
    pub(crate) message: Vec<String>,
    /// Whether this kind of mail has a personal link.
    pub(crate) has_link: bool,
    /// Where the button leads: the personal link (nowhere in a copy), else the sign-in page.
    pub(crate) action_url: Option<String>,
    pub(crate) expires_on: Option<String>,
    /// The generated password; bullets in a copy.
    pub(crate) password: Option<String>,
    pub(crate) access_until: Option<String>,
    /// The code to redeem; bullets in a copy.
    pub(crate) code: Option<String>,
    pub(crate) redeem_until: Option<String>,
    /// Where reminders are stopped (nowhere in a copy).
    pub(crate) unsubscribe_url: Option<String>,
    /// The reference of the contract the mail is about.
    pub(crate) contract: String,
    pub(crate) import: ImportView,
    pub(crate) stock: StockView,
    pub(crate) ending: EndingView,
    /// The last day on which coming in keeps a seat that nobody uses.
    pub(crate) unused_until: String,
    /// The day on which accounts are erased.
    pub(crate) erased_on: String,
    /// Whether this is the administrator's copy.
    pub(crate) copy: bool,
}

/// What became of a file; counts of nothing are left out.
#[derive(Default)]
pub(crate) struct ImportView {
    pub(crate) file: String,
    pub(crate) rejected: bool,
    pub(crate) refused: bool,
    pub(crate) has_report: bool,
    pub(crate) rows: String,
    pub(crate) created: Option<String>,
    pub(crate) invited: Option<String>,
    pub(crate) scheduled: Option<String>,
    pub(crate) updated: Option<String>,
    pub(crate) skipped: Option<String>,
    pub(crate) failed: Option<String>,
}

/// What is left of a contract.
#[derive(Default)]
pub(crate) struct StockView {
    pub(crate) left: u64,
    pub(crate) available: String,
    pub(crate) total: String,
    /// The day on which none is left at the present rate.
    pub(crate) empty_on: Option<String>,
}

/// How a contract ends.
#[derive(Default)]
pub(crate) struct EndingView {
    pub(crate) ends_on: String,
    pub(crate) stops_access: bool,
    /// The last day of access, if it is a later one.
    pub(crate) access_until: Option<String>,
    pub(crate) used: String,
    pub(crate) total: String,
    /// Invitations without an answer, if there are any.
    pub(crate) invitations: Option<String>,
    pub(crate) at_least: bool,
    /// Seats that open on a later date, if there are any.
    pub(crate) scheduled: Option<String>,
}

/// The client's color and what is readable with it.
pub(crate) struct Palette {
    pub(crate) brand: Color,
    pub(crate) on_brand: Color,
    /// The color of links on a light background.
    pub(crate) accent: Color,
    /// The color of links on a dark background.
    pub(crate) accent_dark: Color,
}

/// The dark card of the layout.
const DARK_CARD: Color = Color::rgb(0x1e, 0x22, 0x27);

impl View {
    pub(crate) fn new(letter: &Letter<'_>, language: MailLanguage) -> Self {
        let copy = letter.reader == Reader::CopyToAdministrator;
        let (link, password) = secrets(&letter.kind);
        let mut facts = Facts::of(&letter.kind, language);
        if copy {
            facts.code = facts.code.map(|_| HIDDEN.to_owned());
        }
        let brand = &letter.brand;
        let client = clean::line(brand.name, clean::NAME_MAX);
        let from_name = brand.from_name.map(|name| clean::line(name, clean::NAME_MAX));
        let owned = |url: &str| clean::web_address(url).map(ToOwned::to_owned);
        Self {
            lang: language.tag(),
            from_name: from_name.filter(|name| !name.is_empty()).unwrap_or_else(|| client.clone()),
            client,
            logo: brand.logo_url.filter(|url| url.starts_with("https://")).and_then(owned),
            palette: Palette {
                brand: brand.color,
                on_brand: brand.color.text_on(),
                accent: brand.color.readable_on(Color::WHITE),
                accent_dark: brand.color.readable_on(DARK_CARD),
            },
            email: clean::line(letter.email, 254),
            first_name: clean::person(letter.first_name),
            inviter: clean::inviter(letter.inviter),
            message: clean::lines(letter.message),
            has_link: link.is_some(),
            action_url: match (link, &letter.kind) {
                (Some(_), _) | (None, LetterKind::CodeSent { .. }) if copy => None,
                (Some(link), _) => owned(link.url),
                (None, LetterKind::CodeSent { url, .. }) => owned(url),
                (
                    None,
                    LetterKind::ImportFinished(_)
                    | LetterKind::StockLow { .. }
                    | LetterKind::ContractEnding { .. }
                    | LetterKind::Erasure { .. },
                ) => None,
                (None, _) => owned(letter.sign_in_url),
            },
            expires_on: link.map(|link| language.date(link.expires_on)),
            password: password.map(|text| if copy { HIDDEN } else { text }.to_owned()),
            access_until: letter.access_until.map(|date| language.date(date)),
            code: facts.code,
            redeem_until: facts.redeem_until,
            unsubscribe_url: match letter.kind {
                LetterKind::Reminder { unsubscribe_url, .. } if !copy => owned(unsubscribe_url),
                _ => None,
            },
            contract: facts.contract,
            import: facts.import,
            stock: facts.stock,
            ending: facts.ending,
            erased_on: facts.erased_on,
            unused_until: facts.unused_until,
            copy,
        }
    }
}

/// What stands for a secret in a copy.
const HIDDEN: &str = "••••••••";

/// What only some kinds of letters say.
#[derive(Default)]
struct Facts {
    code: Option<String>,
    redeem_until: Option<String>,
    contract: String,
    import: ImportView,
    stock: StockView,
    ending: EndingView,
    erased_on: String,
    unused_until: String,
}

impl Facts {
    fn of(kind: &LetterKind<'_>, language: MailLanguage) -> Self {
        let contract = |reference: &str| clean::line(reference, clean::NAME_MAX);
        let some = |count: u64| (count > 0).then(|| language.number(count));
        match *kind {
            LetterKind::CodeSent { code, redeem_until, .. } => Self {
                code: Some(clean::line(code, clean::NAME_MAX)),
                redeem_until: redeem_until.map(|date| language.date(date)),
                ..Self::default()
            },
            LetterKind::ImportFinished(news) => {
                Self { import: ImportView::of(&news, language), ..Self::default() }
            }
            LetterKind::StockLow { contract: reference, available, total, empty_on } => Self {
                contract: contract(reference),
                stock: StockView {
                    left: available,
                    available: language.number(available),
                    total: language.number(total),
                    empty_on: empty_on.map(|date| language.date(date)),
                },
                ..Self::default()
            },
            LetterKind::ContractEnding {
                contract: reference,
                ends_on,
                stops_access,
                access_until,
                used,
                total,
                invitations,
                at_least,
                scheduled,
            } => Self {
                contract: contract(reference),
                ending: EndingView {
                    ends_on: language.date(ends_on),
                    stops_access,
                    access_until: access_until.map(|date| language.date(date)),
                    used: language.number(used),
                    total: language.number(total),
                    invitations: some(invitations),
                    at_least,
                    scheduled: some(scheduled),
                },
                ..Self::default()
            },
            LetterKind::SeatUnused { until, .. } => {
                Self { unused_until: language.date(until), ..Self::default() }
            }
            LetterKind::Erasure { on } => Self { erased_on: language.date(on), ..Self::default() },
            _ => Self::default(),
        }
    }
}

impl ImportView {
    fn of(news: &ImportNews<'_>, language: MailLanguage) -> Self {
        let some = |count: u64| (count > 0).then(|| language.number(count));
        Self {
            file: clean::line(news.file, clean::NAME_MAX),
            rejected: news.ending == ImportEnding::Rejected,
            refused: news.ending == ImportEnding::Refused,
            has_report: news.has_report,
            rows: language.number(news.rows),
            created: some(news.created),
            invited: some(news.invited),
            scheduled: some(news.scheduled),
            updated: some(news.updated),
            skipped: some(news.skipped),
            failed: some(news.failed),
        }
    }
}

/// What of a letter only its learner may see.
fn secrets<'a>(kind: &LetterKind<'a>) -> (Option<Link<'a>>, Option<&'a str>) {
    match *kind {
        LetterKind::Invitation(link)
        | LetterKind::AddressProof(link)
        | LetterKind::AccountCreatedLink(link)
        | LetterKind::Added(Some(link))
        | LetterKind::AccessOpened(FirstSignIn::Link(link))
        | LetterKind::PasswordReset(link)
        | LetterKind::SeatUnused { link: Some(link), .. }
        | LetterKind::Reminder { link, .. } => (Some(link), None),
        LetterKind::AccountCreatedPassword { password }
        | LetterKind::AccessOpened(FirstSignIn::Password(password)) => (None, Some(password)),
        LetterKind::AccountCreated
        | LetterKind::Added(None)
        | LetterKind::AccessOpened(FirstSignIn::AsUsual)
        | LetterKind::Redeemed
        | LetterKind::SeatUnused { link: None, .. }
        | LetterKind::CodeSent { .. }
        | LetterKind::ImportFinished(_)
        | LetterKind::StockLow { .. }
        | LetterKind::ContractEnding { .. }
        | LetterKind::Erasure { .. } => (None, None),
    }
}
