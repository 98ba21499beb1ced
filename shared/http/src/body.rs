//! Reads request bodies, forms and query strings field by field, and collects everything that is
//! wrong with them before answering.
//!
//! ```
//! use seatkeeper_http::body::{Fields, Payload, integer, text};
//!
//! struct NewGroup { name: String, seats: u32 }
//!
//! fn read(payload: &Payload) -> Result<NewGroup, seatkeeper_http::Problem> {
//!     let mut fields = Fields::of(payload)?;
//!     let name = fields.required("name", text(1..=200));
//!     let seats = fields.optional("seats", integer(0..=10_000));
//!     fields.finish(|| Some(NewGroup { name: name?, seats: seats.unwrap_or(0) }))
//! }
//! ```
//!
//! Every reader is called before `finish`, so that the answer names all the fields at fault; the
//! `?` inside `finish` only takes apart what is known to be there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeInclusive;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use jiff::civil::Date;
use seatkeeper_domain::amend::Amend;
use seatkeeper_domain::ports::PageRequest;
use serde_json::{Map, Value};

use crate::idempotency::key_of;
use crate::problem::{FieldError, Problem, ProblemCode};

/// The largest body that is read: 1 MiB.
pub const MAX_BYTES: usize = 1024 * 1024;

/// How many errors an answer names at most, so that a hostile body makes no giant answer.
const MAX_ERRORS: usize = 100;

/// A request body as it came. An extractor that never refuses: who may not call is told that
/// before anything is said about the body.
#[derive(Debug, Clone)]
pub struct Payload {
    /// `None` if it is larger than [`MAX_BYTES`].
    bytes: Option<Bytes>,
    format: Format,
    /// What is wrong with the `Idempotency-Key` it came under: told with the fields, before anything
    /// is looked up.
    key_fault: Vec<FieldError>,
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Form,
}

impl Payload {
    /// A JSON body.
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self::new(bytes.into(), Format::Json)
    }

    /// An `application/x-www-form-urlencoded` body.
    pub fn form(bytes: impl Into<Bytes>) -> Self {
        Self::new(bytes.into(), Format::Form)
    }

    fn new(bytes: Bytes, format: Format) -> Self {
        let bytes = (bytes.len() <= MAX_BYTES).then_some(bytes);
        Self { bytes, format, key_fault: Vec::new() }
    }

    /// Whether the body was sent by a form rather than as JSON.
    pub fn is_form(&self) -> bool {
        self.format == Format::Form
    }

    /// The bytes, or 413 `payload-too-large`.
    pub fn bytes(&self) -> Result<&[u8], Problem> {
        self.bytes.as_deref().ok_or_else(|| {
            Problem::new(
                ProblemCode::PayloadTooLarge,
                "The body is larger than 1 MiB. Split the request, or import a file instead.",
            )
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let content_type = request.headers().get(CONTENT_TYPE);
        let is_form = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| {
                value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        let format = if is_form { Format::Form } else { Format::Json };
        let keyed = request.method() == Method::POST;
        let key = if keyed { key_of(request.headers()) } else { Ok(None) };
        let key_fault = key.err().map(|problem| problem.errors).unwrap_or_default();
        // The body is in memory already: reading it fails only when it is over the limit.
        let bytes = axum::body::to_bytes(request.into_body(), MAX_BYTES).await.ok();
        Ok(Self { bytes, format, key_fault })
    }
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, for programs.
    pub code: Cow<'static, str>,
    /// What is wrong and what to do, for people; without the value itself.
    pub detail: String,
}

impl Refusal {
    /// A refusal with this code and a sentence for people.
    pub fn new(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into() }
    }

    fn wrong_type(expected: &str) -> Self {
        Self::new("wrong-type", format!("Expected {expected}."))
    }
}

/// A value to be read: from JSON, where types count, or from a form or query, where all is text.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    value: &'a Value,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Json,
    Text,
}

impl<'a> Given<'a> {
    /// The value if it is text, else the refusal that says so.
    pub fn as_text(&self) -> Result<&'a str, Refusal> {
        match self.value {
            Value::String(text) => Ok(text),
            Value::Array(_) if self.source == Source::Text => {
                Err(Refusal::new("wrong-type", "Give this once only."))
            }
            _ => Err(Refusal::wrong_type("text")),
        }
    }

    /// The fields if it is an object.
    pub fn as_object(&self) -> Option<&'a serde_json::Map<String, Value>> {
        self.value.as_object()
    }

    /// A part of it.
    #[must_use]
    pub fn of(&self, part: &'a Value) -> Self {
        Self { value: part, ..*self }
    }

    /// The items if it is a list; a single text in a form or query is a list of one.
    fn as_list(&self) -> Result<&'a [Value], Refusal> {
        match self.value {
            Value::Array(items) => Ok(items),
            Value::String(_) if self.source == Source::Text => Ok(std::slice::from_ref(self.value)),
            _ => Err(Refusal::wrong_type("a list")),
        }
    }
}

/// The fields of an object that are still to be read, and what was wrong with those that were.
#[derive(Debug)]
pub struct Fields {
    unread: Map<String, Value>,
    source: Source,
    pointer: String,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Starts reading a body. 413 if it is too large, 400 `invalid-json` if it is not JSON, 422 if
    /// it is no object.
    pub fn of(payload: &Payload) -> Result<Self, Problem> {
        let bytes = payload.bytes()?;
        let fields = match payload.format {
            // A form writes braces as %7B: this is JSON whose sender left the default of `curl -d`.
            Format::Form if bytes.trim_ascii_start().starts_with(b"{") => {
                Err(Problem::invalid_field(
                    "",
                    "wrong-content-type",
                    "The body looks like JSON and was sent as a form. Send the header `Content-Type: application/json`.",
                ))
            }
            Format::Form => Ok(Self::from_pairs(bytes)),
            Format::Json => Self::from_json(bytes),
        };
        fields.map(|fields| fields.under_key_of(payload))
    }

    /// Like [`Fields::of`], for calls whose body may be left out.
    pub fn of_optional(payload: &Payload) -> Result<Self, Problem> {
        if payload.bytes()?.trim_ascii().is_empty() {
            return Ok(Self::from_pairs(b"").under_key_of(payload));
        }
        Self::of(payload)
    }

    fn under_key_of(mut self, payload: &Payload) -> Self {
        self.errors.extend_from_slice(&payload.key_fault);
        self
    }

    /// Starts reading the query string of a request.
    pub fn of_query(uri: &http::Uri) -> Self {
        Self::from_pairs(uri.query().unwrap_or_default().as_bytes())
    }

    fn from_json(bytes: &[u8]) -> Result<Self, Problem> {
        let value = serde_json::from_slice(bytes).map_err(|error| {
            // Only the position: the error's own text may quote the body.
            let (line, column) = (error.line(), error.column());
            let detail = format!(
                "The body stops being JSON at line {line}, column {column}. Correct it there."
            );
            Problem::new(ProblemCode::InvalidJson, detail)
        })?;
        let Value::Object(unread) = value else {
            return Err(Problem::invalid_field("", "wrong-type", "Expected an object."));
        };
        Ok(Self::new(unread, Source::Json, String::new()))
    }

    /// Reads form encoding. A name given several times becomes a list; blanks count as not given,
    /// because a browser sends every field of a form.
    fn from_pairs(bytes: &[u8]) -> Self {
        let mut unread = Map::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if value.trim().is_empty() {
                unread.entry(name).or_insert(Value::Null);
                continue;
            }
            let value = Value::String(value.into_owned());
            let slot = unread.entry(name).or_insert(Value::Null);
            *slot = match slot.take() {
                Value::Null => value,
                Value::Array(mut items) => {
                    items.push(value);
                    Value::Array(items)
                }
                first => Value::Array(vec![first, value]),
            };
        }
        Self::new(unread, Source::Text, String::new())
    }

    fn new(unread: Map<String, Value>, source: Source, pointer: String) -> Self {
        Self { unread, source, pointer, errors: Vec::new() }
    }

    /// A field that has to be there. `None` when it is not, or is refused; both are remembered.
    pub fn required<T>(
        &mut self,
        name: &str,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let value = self.take_required(name)?;
        self.read(name, &value, read)
    }

    /// A field that may be absent or `null`.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let value = self.take(name)?;
        self.read(name, &value, read)
    }

    /// A field of a `PATCH` that may be emptied with `null`.
    pub fn change<T>(
        &mut self,
        name: &str,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Amend<T> {
        match self.unread.remove(name) {
            None => Amend::Keep,
            Some(Value::Null) => Amend::Clear,
            Some(value) => self.read(name, &value, read).map_or(Amend::Keep, Amend::Set),
        }
    }

    /// A list that has to be there, with `count` items.
    pub fn required_list<T>(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let value = self.take_required(name)?;
        self.read_list(name, &value, &count, read)
    }

    /// A list that may be absent or `null`, else with `count` items.
    pub fn optional_list<T>(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let value = self.take(name)?;
        self.read_list(name, &value, &count, read)
    }

    /// An object with names of the sender's choice (1 to `name_length` characters, at most `count`
    /// of them), absent or `null` allowed.
    pub fn optional_map<T>(
        &mut self,
        name: &str,
        count: usize,
        name_length: usize,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Option<BTreeMap<String, T>> {
        let Value::Object(entries) = self.take(name)? else {
            self.refuse(name, "wrong-type", "Expected an object.");
            return None;
        };
        if entries.len() > count {
            self.refuse(name, "too-many", format!("At most {count} entries."));
            return None;
        }
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let pointer = self.pointer_to(name) + "/" + &escape(&key);
            let refusal = if (1..=name_length).contains(&key.chars().count()) {
                match read(Given { value: &value, source: self.source }) {
                    Ok(value) => {
                        map.insert(key, value);
                        continue;
                    }
                    Err(refusal) => refusal,
                }
            } else {
                let detail = format!("Names have 1 to {name_length} characters.");
                Refusal::new("invalid-name", detail)
            };
            self.error(pointer, refusal);
        }
        Some(map)
    }

    /// A nested object that has to be there.
    pub fn required_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields) -> Option<T>,
    ) -> Option<T> {
        let value = self.take_required(name)?;
        self.read_object(name, value, read)
    }

    /// A nested object that may be absent or `null`. `read` calls every reader before it takes the
    /// first of them apart, else the fields after it count as unknown.
    pub fn optional_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        self.read_object(name, value, read)
    }

    /// Whether the field is there and not `null`, still to be read.
    pub fn has(&self, name: &str) -> bool {
        self.unread.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether the field is there and `null`, still to be read.
    pub fn is_null(&self, name: &str) -> bool {
        self.unread.get(name).is_some_and(Value::is_null)
    }

    /// Whether a field that was read so far is at fault.
    pub fn is_refused(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Remembers an error found by comparing fields.
    pub fn refuse(
        &mut self,
        name: &str,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) {
        let pointer = self.pointer_to(name);
        self.error(pointer, Refusal::new(code, detail));
    }

    /// Remembers an error of one item of a list, found by comparing items.
    pub fn refuse_item(
        &mut self,
        name: &str,
        place: usize,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) {
        let pointer = format!("{}/{place}", self.pointer_to(name));
        self.error(pointer, Refusal::new(code, detail));
    }

    /// Ends reading: 422 `invalid-request` naming every field at fault, unread ones included, or
    /// what `build` makes of the values.
    pub fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        self.refuse_unread();
        if !self.errors.is_empty() {
            self.errors.truncate(MAX_ERRORS);
            return Err(Problem::invalid(self.errors));
        }
        build().ok_or_else(|| {
            tracing::error!("a request without errors lacks a value that its reader needs");
            Problem::fault()
        })
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.unread.remove(name).filter(|value| !value.is_null())
    }

    fn take_required(&mut self, name: &str) -> Option<Value> {
        let value = self.take(name);
        if value.is_none() {
            self.refuse(name, "required", "This field is required.");
        }
        value
    }

    fn read<T>(
        &mut self,
        name: &str,
        value: &Value,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        match read(Given { value, source: self.source }) {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.error(self.pointer_to(name), refusal);
                None
            }
        }
    }

    fn read_list<T>(
        &mut self,
        name: &str,
        value: &Value,
        count: &RangeInclusive<usize>,
        read: impl Fn(Given<'_>) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let items = match (Given { value, source: self.source }).as_list() {
            Ok(items) => items,
            Err(refusal) => {
                self.error(self.pointer_to(name), refusal);
                return None;
            }
        };
        if items.len() > *count.end() {
            self.refuse(name, "too-many", format!("At most {} items.", count.end()));
            return None;
        }
        if items.len() < *count.start() {
            self.refuse(name, "too-few", format!("At least {} items.", count.start()));
            return None;
        }
        let mut list = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            match read(Given { value: item, source: self.source }) {
                Ok(value) => list.push(value),
                Err(refusal) => self.error(format!("{}/{place}", self.pointer_to(name)), refusal),
            }
        }
        Some(list)
    }

    fn read_object<T>(
        &mut self,
        name: &str,
        value: Value,
        read: impl FnOnce(&mut Fields) -> Option<T>,
    ) -> Option<T> {
        let Value::Object(unread) = value else {
            self.refuse(name, "wrong-type", "Expected an object.");
            return None;
        };
        let mut nested = Self::new(unread, self.source, self.pointer_to(name));
        let object = read(&mut nested);
        nested.refuse_unread();
        self.errors.append(&mut nested.errors);
        object
    }

    fn refuse_unread(&mut self) {
        let mut names: Vec<_> = std::mem::take(&mut self.unread).into_iter().collect();
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, _) in names {
            self.refuse(&name, "unknown-field", "This field is unknown here. Remove it.");
        }
    }

    fn pointer_to(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, escape(name))
    }

    fn error(&mut self, pointer: String, Refusal { code, detail }: Refusal) {
        self.errors.push(FieldError { pointer, code, detail });
    }
}

/// A name as a reference token of a JSON pointer (RFC 6901, section 3).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Longest cursor. The longest that is given out has less than half of it, and a sort key of
/// DynamoDB takes 1,024 bytes.
const CURSOR_MAX: usize = 200;

/// Reads `limit` (1 to 100, 50 when not said) and `cursor` of a query.
pub fn page_request(fields: &mut Fields) -> PageRequest {
    let limit = fields.optional("limit", integer(1..=100)).unwrap_or(50);
    let cursor = fields.optional("cursor", verbatim(1..=CURSOR_MAX));
    PageRequest { limit, cursor: cursor.map(|cursor| cursor.replace('~', "#")) }
}

/// A cursor as an answer gives it out: it may be put into an address as it is, where `#` would begin
/// the fragment.
pub fn next_cursor(next: Option<&str>) -> Option<String> {
    next.map(|next| next.replace('#', "~"))
}

/// The query of a list without filters: `limit` and `cursor`, and nothing else.
pub fn only_page(uri: &http::Uri) -> Result<PageRequest, Problem> {
    let mut fields = Fields::of_query(uri);
    let request = page_request(&mut fields);
    fields.finish(|| Some(request))
}

/// One line of text, trimmed, with so many characters and no control characters.
pub fn text(length: RangeInclusive<usize>) -> impl Fn(Given<'_>) -> Result<String, Refusal> {
    move |given| {
        let text = given.as_text()?.trim();
        check_length(text, &length)?;
        check_characters(text, |c| !c.is_control())?;
        Ok(text.to_owned())
    }
}

/// Text of several lines, trimmed, with so many characters; line ends become `\n`.
pub fn lines(length: RangeInclusive<usize>) -> impl Fn(Given<'_>) -> Result<String, Refusal> {
    move |given| {
        let text = given.as_text()?.trim().replace("\r\n", "\n");
        check_length(&text, &length)?;
        check_characters(&text, |c| !c.is_control() || matches!(c, '\n' | '\t'))?;
        Ok(text)
    }
}

/// Text exactly as given, such as a password, with so many characters.
pub fn verbatim(length: RangeInclusive<usize>) -> impl Fn(Given<'_>) -> Result<String, Refusal> {
    move |given| {
        let text = given.as_text()?;
        check_length(text, &length)?;
        Ok(text.to_owned())
    }
}

/// A text or a list of texts, unsplit, together at most `length` characters.
pub fn text_or_texts(length: usize) -> impl Fn(Given<'_>) -> Result<Vec<String>, Refusal> {
    move |given| {
        let texts = match given.value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Refusal::wrong_type("a list of texts"))?,
            _ => return Err(Refusal::wrong_type("text or a list of texts")),
        };
        let given: usize = texts.iter().map(|text| text.chars().count()).sum();
        if given > length {
            return Err(Refusal::new("too-long", format!("At most {length} characters.")));
        }
        Ok(texts)
    }
}

/// A whole number in `range`.
pub fn integer<T>(range: RangeInclusive<T>) -> impl Fn(Given<'_>) -> Result<T, Refusal>
where
    T: Copy + PartialOrd + Display + TryFrom<i64>,
{
    move |given| {
        let number = match given.value {
            Value::String(text) if given.source == Source::Text => text.trim().parse().ok(),
            value => value.as_i64(),
        };
        let is_number = number.is_some() || given.value.is_u64();
        if !is_number {
            return Err(Refusal::wrong_type("a whole number"));
        }
        number.and_then(|number| T::try_from(number).ok()).filter(|n| range.contains(n)).ok_or_else(
            || {
                let detail = format!("Expected {} to {}.", range.start(), range.end());
                Refusal::new("out-of-range", detail)
            },
        )
    }
}

/// `true` or `false`; in a form also a ticked box.
pub fn flag() -> impl Fn(Given<'_>) -> Result<bool, Refusal> {
    |given| match (given.value, given.source) {
        (Value::Bool(flag), _) => Ok(*flag),
        (Value::String(text), Source::Text) => match text.as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(Refusal::wrong_type("true or false")),
        },
        _ => Err(Refusal::wrong_type("true or false")),
    }
}

/// One of these names.
pub fn choice<T: Clone>(names: &[(&'static str, T)]) -> impl Fn(Given<'_>) -> Result<T, Refusal> {
    move |given| {
        let text = given.as_text()?;
        let found = names.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            Refusal::new("not-allowed", format!("Expected one of: {}.", known.join(", ")))
        })
    }
}

/// A calendar date, `YYYY-MM-DD`.
pub fn date() -> impl Fn(Given<'_>) -> Result<Date, Refusal> {
    |given| {
        let text = given.as_text()?.trim();
        // The parser takes other forms of ISO 8601 too; the contract has this one.
        let bytes = text.as_bytes();
        let well_formed = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
        let refusal = || Refusal::new("invalid-date", "Expected a date as YYYY-MM-DD.");
        text.parse().ok().filter(|_| well_formed).ok_or_else(refusal)
    }
}

/// An instant, RFC 3339.
pub fn instant() -> impl Fn(Given<'_>) -> Result<Timestamp, Refusal> {
    |given| {
        let refusal =
            || Refusal::new("invalid-time", "Expected an instant such as 2026-01-31T08:00:00Z.");
        given.as_text()?.trim().parse().map_err(|_| refusal())
    }
}

/// A text that a constructor of the product's types takes. `code` is the refusal's; its detail is
/// what the constructor says, which has to leave the value out.
pub fn parsed<T, E: Display>(
    code: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> impl Fn(Given<'_>) -> Result<T, Refusal> {
    move |given| parse(given.as_text()?).map_err(|error| Refusal::new(code, sentence(&error)))
}

/// An error's text as a sentence: they are written in lower case and without a full stop.
pub(crate) fn sentence(error: &impl Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

fn check_length(text: &str, length: &RangeInclusive<usize>) -> Result<(), Refusal> {
    let given = text.chars().count();
    if given < *length.start() {
        let detail = match *length.start() {
            1 => "This must not be blank.".to_owned(),
            least => format!("At least {least} characters."),
        };
        return Err(Refusal::new("too-short", detail));
    }
    if given > *length.end() {
        return Err(Refusal::new("too-long", format!("At most {} characters.", length.end())));
    }
    Ok(())
}

fn check_characters(text: &str, allowed: impl Fn(char) -> bool) -> Result<(), Refusal> {
    if text.chars().all(allowed) {
        return Ok(());
    }
    Err(Refusal::new("invalid-characters", "Control characters are not allowed here."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use seatkeeper_domain::ids::ContractId;

    fn errors<T: std::fmt::Debug>(result: Result<T, Problem>) -> Vec<(String, String)> {
        let problem = result.expect_err("a refusal");
        assert_eq!(problem.code, ProblemCode::InvalidRequest);
        problem.errors.into_iter().map(|e| (e.pointer, e.code.into_owned())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(p, c)| ((*p).to_owned(), (*c).to_owned())).collect()
    }

    fn json(text: &'static str) -> Fields {
        Fields::of(&Payload::json(text)).expect("an object")
    }

    #[test]
    fn all_fields_at_fault_are_named_at_once() {
        let mut fields = json(
            r#"{"name": 7, "seats": -1, "starts_on": "20260101", "contract": "con_x",
                "modules": ["a", 2, ""], "branding": {"color": "", "size": 3},
                "x/y~z": 1, "also": null}"#,
        );
        let name = fields.required("name", text(1..=200));
        let _ = fields.required("reference", text(1..=200));
        let _ = fields.optional("seats", integer(0u32..=10));
        let _ = fields.optional("starts_on", date());
        let _ = fields.optional("contract", parsed("invalid-id", str::parse::<ContractId>));
        let _ = fields.optional_list("modules", 0..=5, text(1..=10));
        let _ = fields.optional_object("branding", |b| b.optional("color", text(1..=7)));
        let result = fields.finish(|| name);
        assert_eq!(
            errors(result),
            pairs(&[
                ("/name", "wrong-type"),
                ("/reference", "required"),
                ("/seats", "out-of-range"),
                ("/starts_on", "invalid-date"),
                ("/contract", "invalid-id"),
                ("/modules/1", "wrong-type"),
                ("/modules/2", "too-short"),
                ("/branding/color", "too-short"),
                ("/branding/size", "unknown-field"),
                ("/also", "unknown-field"),
                ("/x~1y~0z", "unknown-field"),
            ])
        );
    }

    #[test]
    fn a_good_body_becomes_a_value() {
        let mut fields = json(
            r#"{"name": "  Été ", "seats": 3, "on": "2026-02-28", "at": "2026-02-28T10:00:00+02:00",
                "notify": false, "kind": "b", "info": {"Cost center": "12"}, "absent": null}"#,
        );
        let name = fields.required("name", text(1..=3));
        let seats = fields.required("seats", integer(0u32..=10));
        let on = fields.required("on", date());
        let at = fields.required("at", instant());
        let notify = fields.optional("notify", flag());
        let kind = fields.required("kind", choice(&[("a", 1), ("b", 2)]));
        let info = fields.optional_map("info", 20, 50, text(0..=100));
        let absent = fields.optional("absent", flag());
        let read = fields
            .finish(|| {
                Some((name?, seats?, on?.to_string(), at?.to_string(), notify, kind?, absent))
            })
            .expect("a good body");
        let on = "2026-02-28".to_owned();
        let at = "2026-02-28T08:00:00Z".to_owned();
        assert_eq!(read, ("Été".to_owned(), 3, on, at, Some(false), 2, None));
        assert_eq!(info.expect("info")["Cost center"], "12");
    }

    #[test]
    fn text_that_is_not_json_is_told_where_it_breaks_but_not_quoted() {
        let problem = Fields::of(&Payload::json("{\n  \"secret\": hunter2}")).expect_err("no JSON");
        assert_eq!(problem.code, ProblemCode::InvalidJson);
        assert!(problem.detail.contains("line 2"), "{}", problem.detail);
        assert!(!problem.detail.contains("hunter"), "{}", problem.detail);
        for broken in ["", "{\"a\":1}}", "{\"a\"", "\u{feff}{}"] {
            assert!(Fields::of(&Payload::json(broken)).is_err(), "{broken}");
        }
        assert!(Fields::of(&Payload::json(&b"{\"a\":\"\xff\"}"[..])).is_err());
    }

    #[test]
    fn a_list_where_an_object_belongs_is_a_wrong_type_at_the_root() {
        assert_eq!(errors(Fields::of(&Payload::json("[]"))), pairs(&[("", "wrong-type")]));
    }

    #[test]
    fn a_body_of_one_mebibyte_is_read_and_one_byte_more_is_too_large() {
        let body = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        assert!(Fields::of(&Payload::json(body(MAX_BYTES))).is_ok());
        let problem = Fields::of(&Payload::json(body(MAX_BYTES + 1))).expect_err("too large");
        assert_eq!(problem.code, ProblemCode::PayloadTooLarge);
    }

    #[test]
    fn deeply_nested_json_is_refused_without_a_crash() {
        let problem = Fields::of(&Payload::json("{\"a\":".repeat(100_000))).expect_err("too deep");
        assert_eq!(problem.code, ProblemCode::InvalidJson);
    }

    #[test]
    fn a_body_that_may_be_left_out_reads_as_empty() {
        let mut fields = Fields::of_optional(&Payload::json(" \n")).expect("nothing");
        assert_eq!(fields.optional("a", flag()), None);
        assert!(fields.finish(|| Some(())).is_ok());
    }

    #[test]
    fn a_form_reads_like_json_with_texts_for_all_types() {
        let form = Payload::form("name=Ren%C3%A9+D&seats=3&notify=on&language=&group=a&group=b");
        let mut fields = Fields::of(&form).expect("a form");
        assert_eq!(fields.required("name", text(1..=20)), Some("René D".to_owned()));
        assert_eq!(fields.required("seats", integer(1u32..=9)), Some(3));
        assert_eq!(fields.optional("notify", flag()), Some(true));
        assert_eq!(fields.optional("language", text(2..=2)), None);
        let groups = fields.optional_list("group", 0..=5, text(1..=2));
        assert_eq!(groups, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert!(fields.finish(|| Some(())).is_ok());
    }

    #[test]
    fn json_that_was_sent_as_a_form_is_told_so() {
        let refused = Fields::of(&Payload::form(" {\"email\": \"a\"}")).expect_err("no form");
        assert_eq!(refused.errors[0].code, "wrong-content-type");
    }

    #[test]
    fn a_blank_field_of_a_form_is_missing() {
        let mut fields = Fields::of(&Payload::form("code=+&email=a")).expect("a form");
        let _ = fields.required("code", text(1..=9));
        assert_eq!(
            errors(fields.finish(|| Some(()))),
            pairs(&[("/code", "required"), ("/email", "unknown-field")])
        );
    }

    #[test]
    fn a_field_given_twice_in_a_form_is_refused() {
        let mut fields = Fields::of(&Payload::form("email=a&email=b")).expect("a form");
        let _ = fields.required("email", text(1..=9));
        assert_eq!(errors(fields.finish(|| Some(()))), pairs(&[("/email", "wrong-type")]));
    }

    #[test]
    fn a_patch_tells_leaving_from_emptying() {
        let mut fields = json(r#"{"a": null, "b": "x", "d": 1}"#);
        assert_eq!(fields.change("a", text(1..=5)), Amend::Clear);
        assert_eq!(fields.change("b", text(1..=5)), Amend::Set("x".to_owned()));
        assert_eq!(fields.change("c", text(1..=5)), Amend::Keep);
        assert_eq!(fields.change("d", text(1..=5)), Amend::Keep);
        assert_eq!(errors(fields.finish(|| Some(()))), pairs(&[("/d", "wrong-type")]));
    }

    #[test]
    fn a_list_in_json_is_not_a_single_text_and_has_bounds() {
        let mut fields = json(r#"{"a": "x", "b": [], "c": ["x","x","x"]}"#);
        let _ = fields.required_list("a", 1..=2, text(1..=5));
        let _ = fields.required_list("b", 1..=2, text(1..=5));
        let _ = fields.required_list("c", 1..=2, text(1..=5));
        assert_eq!(
            errors(fields.finish(|| Some(()))),
            pairs(&[("/a", "wrong-type"), ("/b", "too-few"), ("/c", "too-many")])
        );
    }

    #[test]
    fn addresses_come_as_one_text_or_as_a_list() {
        let mut fields = json(r#"{"a": "x; y", "b": ["x", "y"], "c": ["x", 1], "d": "abcdef"}"#);
        assert_eq!(fields.optional("a", text_or_texts(5)), Some(vec!["x; y".to_owned()]));
        assert_eq!(fields.optional("b", text_or_texts(5)).map(|l| l.len()), Some(2));
        let _ = fields.optional("c", text_or_texts(5));
        let _ = fields.optional("d", text_or_texts(5));
        assert_eq!(
            errors(fields.finish(|| Some(()))),
            pairs(&[("/c", "wrong-type"), ("/d", "too-long")])
        );
    }

    #[test]
    fn control_characters_are_refused_but_a_password_is_taken_as_it_is() {
        let mut fields =
            json(r#"{"a": "x\u0000y", "b": "x\r\ny", "c": " pass\tword ", "d": "x\ny"}"#);
        let _ = fields.optional("a", text(1..=5));
        assert_eq!(fields.optional("b", lines(1..=5)), Some("x\ny".to_owned()));
        assert_eq!(fields.optional("c", verbatim(1..=20)), Some(" pass\tword ".to_owned()));
        let _ = fields.optional("d", text(1..=5));
        assert_eq!(
            errors(fields.finish(|| Some(()))),
            pairs(&[("/a", "invalid-characters"), ("/d", "invalid-characters")])
        );
    }

    #[test]
    fn a_hostile_body_does_not_make_a_giant_answer() {
        let names: Vec<_> = (0..5_000).map(|n| format!("\"f{n}\":1")).collect();
        let fields = Fields::of(&Payload::json(format!("{{{}}}", names.join(",")))).expect("json");
        assert_eq!(errors(fields.finish(|| Some(()))).len(), MAX_ERRORS);
    }

    #[test]
    fn a_constructor_speaks_in_sentences() {
        let mut fields = json(r#"{"id": "nope"}"#);
        let _ = fields.required("id", parsed("invalid-id", str::parse::<ContractId>));
        let problem = fields.finish(|| Some(())).expect_err("a refusal");
        let detail = &problem.errors[0].detail;
        assert!(detail.starts_with("Expected `con_`") && detail.ends_with('.'), "{detail}");
    }

    #[test]
    fn a_query_has_fifty_items_from_the_start_unless_it_says_otherwise() {
        let page = |query: &str| {
            let uri = format!("/v1/x?{query}").parse().expect("a uri");
            let mut fields = Fields::of_query(&uri);
            let page = page_request(&mut fields);
            fields.finish(|| Some(page))
        };
        assert_eq!(page("").expect("fine"), PageRequest { limit: 50, cursor: None });
        let some = PageRequest { limit: 100, cursor: Some("a b".to_owned()) };
        assert_eq!(page("cursor=a%20b&limit=100").expect("fine"), some);
        for (bad, code) in [("limit=0", "out-of-range"), ("limit=101", "out-of-range")] {
            assert_eq!(errors(page(bad)), pairs(&[("/limit", code)]));
        }
        assert_eq!(errors(page("limit=ten")), pairs(&[("/limit", "wrong-type")]));
        assert_eq!(errors(page("limits=1")), pairs(&[("/limits", "unknown-field")]));
    }

    #[test]
    fn numbers_beyond_64_bits_are_out_of_range_and_fractions_are_no_whole_numbers() {
        let mut fields = json(r#"{"a": 18446744073709551615, "b": 1.5, "c": "3", "d": true}"#);
        for name in ["a", "b", "c", "d"] {
            let _ = fields.optional(name, integer(0u32..=10));
        }
        assert_eq!(
            errors(fields.finish(|| Some(()))),
            pairs(&[
                ("/a", "out-of-range"),
                ("/b", "wrong-type"),
                ("/c", "wrong-type"),
                ("/d", "wrong-type")
            ])
        );
    }
}
