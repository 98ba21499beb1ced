//! Forms posted to S3: what their policy allows and nothing else.

use std::collections::BTreeMap;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::Value;

/// The keys of the account's one user.
pub(crate) const KEY_ID: &str = "AKIDSEATKEEPER";
pub(crate) const SECRET: &str = "not-a-secret";

/// Checks a form for this bucket as S3 does; the error is S3's code.
pub(crate) fn check(
    bucket: &str,
    region: &str,
    fields: &BTreeMap<String, String>,
    size: usize,
    now: Timestamp,
) -> Result<(), &'static str> {
    let field = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    let policy = field("policy").ok_or("AccessDenied")?;
    let date = field("x-amz-date").and_then(instant).ok_or("AccessDenied")?;
    let scope = format!("{KEY_ID}/{}/{region}/s3/aws4_request", date.strftime("%Y%m%d"));
    if field("x-amz-algorithm") != Some("AWS4-HMAC-SHA256")
        || field("x-amz-credential") != Some(scope.as_str())
    {
        return Err("AccessDenied");
    }
    let key = generate_signing_key(SECRET, date.into(), region, "s3");
    if field("x-amz-signature") != Some(calculate_signature(key, policy.as_bytes()).as_str()) {
        return Err("SignatureDoesNotMatch");
    }
    let policy = BASE64.decode(policy.as_bytes()).map_err(|_| "InvalidPolicyDocument")?;
    let policy: Value = serde_json::from_slice(&policy).map_err(|_| "InvalidPolicyDocument")?;
    let ends: Option<Timestamp> = policy["expiration"].as_str().and_then(|at| at.parse().ok());
    if ends.is_none_or(|ends| ends <= now) {
        return Err("AccessDenied");
    }
    let mut covered = vec!["policy".to_owned(), "x-amz-signature".to_owned()];
    for condition in policy["conditions"].as_array().ok_or("InvalidPolicyDocument")? {
        covered.push(holds(condition, bucket, &field, size)?.to_ascii_lowercase());
    }
    let all = fields.keys().all(|name| covered.contains(&name.to_ascii_lowercase()));
    if all { Ok(()) } else { Err("AccessDenied") }
}

/// Checks one condition and says which field it is about.
fn holds<'a>(
    condition: &Value,
    bucket: &'a str,
    field: &impl Fn(&str) -> Option<&'a str>,
    size: usize,
) -> Result<String, &'static str> {
    let value = |name: &str| if name == "bucket" { Some(bucket) } else { field(name) };
    if let Some((name, wanted)) = condition.as_object().and_then(|pairs| pairs.iter().next()) {
        let is = value(name) == wanted.as_str();
        return if is { Ok(name.clone()) } else { Err("AccessDenied") };
    }
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    match (condition[0].as_str(), condition[1].as_str(), condition[2].as_str()) {
        (Some("content-length-range"), _, _) => {
            if condition[1].as_u64().is_none_or(|least| size < least) {
                return Err("EntityTooSmall");
            }
            if condition[2].as_u64().is_none_or(|most| size > most) {
                return Err("EntityTooLarge");
            }
            Ok("content-length".to_owned())
        }
        (Some(how @ ("eq" | "starts-with")), Some(name), Some(wanted)) => {
            let name = name.trim_start_matches('$');
            let given = value(name).unwrap_or_default();
            let fits = if how == "eq" { given == wanted } else { given.starts_with(wanted) };
            if fits { Ok(name.to_owned()) } else { Err("AccessDenied") }
        }
        _ => Err("InvalidPolicyDocument"),
    }
}

/// An instant such as `20261123T090000Z`.
fn instant(text: &str) -> Option<Timestamp> {
    let form = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    form.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}
