//! What the templates see: cleaned text and computed colors.

use seatkeeper_domain::color::Color;

use crate::{FirstSignIn, Letter, LetterKind, Link, MailLanguage, Reader, clean};

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
    /// Whether this is the administrator's copy.
    pub(crate) copy: bool,
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
            inviter: clean::person(letter.inviter),
            message: clean::lines(letter.message),
            has_link: link.is_some(),
            action_url: match link {
                Some(_) if copy => None,
                Some(link) => owned(link.url),
                None => owned(letter.sign_in_url),
            },
            expires_on: link.map(|link| language.date(link.expires_on)),
            password: password.map(|text| if copy { "••••••••" } else { text }.to_owned()),
            access_until: letter.access_until.map(|date| language.date(date)),
            copy,
        }
    }
}

/// What of a letter only its learner may see.
fn secrets<'a>(kind: &LetterKind<'a>) -> (Option<Link<'a>>, Option<&'a str>) {
    match *kind {
        LetterKind::Invitation(link)
        | LetterKind::AccountCreatedLink(link)
        | LetterKind::Added(Some(link))
        | LetterKind::AccessOpened(FirstSignIn::Link(link))
        | LetterKind::PasswordReset(link) => (Some(link), None),
        LetterKind::AccountCreatedPassword { password }
        | LetterKind::AccessOpened(FirstSignIn::Password(password)) => (None, Some(password)),
        LetterKind::AccountCreated
        | LetterKind::Added(None)
        | LetterKind::AccessOpened(FirstSignIn::AsUsual)
        | LetterKind::Redeemed => (None, None),
    }
}
