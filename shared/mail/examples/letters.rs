//! Writes each kind of mail in each language into a folder, as `<language>-<letter>.html`, to be
//! looked at: `cargo run -p seatkeeper-mail --example letters -- <folder>`.

use std::error::Error;
use std::path::PathBuf;

use jiff::civil::date;
use seatkeeper_domain::color::Color;
use seatkeeper_mail::{
    Brand, FirstSignIn, ImportEnding, ImportNews, Letter, LetterKind, Link, Reader,
    available_languages, render,
};

const LINK: Link<'static> = Link {
    url: "https://seats.acme.example/i/AQRhY21lDb3Qx7rK5mEo2sV9hT4nLkAAAAEAAAAAAAAAAHc2pVqk9D0fY1uZ",
    expires_on: date(2026, 12, 7),
};

/// The letters, by the names of their files.
fn letters() -> Vec<(&'static str, LetterKind<'static>)> {
    let import = ImportNews {
        file: "starters 2027.xlsx",
        ending: ImportEnding::Completed,
        has_report: true,
        rows: 12_400,
        created: 12_000,
        invited: 0,
        scheduled: 250,
        updated: 31,
        skipped: 100,
        failed: 19,
    };
    let ends_on = date(2027, 3, 31);
    let contract = "2027-001";
    let password = "hq7tm-rx2wd-bn5ks-u8vya";
    vec![
        ("invitation", LetterKind::Invitation(LINK)),
        (
            "reminder",
            LetterKind::Reminder { link: LINK, unsubscribe_url: "https://seats.acme.example/u/x" },
        ),
        ("account-created-link", LetterKind::AccountCreatedLink(LINK)),
        ("account-created-password", LetterKind::AccountCreatedPassword { password }),
        ("account-created", LetterKind::AccountCreated),
        ("added", LetterKind::Added(None)),
        ("access-opened", LetterKind::AccessOpened(FirstSignIn::AsUsual)),
        ("redeemed", LetterKind::Redeemed),
        ("password-reset", LetterKind::PasswordReset(LINK)),
        ("address-proof", LetterKind::AddressProof(LINK)),
        (
            "code-sent",
            LetterKind::CodeSent {
                code: "KXQ4-7MDR-29TV",
                url: "https://seats.acme.example/acme/KXQ4-7MDR-29TV",
                redeem_until: Some(date(2027, 1, 31)),
            },
        ),
        ("import-finished", LetterKind::ImportFinished(import)),
        (
            "stock-low",
            LetterKind::StockLow {
                contract,
                available: 12,
                total: 1500,
                empty_on: Some(date(2027, 2, 14)),
            },
        ),
        (
            "contract-ending",
            LetterKind::ContractEnding {
                contract,
                ends_on,
                stops_access: true,
                access_until: Some(date(2027, 4, 14)),
                used: 1488,
                total: 1500,
                invitations: 5,
                at_least: false,
                scheduled: 120,
            },
        ),
        ("erasure", LetterKind::Erasure { on: ends_on }),
        ("seat-unused", LetterKind::SeatUnused { until: ends_on, link: None }),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("name a folder")?);
    std::fs::create_dir_all(&folder)?;
    for language in available_languages() {
        for (name, kind) in letters() {
            let to_administrator = matches!(
                kind,
                LetterKind::ImportFinished(_)
                    | LetterKind::StockLow { .. }
                    | LetterKind::ContractEnding { .. }
                    | LetterKind::Erasure { .. }
            );
            let letter = Letter {
                kind,
                brand: Brand {
                    name: "Acme Learning",
                    color: Color::rgb(0x0b, 0x6e, 0x4f),
                    logo_url: None,
                    from_name: None,
                },
                email: "line.aubert@acme.example",
                first_name: Some("Line").filter(|_| !to_administrator),
                inviter: Some("Camille Durand").filter(|_| !to_administrator),
                message: Some("Welcome aboard!\nModule 1 takes twenty minutes.")
                    .filter(|_| name == "invitation" && language.tag() == "en"),
                access_until: (name == "invitation").then_some(date(2027, 6, 30)),
                sign_in_url: "https://learn.acme.example/",
                reader: Reader::Learner,
            };
            let file = folder.join(format!("{}-{name}.html", language.tag()));
            std::fs::write(file, render(&letter, *language)?.html)?;
        }
    }
    Ok(())
}
