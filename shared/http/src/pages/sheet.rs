//! A sheet of codes, for print: a card each, with a square that phones read.

use askama::Template;
use jiff::civil::Date;
use qrcodegen::{QrCode, QrCodeEcc};

use super::shell::{Holds, Shell, visible};
use super::texts::fill;
use super::{Page, RenderError, Site};

const STYLE: &str = include_str!("../../templates/sheet.css");

/// Modules of white around a square (ISO/IEC 18004).
const QUIET: usize = 4;

/// What is printed.
#[derive(Debug, Clone, Copy)]
pub struct CodeSheet<'a> {
    /// The batch's label.
    pub label: &'a str,
    /// The landing page, as a person types it.
    pub landing_page: &'a str,
    /// The last day on which codes can be redeemed.
    pub valid_until: Option<Date>,
    /// Where the first of these codes stands in the batch, from 1.
    pub first: usize,
    /// How many codes the batch has.
    pub count: usize,
    /// The codes of this sheet.
    pub codes: &'a [PrintedCode],
}

/// One code.
#[derive(Debug, Clone)]
pub struct PrintedCode {
    /// As it is printed.
    pub code: String,
    /// Where it is redeemed.
    pub link: String,
    /// Whether it was redeemed as often as it can be.
    pub redeemed: bool,
}

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPage<'a> {
    shell: &'a Shell,
    title: String,
    range: String,
    card: String,
    how: String,
    valid_until: Option<String>,
    redeemed: &'static str,
    cards: Vec<Card<'a>>,
}

struct Card<'a> {
    code: &'a str,
    redeemed: bool,
    square: Option<Square>,
}

/// A QR code as an SVG path.
struct Square {
    /// Modules of a side, the white around included.
    side: usize,
    path: String,
}

/// The sheet of a batch's codes.
pub fn code_sheet(site: &Site<'_>, sheet: &CodeSheet<'_>) -> Result<Page, RenderError> {
    let texts = &site.language.texts().sheet;
    let client = site.client.as_ref().map(|client| visible(client.name)).unwrap_or_default();
    let last = sheet.first + sheet.codes.len().saturating_sub(1);
    let mut shell = Shell::new(site, None);
    shell.style.push_str(STYLE);
    let until = sheet.valid_until.map(|date| site.language.texts().date(date));
    let page = SheetPage {
        shell: &shell,
        title: fill(texts.title, &[("label", &visible(sheet.label))]),
        range: fill(
            texts.range,
            &[
                ("first", &sheet.first.to_string()),
                ("last", &last.to_string()),
                ("count", &sheet.count.to_string()),
            ],
        ),
        card: fill(texts.card, &[("client", &client)]),
        how: fill(texts.how, &[("page", sheet.landing_page)]),
        valid_until: until.map(|date| fill(texts.valid_until, &[("date", &date)])),
        redeemed: texts.redeemed,
        cards: sheet.codes.iter().map(card).collect(),
    };
    Ok(shell.page(site, &page.render()?, Holds::Words))
}

fn card(printed: &PrintedCode) -> Card<'_> {
    // A link that is too long for a square is printed without one.
    let square = QrCode::encode_text(&printed.link, QrCodeEcc::Medium).ok();
    Card {
        code: &printed.code,
        redeemed: printed.redeemed,
        square: square.filter(|_| !printed.redeemed).map(|square| draw(&square)),
    }
}

/// Each run of dark modules in a row is one rectangle.
fn draw(code: &QrCode) -> Square {
    use std::fmt::Write as _;
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let run = (x..size).take_while(|x| code.get_module(*x, y)).count();
            let length = i32::try_from(run).unwrap_or(size);
            if length > 0 {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
            }
            x += length.max(1);
        }
    }
    Square { side: usize::try_from(size).unwrap_or(0) + 2 * QUIET, path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_square_has_every_dark_module_and_no_other() {
        let code = QrCode::encode_text("https://x.example/acme/ABCD", QrCodeEcc::Medium).unwrap();
        let mut drawn = std::collections::BTreeSet::new();
        for part in draw(&code).path.split('z').filter(|part| !part.is_empty()) {
            let (at, rest) = part[1..].split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let length: i32 = rest.split_once('v').unwrap().0.parse().unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            drawn.extend((x..x + length).map(|x| (x, y)));
        }
        let all = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let dark: std::collections::BTreeSet<_> =
            all.filter(|(x, y)| code.get_module(*x, *y)).collect();
        assert_eq!(drawn, dark);
    }
}
