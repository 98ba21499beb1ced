//! A template, filled in as a person would and read, gives what was filled in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Read as _, Write as _};

use jiff::civil::{Date, date};
use seatkeeper_domain::ids::GroupId;
use seatkeeper_domain::import::{
    CheckedRow, DateOrder, Detected, Field, RawRow, RowRules, TermDefaults, Window, check_row,
};
use seatkeeper_domain::import_run::Mode;
use seatkeeper_domain::language::{Language, Languages};
use seatkeeper_domain::password::PasswordPolicy;
use seatkeeper_domain::role::Role;
use seatkeeper_spreadsheet::{Limits, TemplateAbout, TemplateFormat, read, template};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

const TODAY: Date = date(2026, 11, 23);
/// 1 March 2027, as a workbook counts.
const START: (Date, &str) = (date(2027, 3, 1), "46447");
const GROUP: &str = "Région Nord";
/// How each language answers, writes a date and separates.
const LANGUAGES: [(&str, &str, &str, char); 4] = [
    ("en", "yes", "2027-03-01", ','),
    ("fr", "oui", "01/03/2027", ';'),
    ("de", "ja", "01.03.2027", ';'),
    ("es", "sí", "01/03/2027", ';'),
];

fn languages() -> Languages {
    Languages::from_list("en,fr,de,es,it,nl,pt")
}

fn language(tag: &str) -> Language {
    languages().parse(tag).unwrap()
}

fn written(tag: &str, format: TemplateFormat) -> Vec<u8> {
    let groups = [GROUP.to_owned(), "Ventes".to_owned()];
    let about = TemplateAbout {
        language: &language(tag),
        languages: &languages(),
        groups: &groups,
        contract: Some("2027-ACME"),
        start_on: START.0,
        made_on: TODAY,
    };
    template(&about, format).unwrap()
}

/// What a person fills in.
fn answer(field: Field, tag: &str) -> String {
    let (_, yes, day, _) = LANGUAGES.into_iter().find(|(known, ..)| *known == tag).unwrap();
    match field {
        Field::Email => "zoe@example.org",
        Field::FirstName => "Zoé",
        Field::LastName => "O'Neil",
        Field::Language => tag,
        Field::Groups => GROUP,
        Field::Labels => "a|b",
        Field::Roles => "learner",
        Field::StartOn => day,
        Field::DurationDays => "90",
        Field::EndOn | Field::DeleteOn => "",
        Field::Password => "Vert-Lagune-47-Orchidee!",
        Field::Notify => yes,
        Field::ExternalId => "00123",
        Field::AdditionalInfo => "=1+1",
    }
    .to_owned()
}

fn part(bytes: &[u8], name: &str) -> String {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The workbook with another first sheet.
fn with_sheet(bytes: &[u8], sheet: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut target = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).unwrap();
        if file.name().unwrap() == "xl/worksheets/sheet1.xml" {
            target.start_file("xl/worksheets/sheet1.xml", SimpleFileOptions::default()).unwrap();
            target.write_all(sheet.as_bytes()).unwrap();
        } else {
            target.raw_copy_file(file).unwrap();
        }
    }
    target.finish().unwrap().into_inner()
}

/// The value of a tag's attribute.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, tail) = tag.split_once(&format!(" {name}=\""))?;
    tail.split_once('"').map(|(value, _)| value)
}

/// The format that a spreadsheet program gives to what is typed into a column.
fn column_style(sheet: &str, column: usize) -> String {
    let number = |tag: &str, name| attribute(tag, name).unwrap().parse::<usize>().unwrap();
    let is_of = |tag: &&str| (number(tag, "min")..=number(tag, "max")).contains(&(column + 1));
    let tags = sheet.split("<col ").skip(1).map(|tail| tail.split_once('>').unwrap().0);
    let tags: Vec<_> = tags.map(|tag| format!(" {tag}")).collect();
    let tag = tags.iter().map(String::as_str).find(is_of).unwrap();
    attribute(tag, "style").unwrap_or("0").to_owned()
}

fn filled_xlsx(tag: &str) -> Vec<u8> {
    let bytes = written(tag, TemplateFormat::Xlsx);
    let sheet = part(&bytes, "xl/worksheets/sheet1.xml");
    let cell = |(column, field): (usize, Field)| {
        let (style, text) = (column_style(&sheet, column), answer(field, tag));
        // A program takes a date that is typed into a cell with a date's format for one.
        match field {
            _ if text.is_empty() => format!("<c s=\"{style}\"/>"),
            Field::StartOn => format!("<c s=\"{style}\"><v>{}</v></c>", START.1),
            Field::DurationDays => format!("<c s=\"{style}\"><v>{text}</v></c>"),
            _ => format!("<c s=\"{style}\" t=\"inlineStr\"><is><t>{text}</t></is></c>"),
        }
    };
    let cells: String = Field::ALL.into_iter().enumerate().map(cell).collect();
    let rows = format!("<row r=\"2\">{cells}</row></sheetData>");
    with_sheet(&bytes, &sheet.replace("</sheetData>", &rows))
}

fn filled_csv(tag: &str, separator: char) -> Vec<u8> {
    let mut bytes = written(tag, TemplateFormat::Csv);
    let answers = Field::ALL.map(|field| format!("\"{}\"", answer(field, tag)));
    bytes.extend_from_slice(answers.join(&separator.to_string()).as_bytes());
    bytes
}

fn rules() -> RowRules {
    RowRules {
        today: TODAY,
        window: Window { starts_on: None, ends_on: Some(date(2028, 12, 31)) },
        languages: languages(),
        groups: [(GroupId::from_bits(1), GROUP)].into_iter().collect(),
        create_groups: false,
        grantable: [Role::Learner].into(),
        passwords: PasswordPolicy::default(),
        mode: Mode::Create,
        date_order: DateOrder::Dmy,
        defaults: TermDefaults::default(),
    }
}

fn rows_of(bytes: &[u8]) -> (Detected, Vec<RawRow>) {
    let mut rows = Vec::new();
    let reading = read(bytes, &Limits::default(), |row| rows.push(row)).unwrap();
    (reading.detected, rows)
}

#[track_caller]
fn assert_imports(bytes: &[u8], tag: &str) {
    let (detected, rows) = rows_of(bytes);
    let fields: Vec<_> = detected.columns.iter().map(|column| column.field).collect();
    assert_eq!(fields, Field::ALL.map(Some), "{tag}: every heading is recognized");
    assert!(detected.columns.iter().all(|column| column.hint.is_none()), "{tag}");
    assert_eq!(rows.len(), 1, "{tag}");
    let CheckedRow { email, values, errors, .. } = check_row(&rows[0], &rules());
    assert_eq!(errors, [], "{tag}");
    assert_eq!(email.unwrap().as_str(), "zoe@example.org", "{tag}");
    assert_eq!(values.language, Some(language(tag)), "{tag}");
    assert_eq!((values.groups.len(), values.labels.len()), (1, 2), "{tag}");
    assert_eq!((values.start_on, values.duration_days), (Some(START.0), Some(90)), "{tag}");
    assert_eq!(values.notify, Some(true), "{tag}");
    assert_eq!(values.external_id.as_deref(), Some("00123"), "{tag}");
    assert_eq!(values.additional_info.as_deref(), Some("=1+1"), "{tag}");
    assert!(values.password.is_some(), "{tag}");
}

#[test]
fn a_template_that_is_filled_in_imports_without_a_warning_in_every_language() {
    for (tag, _, _, separator) in LANGUAGES {
        assert_imports(&filled_xlsx(tag), tag);
        assert_imports(&filled_csv(tag, separator), tag);
    }
}

#[test]
fn a_csv_template_opens_in_excel_where_its_language_is_spoken() {
    for (tag, _, _, separator) in LANGUAGES {
        let bytes = written(tag, TemplateFormat::Csv);
        assert!(bytes.starts_with("\u{feff}".as_bytes()), "{tag}");
        let (detected, rows) = rows_of(&bytes);
        assert_eq!((detected.delimiter, rows.len()), (Some(separator), 0), "{tag}");
    }
}

#[test]
fn a_template_that_is_not_filled_in_has_no_rows_whatever_its_other_sheets_say() {
    for (tag, ..) in LANGUAGES {
        let (detected, rows) = rows_of(&written(tag, TemplateFormat::Xlsx));
        assert_eq!((detected.header_row, rows.len()), (Some(1), 0), "{tag}");
    }
}

#[test]
fn a_workbook_holds_its_header_still_and_offers_languages_groups_and_answers() {
    let bytes = written("fr", TemplateFormat::Xlsx);
    let sheet = part(&bytes, "xl/worksheets/sheet1.xml");
    assert!(sheet.contains("<pane ySplit=\"1\"") && sheet.contains("state=\"frozen\""));
    for (cells, list) in [
        ("D2:D100001", "\"en,fr,de,es,it,nl,pt\""),
        ("E2:E100001", "Lists!$A$1:$A$2"),
        ("M2:M100001", "\"oui,non\""),
    ] {
        let tail = sheet.split_once(&format!("sqref=\"{cells}\"")).unwrap().1;
        assert!(tail.starts_with(&format!("><formula1>{list}</formula1>")), "{cells}: {tail}");
    }
    let workbook = part(&bytes, "xl/workbook.xml");
    assert!(workbook.contains("name=\"Lists\" sheetId=\"3\" state=\"hidden\""));
    let help = part(&bytes, "xl/sharedStrings.xml");
    assert!(help.contains("2027-ACME") && help.contains("karim.benali@exemple.fr"));
}

#[test]
fn codes_are_text_and_days_are_dates_in_the_columns_for_them() {
    let sheet = part(&written("de", TemplateFormat::Xlsx), "xl/worksheets/sheet1.xml");
    let style = |field: Field| column_style(&sheet, field as usize);
    let (text, day) = (style(Field::ExternalId), style(Field::StartOn));
    assert_eq!(style(Field::Password), text);
    assert_eq!((style(Field::EndOn), style(Field::DeleteOn)), (day.clone(), day.clone()));
    assert_eq!(style(Field::Email), "0");
    let styles = part(&written("de", TemplateFormat::Xlsx), "xl/styles.xml");
    let formats = styles.split_once("<cellXfs").unwrap().1;
    let number_format = |style: &str| {
        let tag = formats.split("<xf ").nth(style.parse::<usize>().unwrap() + 1).unwrap();
        attribute(&format!(" {tag}"), "numFmtId").unwrap().to_owned()
    };
    assert_eq!(number_format(&text), "49", "the built-in format of text");
    let code = format!("numFmtId=\"{}\" formatCode=\"dd.mm.yyyy\"", number_format(&day));
    assert!(styles.contains(&code), "{styles}");
}

#[test]
fn a_language_without_texts_is_answered_in_english_and_the_same_template_is_the_same_bytes() {
    let headings = |tag: &str| {
        let (detected, _) = rows_of(&written(tag, TemplateFormat::Csv));
        detected.columns.into_iter().map(|column| column.heading).collect::<Vec<_>>()
    };
    assert_eq!(headings("it"), headings("en"));
    assert_ne!(headings("fr"), headings("en"));
    let (once, again) = (written("es", TemplateFormat::Xlsx), written("es", TemplateFormat::Xlsx));
    assert_eq!(once, again);
}
