//! Makes the languages of mails from the folders under `templates/`.
//!
//! A folder is a language: `language.txt` says how it writes dates and numbers, the two frames and
//! the folders of the letters hold its words. English is the measure: a language that lacks a file
//! of it, a block of a file or a line of `language.txt` ends the build, and so does one too many.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The language that says which files there are.
const MEASURE: &str = "en";
/// What `language.txt` has to say.
const KEYS: [&str; 6] = ["name", "date", "first_day", "months", "thousands", "grouped_from"];
/// The parts of a letter: the enum of their templates, and the file.
const PARTS: [(&str, &str); 3] =
    [("Subject", "subject.txt"), ("Text", "body.txt"), ("Html", "body.html")];

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=templates");
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut tags = folders(&templates)?;
    tags.retain(|tag| tag != MEASURE);
    tags.insert(0, MEASURE.to_owned());
    let letters = folders(&templates.join(MEASURE))?;
    let measure = blocks_of_files(&templates.join(MEASURE))?;

    let mut names = Vec::new();
    let mut out = String::new();
    for tag in &tags {
        let folder = templates.join(tag);
        compare(tag, &measure, &blocks_of_files(&folder)?)?;
        let said = language(&folder.join("language.txt"))?;
        names.push(said["name"].clone());
        write_language(&mut out, tag, &said, &letters)?;
    }
    write_lists(&mut out, &tags, &names, &letters)?;
    let target = std::env::var_os("OUT_DIR").ok_or("cargo names no folder")?;
    fs::write(PathBuf::from(target).join("languages.rs"), out)?;
    Ok(())
}

/// The names of the folders in a folder, in order.
fn folders(path: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().into_string().map_err(|_| "a name that is no text")?);
        }
    }
    names.sort();
    Ok(names)
}

/// The blocks that each file below a folder fills, by the file's path.
fn blocks_of_files(folder: &Path) -> Outcome<BTreeMap<String, BTreeSet<String>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let starts = text.split("{% block ").skip(1);
            let blocks = starts.filter_map(|start| start.split_whitespace().next());
            let place = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            found.insert(place, blocks.map(ToOwned::to_owned).collect());
        }
    }
    Ok(found)
}

fn compare(
    tag: &str,
    wanted: &BTreeMap<String, BTreeSet<String>>,
    found: &BTreeMap<String, BTreeSet<String>>,
) -> Outcome<()> {
    for (file, blocks) in wanted {
        let Some(filled) = found.get(file) else {
            return Err(format!("templates/{tag}/{file} is missing").into());
        };
        if let Some(block) = blocks.symmetric_difference(filled).next() {
            let problem = if blocks.contains(block) { "lacks" } else { "should not fill" };
            return Err(format!("templates/{tag}/{file} {problem} block {block}").into());
        }
    }
    match found.keys().find(|file| !wanted.contains_key(*file)) {
        Some(file) => Err(format!("templates/{tag}/{file} is no part of {MEASURE}").into()),
        None => Ok(()),
    }
}

/// Reads `language.txt`. A tilde is a space at which no line ends.
fn language(path: &Path) -> Outcome<BTreeMap<String, String>> {
    let mut said = BTreeMap::new();
    for line in fs::read_to_string(path)?.lines() {
        if let Some((key, value)) = line.split_once(" = ") {
            said.insert(key.to_owned(), value.replace('~', "\u{a0}"));
        }
    }
    for key in KEYS {
        if !said.contains_key(key) {
            return Err(format!("{} lacks {key}", path.display()).into());
        }
    }
    if said["months"].split(' ').count() != 12 {
        return Err(format!("{} needs twelve months", path.display()).into());
    }
    Ok(said)
}

fn camel(name: &str) -> String {
    let mut out = String::new();
    for word in name.split('_') {
        let (first, rest) = word.split_at(word.len().min(1));
        out.push_str(&first.to_uppercase());
        out.push_str(rest);
    }
    out
}

/// One module: the grammar of a language and its templates.
fn write_language(
    out: &mut String,
    tag: &str,
    said: &BTreeMap<String, String>,
    letters: &[String],
) -> Outcome<()> {
    let months: Vec<_> = said["months"].split(' ').map(|month| format!("{month:?}")).collect();
    writeln!(out, "#[expect(clippy::ref_binding_to_reference, reason = \"made by askama\")]")?;
    writeln!(out, "mod {tag} {{")?;
    writeln!(out, "use super::{{Grammar, Parts, Template, View}};")?;
    writeln!(out, "use askama::Template as _;")?;
    writeln!(out, "pub(super) const GRAMMAR: Grammar = Grammar {{ tag: {tag:?},")?;
    writeln!(out, "date: {:?}, first_day: {:?},", said["date"], said["first_day"])?;
    writeln!(out, "months: [{}],", months.join(", "))?;
    let from: u64 = said["grouped_from"].parse()?;
    writeln!(out, "thousands: {:?}, grouped_from: {from} }};", said["thousands"])?;
    for (part, file) in PARTS {
        writeln!(out, "#[derive(askama::Template)] enum {part}<'a> {{")?;
        for letter in letters {
            writeln!(out, "#[template(path = \"{tag}/{letter}/{file}\")]")?;
            writeln!(out, "{} {{ v: &'a View }},", camel(letter))?;
        }
        writeln!(out, "}}")?;
    }
    writeln!(out, "pub(super) fn parts(which: Template, v: &View) -> askama::Result<Parts> {{")?;
    writeln!(out, "Ok(match which {{")?;
    for letter in letters {
        let letter = camel(letter);
        writeln!(
            out,
            "Template::{letter} => Parts {{ subject: Subject::{letter} {{ v }}.render()?,"
        )?;
        writeln!(out, "text: Text::{letter} {{ v }}.render()?,")?;
        writeln!(out, "html: Html::{letter} {{ v }}.render()? }},")?;
    }
    writeln!(out, "}}) }} }}")?;
    Ok(())
}

/// The languages and the letters as enums, and what each language answers.
fn write_lists(
    out: &mut String,
    tags: &[String],
    names: &[String],
    letters: &[String],
) -> Outcome<()> {
    writeln!(out, "/// A language that mails exist in.")?;
    writeln!(out, "#[derive(Debug, Clone, Copy, PartialEq, Eq)] pub enum MailLanguage {{")?;
    for name in names {
        writeln!(out, "/// {name}.\n{name},")?;
    }
    writeln!(out, "}}")?;
    writeln!(out, "/// A letter's folder.")?;
    writeln!(out, "#[derive(Debug, Clone, Copy, PartialEq, Eq)] pub(crate) enum Template {{")?;
    for letter in letters {
        writeln!(out, "{},", camel(letter))?;
    }
    writeln!(out, "}}")?;
    let all: Vec<_> = names.iter().map(|name| format!("MailLanguage::{name}")).collect();
    writeln!(out, "const LANGUAGES: &[MailLanguage] = &[{}];", all.join(", "))?;
    let arms = |out: &mut String, what: &str| {
        for (tag, name) in tags.iter().zip(names) {
            writeln!(out, "Self::{name} => {}", what.replace("{tag}", tag))?;
        }
        std::fmt::Result::Ok(())
    };
    writeln!(out, "impl MailLanguage {{")?;
    writeln!(out, "const fn grammar(self) -> &'static Grammar {{ match self {{")?;
    arms(out, "&{tag}::GRAMMAR,")?;
    writeln!(out, "}} }}")?;
    writeln!(out, "/// Fills this language's templates of a letter.")?;
    writeln!(
        out,
        "pub(crate) fn parts(self, which: Template, v: &View) -> askama::Result<Parts> {{"
    )?;
    writeln!(out, "match self {{")?;
    arms(out, "{tag}::parts(which, v),")?;
    writeln!(out, "}} }} }}")?;
    Ok(())
}
