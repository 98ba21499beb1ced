//! English.
#![expect(clippy::ref_binding_to_reference, reason = "what askama makes of an enum")]

use askama::Template;
use jiff::civil::Date;

use super::{Parts, month};
use crate::LetterKind;
use crate::view::View;

#[derive(Template)]
enum Subject<'a> {
    #[template(path = "en/invitation/subject.txt")]
    Invitation { v: &'a View },
    #[template(path = "en/account_created_link/subject.txt")]
    AccountCreatedLink { v: &'a View },
    #[template(path = "en/account_created_password/subject.txt")]
    AccountCreatedPassword { v: &'a View },
    #[template(path = "en/account_created/subject.txt")]
    AccountCreated { v: &'a View },
    #[template(path = "en/added/subject.txt")]
    Added { v: &'a View },
    #[template(path = "en/access_opened/subject.txt")]
    AccessOpened { v: &'a View },
    #[template(path = "en/redeemed/subject.txt")]
    Redeemed { v: &'a View },
    #[template(path = "en/password_reset/subject.txt")]
    PasswordReset { v: &'a View },
}

#[derive(Template)]
enum Text<'a> {
    #[template(path = "en/invitation/body.txt")]
    Invitation { v: &'a View },
    #[template(path = "en/account_created_link/body.txt")]
    AccountCreatedLink { v: &'a View },
    #[template(path = "en/account_created_password/body.txt")]
    AccountCreatedPassword { v: &'a View },
    #[template(path = "en/account_created/body.txt")]
    AccountCreated { v: &'a View },
    #[template(path = "en/added/body.txt")]
    Added { v: &'a View },
    #[template(path = "en/access_opened/body.txt")]
    AccessOpened { v: &'a View },
    #[template(path = "en/redeemed/body.txt")]
    Redeemed { v: &'a View },
    #[template(path = "en/password_reset/body.txt")]
    PasswordReset { v: &'a View },
}

#[derive(Template)]
enum Html<'a> {
    #[template(path = "en/invitation/body.html")]
    Invitation { v: &'a View },
    #[template(path = "en/account_created_link/body.html")]
    AccountCreatedLink { v: &'a View },
    #[template(path = "en/account_created_password/body.html")]
    AccountCreatedPassword { v: &'a View },
    #[template(path = "en/account_created/body.html")]
    AccountCreated { v: &'a View },
    #[template(path = "en/added/body.html")]
    Added { v: &'a View },
    #[template(path = "en/access_opened/body.html")]
    AccessOpened { v: &'a View },
    #[template(path = "en/redeemed/body.html")]
    Redeemed { v: &'a View },
    #[template(path = "en/password_reset/body.html")]
    PasswordReset { v: &'a View },
}

pub(super) fn parts(kind: &LetterKind<'_>, v: &View) -> askama::Result<Parts> {
    let (subject, text, html) = match kind {
        LetterKind::Invitation(_) => {
            (Subject::Invitation { v }, Text::Invitation { v }, Html::Invitation { v })
        }
        LetterKind::AccountCreatedLink(_) => (
            Subject::AccountCreatedLink { v },
            Text::AccountCreatedLink { v },
            Html::AccountCreatedLink { v },
        ),
        LetterKind::AccountCreatedPassword { .. } => (
            Subject::AccountCreatedPassword { v },
            Text::AccountCreatedPassword { v },
            Html::AccountCreatedPassword { v },
        ),
        LetterKind::AccountCreated => {
            (Subject::AccountCreated { v }, Text::AccountCreated { v }, Html::AccountCreated { v })
        }
        LetterKind::Added(_) => (Subject::Added { v }, Text::Added { v }, Html::Added { v }),
        LetterKind::AccessOpened(_) => {
            (Subject::AccessOpened { v }, Text::AccessOpened { v }, Html::AccessOpened { v })
        }
        LetterKind::Redeemed => {
            (Subject::Redeemed { v }, Text::Redeemed { v }, Html::Redeemed { v })
        }
        LetterKind::PasswordReset(_) => {
            (Subject::PasswordReset { v }, Text::PasswordReset { v }, Html::PasswordReset { v })
        }
    };
    Ok(Parts { subject: subject.render()?, text: text.render()?, html: html.render()? })
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) fn date(date: Date) -> String {
    format!("{}\u{a0}{}, {}", month(date, &MONTHS), date.day(), date.year())
}
