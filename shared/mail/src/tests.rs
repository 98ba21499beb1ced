//! Every mail in every language, and what hostile input does to it: nothing.

use jiff::civil::date;
use seatkeeper_domain::color::Color;

use super::*;

const TOKEN_URL: &str = "https://join.seatkeeper.example/i/k7m2q9-0v3x8c1t5z4w6n";
const PASSWORD: &str = "hq7tm-rx2wd-bn5ks-u8vya";

fn link() -> Link<'static> {
    Link { url: TOKEN_URL, expires_on: date(2026, 12, 7) }
}

fn letter(kind: LetterKind<'static>) -> Letter<'static> {
    Letter {
        kind,
        brand: Brand {
            name: "Acme",
            color: Color::rgb(0x0b, 0x6e, 0x4f),
            logo_url: None,
            from_name: Some("Acme Académie"),
        },
        email: "line.aubert@example.fr",
        first_name: Some("Line"),
        inviter: Some("Camille Durand"),
        message: None,
        access_until: None,
        sign_in_url: "https://learn.acme.example/",
        reader: Reader::Learner,
    }
}

const CODE: &str = "KXQ4-7MDR-29TV";
const CODE_URL: &str = "https://join.seatkeeper.example/acme/KXQ4-7MDR-29TV";
const STOP_URL: &str = "https://join.seatkeeper.example/u/h3w8e1r5t9y2u4";

fn reminder() -> LetterKind<'static> {
    LetterKind::Reminder { link: link(), unsubscribe_url: STOP_URL }
}

fn code_sent() -> LetterKind<'static> {
    LetterKind::CodeSent { code: CODE, url: CODE_URL, redeem_until: Some(date(2027, 1, 1)) }
}

fn import(ending: ImportEnding) -> LetterKind<'static> {
    let done = ending == ImportEnding::Completed;
    LetterKind::ImportFinished(ImportNews {
        file: "new starters <spring>.xlsx",
        ending,
        has_report: true,
        rows: 12_400,
        created: if done { 12_000 } else { 0 },
        invited: 0,
        scheduled: if done { 250 } else { 0 },
        updated: if done { 31 } else { 0 },
        skipped: if done { 100 } else { 0 },
        failed: 19,
    })
}

fn stock_low(available: u64) -> LetterKind<'static> {
    // The rate of four weeks says when the last is taken; of none, nothing is to be said.
    let empty_on = (available > 1).then(|| date(2027, 2, 14));
    LetterKind::StockLow { contract: "2027-001", available, total: 1500, empty_on }
}

fn contract_ending(stops_access: bool, access_until: Option<Date>) -> LetterKind<'static> {
    LetterKind::ContractEnding {
        contract: "2027-001",
        ends_on: date(2027, 3, 31),
        stops_access,
        access_until,
        used: 1488,
        total: 1500,
        invitations: if stops_access { 5 } else { 0 },
        at_least: access_until.is_some(),
        scheduled: if stops_access { 1200 } else { 0 },
    }
}

fn to_administrator(kind: LetterKind<'static>) -> Letter<'static> {
    Letter { email: "camille.durand@acme.example", first_name: None, inviter: None, ..letter(kind) }
}

/// To an address of which nothing is proven: it repeats nothing that was typed beside it.
fn nobody_known(kind: LetterKind<'static>) -> Letter<'static> {
    Letter { first_name: None, inviter: None, ..letter(kind) }
}

/// Every kind of mail, by the name of its snapshot.
fn all() -> Vec<(&'static str, Letter<'static>)> {
    let invitation = Letter {
        message: Some("Welcome aboard!\r\n\r\nPlease finish module 1 <before> Friday."),
        access_until: Some(date(2027, 6, 30)),
        first_name: None,
        ..letter(LetterKind::Invitation(link()))
    };
    let opened = |sign_in| Letter { inviter: None, ..letter(LetterKind::AccessOpened(sign_in)) };
    vec![
        ("invitation", invitation),
        ("account_created_link", letter(LetterKind::AccountCreatedLink(link()))),
        (
            "account_created_password",
            letter(LetterKind::AccountCreatedPassword { password: PASSWORD }),
        ),
        ("account_created", letter(LetterKind::AccountCreated)),
        ("added", letter(LetterKind::Added(None))),
        ("added_link", letter(LetterKind::Added(Some(link())))),
        ("access_opened_link", opened(FirstSignIn::Link(link()))),
        ("access_opened_password", opened(FirstSignIn::Password(PASSWORD))),
        ("access_opened_as_usual", opened(FirstSignIn::AsUsual)),
        ("redeemed", Letter { inviter: None, ..letter(LetterKind::Redeemed) }),
        ("password_reset", Letter { inviter: None, ..letter(LetterKind::PasswordReset(link())) }),
        (
            "seat_unused",
            nobody_known(LetterKind::SeatUnused { until: date(2027, 3, 31), link: None }),
        ),
        (
            "seat_unused_link",
            nobody_known(LetterKind::SeatUnused { until: date(2027, 3, 31), link: Some(link()) }),
        ),
        ("address_proof", nobody_known(LetterKind::AddressProof(link()))),
        ("reminder", letter(reminder())),
        ("code_sent", letter(code_sent())),
        ("import_finished", to_administrator(import(ImportEnding::Completed))),
        ("import_finished_rejected", to_administrator(import(ImportEnding::Rejected))),
        ("import_finished_refused", to_administrator(import(ImportEnding::Refused))),
        ("stock_low", to_administrator(stock_low(12))),
        ("stock_low_one", to_administrator(stock_low(1))),
        ("stock_low_none", to_administrator(stock_low(0))),
        ("contract_ending", to_administrator(contract_ending(false, None))),
        ("contract_ending_stops_access", to_administrator(contract_ending(true, None))),
        (
            "contract_ending_with_grace",
            to_administrator(contract_ending(true, Some(date(2027, 4, 14)))),
        ),
        ("erasure", to_administrator(LetterKind::Erasure { on: date(2027, 3, 31) })),
        ("reminder_copy", Letter { reader: Reader::CopyToAdministrator, ..letter(reminder()) }),
        ("code_sent_copy", Letter { reader: Reader::CopyToAdministrator, ..letter(code_sent()) }),
        (
            "invitation_copy",
            Letter {
                reader: Reader::CopyToAdministrator,
                ..letter(LetterKind::Invitation(link()))
            },
        ),
        (
            "account_created_password_copy",
            Letter {
                reader: Reader::CopyToAdministrator,
                ..letter(LetterKind::AccountCreatedPassword { password: PASSWORD })
            },
        ),
    ]
}

/// What a reader sees of an HTML part: its texts, one a line, and the targets of its links.
fn visible(html: &str) -> String {
    let body = html.split_once("<body").unwrap().1.split_once('>').unwrap().1;
    let mut out = String::new();
    for piece in body.split('<') {
        let (tag, text) = piece.split_once('>').unwrap_or(("", piece));
        for (attribute, sign) in [("href=\"", "→"), ("src=\"", "▣")] {
            if let Some((_, rest)) = tag.split_once(attribute) {
                let target = rest.split_once('"').unwrap().0;
                out.extend([sign, " ", target, "\n"]);
            }
        }
        if !tag.starts_with('!') && !text.trim().is_empty() {
            out.push_str(text.trim());
            out.push('\n');
        }
    }
    out
}

#[test]
fn every_mail_in_every_language() {
    for language in available_languages() {
        for (name, letter) in all() {
            let mail = render(&letter, *language).unwrap();
            let shown = format!(
                "Subject: {}\nFrom: {}\n\n{}\n==== HTML ====\n{}",
                mail.subject,
                mail.from_name,
                mail.text,
                visible(&mail.html)
            );
            insta::assert_snapshot!(format!("{}_{name}", language.tag()), shown);
        }
    }
}

#[test]
fn the_whole_html_of_a_mail() {
    let branded = Letter {
        brand: Brand {
            logo_url: Some("https://cdn.acme.example/logo.png?v=1&w=2"),
            ..letter(LetterKind::Added(None)).brand
        },
        message: Some("Two\nlines"),
        ..letter(LetterKind::AccountCreatedPassword { password: PASSWORD })
    };
    insta::assert_snapshot!(render(&branded, MailLanguage::English).unwrap().html);
}

#[test]
fn a_mail_names_its_language_and_link_in_both_parts() {
    for language in available_languages() {
        for (name, letter) in all() {
            let mail = render(&letter, *language).unwrap();
            assert!(mail.html.contains(&format!("<html lang=\"{}\"", language.tag())), "{name}");
            let (link, password) = match letter.kind {
                LetterKind::Invitation(link)
                | LetterKind::AccountCreatedLink(link)
                | LetterKind::Added(Some(link))
                | LetterKind::AccessOpened(FirstSignIn::Link(link))
                | LetterKind::PasswordReset(link)
                | LetterKind::SeatUnused { link: Some(link), .. }
                | LetterKind::AddressProof(link)
                | LetterKind::Reminder { link, .. } => (Some(link.url), None),
                LetterKind::AccountCreatedPassword { password }
                | LetterKind::AccessOpened(FirstSignIn::Password(password)) => {
                    (None, Some(password))
                }
                _ => (None, None),
            };
            let is_copy = letter.reader == Reader::CopyToAdministrator;
            for part in [&mail.text, &mail.html] {
                assert_eq!(part.contains(TOKEN_URL), link.is_some() && !is_copy, "{name}");
                assert_eq!(part.contains(PASSWORD), password.is_some() && !is_copy, "{name}");
                assert_eq!(part.contains(CODE), name == "code_sent", "{name}");
                assert_eq!(part.contains(STOP_URL), name == "reminder", "{name}");
            }
            // In a copy there is nothing to press that would need the secret.
            let pressed = letter.email.starts_with("line.");
            assert!(is_copy || mail.text.contains("https://") == pressed, "{name}");
            assert_eq!(mail.unsubscribe_url.is_some(), name == "reminder", "{name}");
        }
    }
}

/// The two parts are written apart; nobody shall read more in one of them.
#[test]
fn what_the_text_says_the_html_says_too() {
    for language in available_languages() {
        for (name, letter) in all() {
            let mail = render(&letter, *language).unwrap();
            let html = visible(&mail.html).replace("&#60;", "<").replace("&#62;", ">");
            let html: String = html.split_whitespace().collect::<Vec<_>>().join(" ");
            for line in mail.text.lines().filter(|line| *line != "-- ") {
                let said = line.trim_start_matches("> ").trim_matches(['[', ']', '>']);
                // A label and its value stand in cells of their own there.
                let (label, value) = said.rsplit_once(": ").unwrap_or((said, ""));
                let label = label.trim_end_matches(':').trim_end_matches('\u{a0}');
                for part in [label, value] {
                    let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
                    assert!(html.contains(&part), "{} {name}: {part}", language.tag());
                }
            }
            assert!(mail.html.contains(&format!("<title>{}", title_of(&mail))), "{name}");
        }
    }
}

/// The subject as the HTML's title has it: without the mark of a copy, escaped.
fn title_of(mail: &Rendered) -> String {
    let marks = ["Copy: ", "Copie\u{a0}: ", "Kopie: ", "Copia: "];
    let bare = marks.iter().find_map(|mark| mail.subject.strip_prefix(mark));
    bare.unwrap_or(&mail.subject).replace('<', "&#60;").replace('>', "&#62;")
}

/// In French a no-break space goes before `:`, `;`, `!`, `?` and `»`, and after `«`.
#[test]
fn french_punctuation_never_starts_a_line() {
    for (name, letter) in all() {
        let letter = Letter { message: None, ..letter };
        let mail = render(&letter, MailLanguage::French).unwrap();
        let html = visible(&mail.html);
        for text in [mail.subject.as_str(), &mail.text, &html] {
            let words = text.split([' ', '\n']).filter(|word| !word.contains("://"));
            for word in words.filter(|word| !word.contains('&')) {
                let bare = word.replace("\u{a0}:", "").replace("\u{a0}?", "");
                assert!(!bare.contains([':', ';', '!', '?', '«', '»', '\'']), "{name}: {word}");
            }
        }
    }
}

const HOSTILE: &str = "<script>alert('x')</script>\r\nBcc: all@example.com\n\u{202e}moc.live\u{2066} \
                       {{ v.password }}{% include \"x\" %} \"&\u{0}\u{1b}[31m";

fn hostile(kind: LetterKind<'static>) -> Letter<'static> {
    Letter {
        brand: Brand {
            name: HOSTILE,
            color: Color::WHITE,
            logo_url: Some("https://x.example/\"onerror=\"alert(1)"),
            from_name: Some(HOSTILE),
        },
        email: "a\"><img src=x>@example.com",
        first_name: Some(HOSTILE),
        inviter: Some("Eve <b>bold</b>\r\nX: y"),
        message: Some(HOSTILE),
        sign_in_url: "javascript:alert(1)",
        ..letter(kind)
    }
}

#[test]
fn hostile_input_is_shown_harmless() {
    for language in available_languages() {
        for (name, plain) in all() {
            let mail = render(&hostile(plain.kind), *language).unwrap();
            for text in [&mail.subject, &mail.from_name] {
                assert!(!text.chars().any(char::is_control), "{name}: {text:?}");
            }
            for part in [&mail.subject, &mail.from_name, &mail.text, &mail.html] {
                assert!(!part.contains(['\u{202e}', '\u{2066}', '\0', '\u{1b}', '\r']), "{name}");
                assert!(!part.contains("javascript:"), "{name}");
            }
            for tag in ["<script", "<img", "<b>", "onerror"] {
                let shown = mail.html.replace("&#60;img src=x", "");
                assert!(!shown.contains(tag), "{name}: {tag}");
            }
            assert!(mail.html.contains("{{ v.password }}"), "{name}: shown as it was typed");
            assert!(!mail.text.contains("\nBcc:"), "{name}: only quoted");
        }
    }
}

#[test]
fn a_hostile_invitation_in_full() {
    let mail = render(&hostile(LetterKind::Invitation(link())), MailLanguage::English).unwrap();
    insta::assert_snapshot!(format!(
        "Subject: {}\nFrom: {}\n\n{}\n==== HTML ====\n{}",
        mail.subject,
        mail.from_name,
        mail.text,
        visible(&mail.html)
    ));
}

#[test]
fn text_on_the_clients_color_is_readable() {
    for (color, text) in [("#ffffff", "#000000"), ("#ffd400", "#000000"), ("#0b6e4f", "#ffffff")] {
        let mut letter = letter(LetterKind::Added(None));
        letter.brand.color = Color::parse(color).unwrap();
        let html = render(&letter, MailLanguage::English).unwrap().html;
        assert!(html.contains(&format!("background-color:{color};")));
        assert!(html.contains(&format!("font-weight:600;color:{text};")), "{color}");
    }
}

#[test]
fn who_invites_is_named_by_name_or_address_and_never_by_a_link() {
    for (inviter, shown) in [
        ("Camille Durand", Some("Camille Durand")),
        ("Camille@Acme.example", Some("camille@acme.example")),
        ("go to evil.example", None),
        ("https://evil.example/x@y.fr", None),
    ] {
        let letter = Letter { inviter: Some(inviter), ..letter(LetterKind::Invitation(link())) };
        let mail = render(&letter, resolve_language(Some("en"), "en")).unwrap();
        match shown {
            Some(shown) => assert!(mail.text.contains(shown) && mail.html.contains(shown)),
            None => assert!(!mail.text.contains("evil") && !mail.html.contains("evil")),
        }
    }
}

#[test]
fn no_trace_of_the_templates_stays() {
    for language in available_languages() {
        for (name, letter) in all() {
            let mail = render(&letter, *language).unwrap();
            let signed = mail.text.replacen("\n-- \n", "\n--\n", 1);
            assert!(signed != mail.text, "{name}: its footer is a signature");
            assert!(!signed.contains("\n\n\n") && !signed.contains(" \n"), "{name}");
            assert!(mail.text.lines().all(|line| !line.starts_with(' ')), "{name}");
            assert!(!mail.text.contains("&#"), "{name}: plain text is not escaped");
            assert!(!mail.html.contains("{%") && !mail.html.contains("{{"), "{name}");
            // Gmail clips what is longer than 102 KB.
            assert!(mail.html.len() < 20_000, "{name}: {} bytes", mail.html.len());
        }
    }
}
