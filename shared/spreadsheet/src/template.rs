//! The template: a file to fill in, with headings that are recognized.

use std::iter::zip;

use jiff::civil::Date;
use rust_xlsxwriter::{
    Color, DataValidation, Format, FormatAlign, Formula, Workbook, Worksheet, XlsxError,
};
use seatkeeper_domain::import::Field;
use seatkeeper_domain::language::{Language, Languages};

use crate::report::{AS_TEXT, ReportError, excel_date, fit_to_paper, heading_format, properties};
use crate::texts::{TemplateTexts, Texts};

/// The last row that has drop-downs: as many as an import takes at most.
const LAST_ROW: u32 = 100_000;
/// Most groups in the drop-down.
const GROUPS_MAX: usize = 5_000;
/// Most characters that Excel takes as a drop-down's own list.
const MAX_LIST: usize = 255;
/// The hidden sheet of what drop-downs offer.
const LISTS: &str = "Lists";
/// Widths in characters: of a column, of the help sheet's explanations.
const COLUMN_WIDTH: u8 = 22;
const HELP_WIDTH: u8 = 90;

/// A template's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateFormat {
    /// A workbook with drop-downs and a help sheet.
    Xlsx,
    /// The headings as separated text: UTF-8 with a byte order mark, by `;` where Excel expects it.
    Csv,
}

/// Whom a template is for.
#[derive(Debug, Clone, Copy)]
pub struct TemplateAbout<'a> {
    /// The administrator's language; English where a language has no texts.
    pub language: &'a Language,
    /// The languages that learners may have.
    pub languages: &'a Languages,
    /// What a cell may say to name each group.
    pub groups: &'a [String],
    /// The contract's reference, if the template is for one.
    pub contract: Option<&'a str>,
    /// A day that the contract allows as a start, for the examples.
    pub start_on: Date,
    /// The day of the template, so that the same template is the same bytes.
    pub made_on: Date,
}

/// Writes a template.
pub fn template(about: &TemplateAbout<'_>, format: TemplateFormat) -> Result<Vec<u8>, ReportError> {
    let texts = &Texts::of(about.language).template;
    match format {
        TemplateFormat::Csv => Ok(csv(texts)),
        TemplateFormat::Xlsx => Ok(workbook(about, texts)?),
    }
}

/// The headings: no heading has a separator or quotes in it.
fn csv(texts: &TemplateTexts) -> Vec<u8> {
    let separator = texts.separator.to_string();
    format!("\u{feff}{}\r\n", texts.headings.join(&separator)).into_bytes()
}

fn workbook(about: &TemplateAbout<'_>, texts: &TemplateTexts) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(about.made_on)?);
    let groups = &about.groups[..about.groups.len().min(GROUPS_MAX)];
    write_learners(workbook.add_worksheet(), about, texts, groups.len())?;
    write_help(workbook.add_worksheet(), about, texts)?;
    if !groups.is_empty() {
        let lists = workbook.add_worksheet();
        lists.set_name(LISTS)?.set_hidden(true);
        for (row, group) in (0..).zip(groups) {
            lists.write_string(row, 0, group)?;
        }
    }
    workbook.save_to_buffer()
}

/// The sheet to fill in.
fn write_learners(
    sheet: &mut Worksheet,
    about: &TemplateAbout<'_>,
    texts: &TemplateTexts,
    groups: usize,
) -> Result<(), XlsxError> {
    sheet.set_name(texts.learners)?;
    sheet.set_freeze_panes(1, 0)?;
    fit_to_paper(sheet);
    for (column, (field, heading)) in (0..).zip(zip(Field::ALL, texts.headings)) {
        sheet.set_column_width(column, COLUMN_WIDTH)?;
        if let Some(format) = cell_format(field, texts) {
            sheet.set_column_format(column, &format)?;
        }
        sheet.write_string_with_format(0, column, heading, &heading_format_of(field))?;
        if let Some(choice) = choice(field, about, texts, groups)? {
            sheet.add_data_validation(1, column, LAST_ROW, column, &choice)?;
        }
    }
    Ok(())
}

/// What has zeros in front, or means something else as a number, is text; dates are dates.
fn cell_format(field: Field, texts: &TemplateTexts) -> Option<Format> {
    match field {
        Field::ExternalId | Field::Password => Some(Format::new().set_num_format_index(AS_TEXT)),
        Field::StartOn | Field::EndOn | Field::DeleteOn => {
            Some(Format::new().set_num_format(texts.date_format))
        }
        _ => None,
    }
}

/// The heading of the column that is needed stands out.
fn heading_format_of(field: Field) -> Format {
    let format = heading_format();
    if field == Field::Email {
        format.set_background_color(Color::RGB(0x00FF_E699))
    } else {
        format
    }
}

/// The drop-down of a column. What it offers is advice: other tags of a language are read too, and
/// a cell may name several groups.
fn choice(
    field: Field,
    about: &TemplateAbout<'_>,
    texts: &TemplateTexts,
    groups: usize,
) -> Result<Option<DataValidation>, XlsxError> {
    let list = DataValidation::new().show_error_message(false);
    let list = match field {
        Field::Language => {
            let tags: Vec<_> = about.languages.iter().map(Language::as_str).collect();
            if tags.join(",").len() > MAX_LIST {
                return Ok(None);
            }
            list.allow_list_strings(&tags)?
        }
        Field::Notify => list.allow_list_strings(&texts.answers)?,
        Field::Groups if groups > 0 => {
            list.allow_list_formula(Formula::new(format!("={LISTS}!$A$1:$A${groups}")))
        }
        _ => return Ok(None),
    };
    Ok(Some(list))
}

/// The sheet that explains the other one.
fn write_help(
    sheet: &mut Worksheet,
    about: &TemplateAbout<'_>,
    texts: &TemplateTexts,
) -> Result<(), XlsxError> {
    let wrapped = Format::new().set_text_wrap().set_align(FormatAlign::Top);
    let bold = Format::new().set_bold().set_align(FormatAlign::Top);
    sheet.set_name(texts.help)?;
    fit_to_paper(sheet);
    sheet.set_column_width(0, COLUMN_WIDTH + 8)?;
    sheet.set_column_width(1, HELP_WIDTH)?;
    let mut row = 0;
    if let Some(reference) = about.contract {
        sheet.write_string_with_format(row, 0, texts.contract, &bold)?;
        sheet.write_string_with_format(row, 1, reference, &bold)?;
        row += 2;
    }
    for (number, step) in (1..).zip(texts.steps) {
        sheet.write_string_with_format(row, 0, format!("{number}."), &wrapped)?;
        sheet.write_string_with_format(row, 1, step, &wrapped)?;
        row += 1;
    }
    row += 1;
    for (field, (heading, told)) in zip(Field::ALL, zip(texts.headings, texts.columns)) {
        let told = if field == Field::Language {
            format!("{told} {}", about.languages)
        } else {
            told.to_owned()
        };
        sheet.write_string_with_format(row, 0, heading, &heading_format_of(field))?;
        sheet.write_string_with_format(row, 1, told, &wrapped)?;
        row += 1;
    }
    row += 1;
    sheet.write_string_with_format(row, 0, texts.examples, &bold)?;
    write_examples(sheet, row + 1, about, texts)
}

/// Two people, one below the other beside the headings: one with only what is needed, one with
/// more.
fn write_examples(
    sheet: &mut Worksheet,
    first_row: u32,
    about: &TemplateAbout<'_>,
    texts: &TemplateTexts,
) -> Result<(), XlsxError> {
    let date = Format::new().set_num_format(texts.date_format).set_align(FormatAlign::Left);
    let mut row = first_row;
    for (place, person) in texts.people.iter().enumerate() {
        for (field, heading) in zip(Field::ALL, texts.headings) {
            let example = match example(field, place == 1, person, about, texts) {
                Example::Nothing => continue,
                example => example,
            };
            sheet.write_string_with_format(row, 0, heading, &heading_format_of(field))?;
            match example {
                Example::Text(text) => sheet.write_string(row, 1, text)?,
                Example::Day(day) => match excel_date(day) {
                    Some(day) => sheet.write_datetime_with_format(row, 1, &day, &date)?,
                    None => sheet.write_string(row, 1, day.to_string())?,
                },
                Example::Nothing => sheet,
            };
            row += 1;
        }
        row += 1;
    }
    Ok(())
}

/// What an example has in a column.
enum Example<'a> {
    Nothing,
    Text(&'a str),
    Day(Date),
}

fn example<'a>(
    field: Field,
    is_full: bool,
    person: &[&'a str; 3],
    about: &TemplateAbout<'a>,
    texts: &'a TemplateTexts,
) -> Example<'a> {
    let [first_name, last_name, email] = *person;
    let [label, comment] = texts.label_and_comment;
    let group = about.groups.first().map(String::as_str);
    match field {
        Field::Email => Example::Text(email),
        Field::FirstName => Example::Text(first_name),
        Field::LastName => Example::Text(last_name),
        _ if !is_full => Example::Nothing,
        Field::Language => Example::Text(about.language.as_str()),
        Field::Groups => group.map_or(Example::Nothing, Example::Text),
        Field::Labels => Example::Text(label),
        Field::Roles => Example::Text("learner"),
        Field::StartOn => Example::Day(about.start_on),
        Field::Notify => Example::Text(texts.answers[0]),
        Field::ExternalId => Example::Text("00123"),
        Field::AdditionalInfo => Example::Text(comment),
        Field::DurationDays | Field::EndOn | Field::DeleteOn | Field::Password => Example::Nothing,
    }
}
