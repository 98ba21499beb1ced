//! Mail by SES: one attempt a mail, and what SES tells of it later.

use std::error::Error;
use std::time::Duration;

use aws_sdk_sesv2::Client as Ses;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::timeout::TimeoutConfig;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata as _, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{
    Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag,
};
use aws_smithy_runtime_api::client::dns::ResolveDnsError;
use aws_smithy_types::base64;
use aws_types::SdkConfig;
use jiff::Timestamp;
use seatkeeper_domain::actions::hear_of_mail::News;
use seatkeeper_domain::email::EmailAddress;
use seatkeeper_domain::ids::InvitationId;
use seatkeeper_domain::outbox::MailPlace;
use seatkeeper_domain::pace::Allowance;
use seatkeeper_domain::ports::{Handover, MailTag, Mailer, Refusal, WrittenMail};
use serde_json::Value;

/// How long one attempt may take: well below the lease of a claim.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Most bytes of a display name in one encoded word, so that the word has at most 75 characters
/// (RFC 2047, 2).
const WORD: usize = 45;

/// [`Mailer`] by SES.
#[derive(Debug, Clone)]
pub struct SesMailer {
    ses: Ses,
    from: String,
    configuration_set: String,
}

impl SesMailer {
    /// Sends from this address, through this configuration set. Whatever the configuration says of
    /// retries, there is one attempt a mail: a second one may be a second mail.
    pub fn new(config: &SdkConfig, from: &str, configuration_set: &str) -> Self {
        let timeouts =
            TimeoutConfig::builder().operation_timeout(ATTEMPT).operation_attempt_timeout(ATTEMPT);
        let config = aws_sdk_sesv2::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            .build();
        Self {
            ses: Ses::from_conf(config),
            from: from.to_owned(),
            configuration_set: configuration_set.to_owned(),
        }
    }

    fn content(mail: &WrittenMail) -> Result<EmailContent, BuildError> {
        let part = |text: &str| Content::builder().data(text).charset("UTF-8").build();
        let body = Body::builder().text(part(&mail.text)?).html(part(&mail.html)?).build();
        // RFC 3834: no answering machine shall answer.
        let automatic =
            MessageHeader::builder().name("Auto-Submitted").value("auto-generated").build()?;
        let mut message =
            Message::builder().subject(part(&mail.subject)?).body(body).headers(automatic);
        if let Some(url) = &mail.unsubscribe_url {
            // RFC 8058: the mail program stops them with one click, without showing a page.
            let one_click = [
                ("List-Unsubscribe", format!("<{url}>")),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
            ];
            for (name, value) in one_click {
                message =
                    message.headers(MessageHeader::builder().name(name).value(value).build()?);
            }
        }
        Ok(EmailContent::builder().simple(message.build()).build())
    }
}

impl Mailer for SesMailer {
    async fn allowance(&self) -> Option<Allowance> {
        let quota = self.ses.get_account().send().await.ok()?.send_quota?;
        let per_second = whole(quota.max_send_rate).max(1);
        Some(Allowance {
            per_second: u32::try_from(per_second).unwrap_or(u32::MAX),
            // -1 says that there is no limit.
            per_day: (quota.max24_hour_send >= 0.0).then(|| whole(quota.max24_hour_send)),
            sent: whole(quota.sent_last24_hours),
        })
    }

    async fn send(&self, to: &EmailAddress, mail: &WrittenMail, tag: &MailTag) -> Handover {
        let built = Self::content(mail).and_then(|content| Ok((content, tags(tag)?)));
        let Ok((content, tags)) = built else {
            return Handover::Refused(Refusal::Malformed);
        };
        let sent = self
            .ses
            .send_email()
            .from_email_address(format!("{} <{}>", display_name(&mail.from_name), self.from))
            .destination(Destination::builder().to_addresses(to.as_str()).build())
            .content(content)
            .configuration_set_name(&self.configuration_set)
            .set_email_tags(Some(tags))
            .send()
            .await;
        match sent {
            Ok(_) => Handover::Accepted,
            Err(error) => judge(&error, &self.from),
        }
    }
}

/// The whole part of what SES tells as a fraction; nothing if it is negative.
fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = number as u64;
    whole
}

/// What a failure says about the mail: only what certainly was not accepted may be tried again.
fn judge(error: &SdkError<SendEmailError>, from: &str) -> Handover {
    match error {
        SdkError::ConstructionFailure(_) => Handover::Refused(Refusal::Barred),
        SdkError::DispatchFailure(failure) => {
            let reached = failure.as_connector_error().is_none_or(|error| !never_reached(error));
            if reached { Handover::Unknown } else { Handover::Refused(Refusal::Busy) }
        }
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            if !(400..500).contains(&status) {
                return Handover::Unknown;
            }
            let code = answer.err().code().unwrap_or_default();
            let message = answer.err().message().unwrap_or_default().to_lowercase();
            Handover::Refused(match code {
                _ if status == 429 => Refusal::Busy,
                "LimitExceededException" | "ThrottlingException" | "Throttling" => Refusal::Busy,
                "AccountSuspendedException"
                | "SendingPausedException"
                | "MailFromDomainNotVerifiedException"
                | "NotFoundException" => Refusal::Barred,
                // SES names the identities that are not verified; ours bars every mail.
                "MessageRejected" if message.contains(&from.to_lowercase()) => Refusal::Barred,
                _ if status == 401 || status == 403 => Refusal::Barred,
                _ => Refusal::Unwelcome,
            })
        }
        _ => Handover::Unknown,
    }
}

/// Whether the request certainly never left: the name is unknown, or nobody listens.
fn never_reached(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let refused = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        if refused || error.is::<ResolveDnsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A display name for a header: a quoted string, or encoded words (RFC 5322, 3.2.4; RFC 2047).
fn display_name(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if plain {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("\"{escaped}\"");
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in name.chars() {
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encoded = words.iter().map(|word| format!("=?UTF-8?B?{}?=", base64::encode(word)));
    encoded.collect::<Vec<_>>().join(" ")
}

const CLIENT: &str = "client";
const PARTITION: &str = "outbox";
const NOTIFICATION: &str = "notification";
const MAIL: &str = "mail";
const INVITATION: &str = "invitation";
const VERSION: &str = "version";
const ADDRESSEE: &str = "addressee";
const CLAIMED: &str = "claimed";

fn tags(tag: &MailTag) -> Result<Vec<MessageTag>, BuildError> {
    let mut pairs = vec![
        (CLIENT, tag.client_id.to_string()),
        (PARTITION, encoded(&tag.place.partition)),
        (NOTIFICATION, encoded(&tag.place.key)),
        (MAIL, tag.mail.to_string()),
    ];
    if let Some((invitation, version)) = tag.invitation {
        pairs.push((INVITATION, invitation.to_string()));
        pairs.push((VERSION, version.to_string()));
    }
    pairs.extend(tag.addressee.map(|addressee| (ADDRESSEE, addressee.to_string())));
    pairs.extend(tag.claimed_at.map(|at| (CLAIMED, at.as_microsecond().to_string())));
    pairs
        .into_iter()
        .map(|(name, value)| MessageTag::builder().name(name).value(value).build())
        .collect()
}

/// A text in the alphabet of tags (letters, digits, `_`, `-`): whatever else becomes `_` and two
/// hexadecimal digits a byte, `_` itself becomes `__`.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'_' => out.push_str("__"),
            b'-' => out.push('-'),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => {
                // Writing to a String cannot fail.
                let _ = write!(out, "_{byte:02x}");
            }
        }
    }
    out
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('_') {
        bytes.extend(before.bytes());
        if let Some(after) = after.strip_prefix('_') {
            bytes.push(b'_');
            rest = after;
        } else {
            bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
            rest = after.get(2..)?;
        }
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).ok()
}

/// An event about mail that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event is not what SES sends: {0}")]
pub struct UnreadableNews(&'static str);

/// News of one of our mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailNews {
    /// Which mail.
    pub tag: MailTag,
    /// What became of it.
    pub news: News,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// Reads an SES event as EventBridge delivers it. `None` if it is not about a mail of ours, or
/// tells nothing that is kept.
pub fn read_news(event: &Value) -> Result<Option<MailNews>, UnreadableNews> {
    let detail = &event["detail"];
    let kind = detail["eventType"].as_str().ok_or(UnreadableNews("no event type"))?;
    let mail = detail["mail"].as_object().ok_or(UnreadableNews("no mail"))?;
    let tag = |name: &str| mail.get("tags")?.get(name)?.get(0)?.as_str();
    if tag(PARTITION).is_none() && tag(NOTIFICATION).is_none() {
        return Ok(None);
    }
    let news = match kind {
        "Send" => News::Sent,
        "Delivery" => News::Delivered,
        "Bounce" => match detail["bounce"]["bounceType"].as_str() {
            Some("Permanent") => News::Bounced,
            Some(_) => News::CameBack,
            None => return Err(UnreadableNews("a bounce without its type")),
        },
        "Complaint" => News::Complained,
        "Reject" => News::Rejected,
        _ => return Ok(None),
    };
    let read = || {
        let invitation: Option<InvitationId> = match tag(INVITATION) {
            None => None,
            Some(id) => Some(id.parse().ok()?),
        };
        let version = tag(VERSION).and_then(|version| version.parse().ok());
        Some(MailTag {
            client_id: tag(CLIENT)?.parse().ok()?,
            place: MailPlace {
                partition: decoded(tag(PARTITION)?)?,
                key: decoded(tag(NOTIFICATION)?)?,
            },
            mail: tag(MAIL)?.parse().ok()?,
            invitation: invitation.zip(version),
            addressee: tag(ADDRESSEE).and_then(|id| id.parse().ok()),
            claimed_at: tag(CLAIMED)
                .and_then(|micros| micros.parse().ok())
                .and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        })
    };
    let tag = read().ok_or(UnreadableNews("tags that we did not write"))?;
    let sent_at = mail.get("timestamp").and_then(Value::as_str);
    let sent_at = sent_at.and_then(|at| at.parse().ok()).ok_or(UnreadableNews("no timestamp"))?;
    Ok(Some(MailNews { tag, news, sent_at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_any_key_in_its_small_alphabet() {
        for text in ["MAIL#acme#07", "seat#lrn_0#con_1#2f", "a__b_-é:", ""] {
            let tag = encoded(text);
            assert!(tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            assert_eq!(decoded(&tag).as_deref(), Some(text));
        }
        assert_eq!(decoded("a_"), None);
        assert_eq!(decoded("a_é"), None);
    }

    #[test]
    fn the_longest_place_fits_a_tag() {
        // A slug of 40 characters, a pool and an instant; SES takes 256 characters a value.
        let partition =
            format!("MAIL#{}#con_{}#2026-11-23T23:00:00.000000Z", "a".repeat(40), "0".repeat(26));
        let key = format!("seat#lrn_{0}#con_{0}#{1}", "0".repeat(26), "0".repeat(32));
        assert!(encoded(&partition).len() <= 256);
        assert!(encoded(&key).len() <= 256);
    }

    #[test]
    fn a_display_name_is_quoted_or_encoded() {
        assert_eq!(display_name(r#"Acme "A" \o/"#), r#""Acme \"A\" \\o/""#);
        assert_eq!(display_name("Académie"), "=?UTF-8?B?QWNhZMOpbWll?=");
        let long = display_name(&"é".repeat(80));
        assert!(long.split(' ').all(|word| word.len() <= 75));
    }
}
